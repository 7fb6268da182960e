"""``clusterpass doctor`` as a command: its output and its exit status."""

import json
import signal
import subprocess

import pytest

from clusterpass import EmbeddedCluster

from ..service.conftest import COMMAND, command_environment
from .conftest import NOBODY_LISTENS

HERE = ["password", "rights-too-wide", "hosts"]


def test_a_cluster_for_people(process, url):
    done = process("doctor", "--write", "--ignore", "persistence")
    assert done.returncode == 0, done.stdout + done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("redis+cluster://127.0.0.1:")
    assert "3 primaries" in first
    assert "3 replicas" in first
    assert "Valkey" in first
    assert last.endswith(" 0 problems, 0 warnings, 3 notes, 0 not inspected.")
    for identifier in HERE:
        assert f"NOTE {identifier}\n" in done.stdout
        assert f"See: docs/reference/doctor.md#{identifier}\n" in done.stdout
    assert "\x1b" not in done.stdout  # no colours for a file


def test_a_cluster_for_programs(process):
    done = process("doctor", "--json")
    said = json.loads(done.stdout)
    assert said["good"] is True
    assert len(said["nodes"]) == 6
    assert {each["id"] for each in said["findings"]} == {*HERE, "persistence", "unseen"}
    assert {each["reference"] for each in said["findings"]} >= {"docs/reference/doctor.md#unseen"}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--only", "hosts"], 0),
        (["--only", "hosts", "--strict"], 0),
        (["--only", "unseen", "--strict"], 1),
        (["--only", "persistence", "--strict"], 1),
        (["--only", "fsync", "--durability", "fsync"], 1),
        (["--only", "tsl"], 2),
        (["--store", "redis://127.0.0.1:1"], 2),
        (["--store", "mysql://x"], 2),
    ],
)
def test_the_status(run, options, status):
    done = run("doctor", *options)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_the_durability_is_that_of_the_settings(run):
    done = run("doctor", "--only", "fsync", CLUSTERPASS_DURABILITY="fsync")
    assert done.returncode == 1
    assert "There is no append-only file." in done.stdout


def test_another_store_than_that_of_the_settings(run, url):
    done = run("doctor", "--store", url, "--only", "hosts", CLUSTERPASS_STORE_URL=NOBODY_LISTENS)
    assert done.returncode == 0


def test_no_password_is_printed(run, url):
    secret = url.replace("://", "://default:very-secret@")
    for options in ([], ["--json"]):
        done = run("doctor", "--store", secret, *options)
        assert "very-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_prints_what_it_finds_once_and_ends_by_a_signal(url, tmp_path, number):
    watching = subprocess.Popen(
        [*COMMAND, "doctor", "--watch", "--interval", "0.1", "--json", "--only", "hosts"],
        env=command_environment(url, tmp_path / "none"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert watching.stdout is not None
    line = json.loads(watching.stdout.readline())
    assert (line["event"], line["id"], line["severity"]) == ("found", "hosts", "note")
    watching.send_signal(number)
    more, errors = watching.communicate(timeout=30)
    assert (watching.returncode, more, errors) == (0, "", "")


def test_a_watch_notices_that_a_cluster_goes_and_comes(tmp_path):
    with EmbeddedCluster(nodes=1, data_folder=tmp_path / "data") as cluster:
        url = cluster.url
        watching = subprocess.Popen(
            [*COMMAND, "doctor", "--watch", "--interval", "0.1", "--json", "--only", "hosts"],
            env=command_environment(f"{url}?timeout=0.3&deadline=0.5", tmp_path / "none"),
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            assert watching.stdout is not None
            cluster.pause(cluster.nodes[0])
            while json.loads(watching.stdout.readline())["event"] != "unreachable":
                pass
            cluster.resume(cluster.nodes[0])
            while json.loads(watching.stdout.readline())["event"] != "reachable":
                pass
        finally:
            watching.send_signal(signal.SIGINT)
            watching.communicate(timeout=30)
        assert watching.returncode in (0, 1)


@pytest.mark.parametrize(
    "options", [["--store", "mysql://x"], ["--only", "hosts", "--interval", "0"]]
)
def test_a_watch_that_can_see_nothing_ends_at_once(run, options):
    assert run("doctor", "--watch", *options).returncode == 2
