"""``clusterpass audit``: what it prints, and what it refuses."""

import getpass
import json
import signal
import subprocess

import pytest

from clusterpass.protocol.calls.audit import SLOT
from tests.cluster.stored import eventually

from ..service.conftest import COMMAND, command_environment
from .conftest import IMPATIENT, assert_refused


def lines(told):
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_what_commands_do_is_in_the_trail(process, run, manager):
    pair = manager.login("alice")
    run("sessions", "revoke", "alice", pair.session_id, "--reason", "lost phone")
    run("bans", "add", "bob", "--reason", "fraud")
    told = process("audit", "export")
    assert (told.returncode, told.stderr.partition(";")[0]) == (0, "2 entries")
    revoked, banned = lines(told)
    assert (revoked["action"], revoked["subject"], revoked["reason"]) == (
        *("revoke", "alice"),
        "lost phone",
    )
    assert (revoked["via"], revoked["actor"]) == ("command", f"os:{getpass.getuser()}")
    assert revoked["session_id"] == pair.session_id
    assert (banned["action"], banned["subject"]) == ("ban", "bob")
    following = run("audit", "export", "--after", revoked["id"])
    assert [each["action"] for each in lines(following)] == ["ban"]
    assert run("audit", "export", "--until", "2020-01-01").stdout == ""
    assert len(lines(run("audit", "export", "--since", "2020-01-01"))) == 2
    assert [each["subject"] for each in lines(run("audit", "export", "--action", "ban"))] == ["bob"]


def test_the_tail_for_people_and_for_programs(run):
    for name in ("a", "b", "c\u202e"):
        run("bans", "add", name, "--reason", "two words")
    told = run("audit", "tail", "-n", "2").stdout.splitlines()
    assert len(told) == 2
    assert " ban done " in told[0]
    assert "subject=b " in told[0]
    assert told[0].endswith('reason="two words"')
    assert "\u202e" not in told[1]
    assert [each["subject"] for each in lines(run("audit", "tail", "--json"))] == [
        *("a", "b"),
        "c\u202e",
    ]
    assert [each["number"] for each in lines(run("audit", "tail", "--json", "--subject", "a"))] == [
        1
    ]
    assert run("audit", "tail", "-n", "0").stdout == ""
    assert run("audit", "tail", "--outcome", "refused").stdout == ""


def test_the_tail_is_followed(url, tmp_path, run):
    run("bans", "add", "first")
    following = subprocess.Popen(
        [*COMMAND, "audit", "tail", "--follow", "--json"],
        env=command_environment(url, tmp_path / "no-keys.json", PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert following.stdout is not None
    try:
        assert json.loads(following.stdout.readline())["subject"] == "first"
        run("bans", "add", "second")
        assert json.loads(following.stdout.readline())["subject"] == "second"
    finally:
        following.send_signal(signal.SIGINT)
        _, told = following.communicate(timeout=20)
    assert following.returncode == 130
    assert "Traceback" not in told


def test_a_sound_trail_and_one_that_is_not(run, url, cluster, manager):
    for name in ("a", "b", "c"):
        run("bans", "add", name)
    told = run("audit", "check")
    assert told.returncode == 0
    assert "the trail is sound" in told.stdout
    report = json.loads(run("audit", "check", "--json").stdout)
    assert (report["count"], report["sound"], report["faults"]) == (3, True, [])
    assert run("audit", "check", "--head", report["head"]).returncode == 0
    entries = lines(run("audit", "export"))
    key = manager.store.keyspace.audit(SLOT)
    with cluster.client(cluster.primary_of(key)) as client:
        assert client.execute_command("XDEL", key, entries[1]["id"]) == 1
    told = run("audit", "check")
    assert told.returncode == 1
    assert "missing: entries 2 to 2 are not there" in told.stdout


def test_nothing_is_there_yet(run):
    assert run("audit", "tail").stdout == ""
    assert "the trail is sound" in run("audit", "check").stdout
    told = run("audit", "export")
    assert (told.stdout, told.stderr) == ("", "0 entries\n")


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("check", "--head", "x"), "NUMBER:CHAIN"),
        (("export", "--after", "x"), "cursor"),
        (("export", "--since", "yesterday"), "is not a time"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run, arguments, saying):
    assert_refused(run("audit", *arguments), saying=saying)


def test_a_store_that_is_away(process):
    told = process("audit", "tail", CLUSTERPASS_STORE_URL=IMPATIENT)
    assert_refused(told, saying="unavailable")


def test_switched_off_by_a_setting(run):
    run("bans", "add", "a", CLUSTERPASS_AUDIT="false")
    assert run("audit", "export").stdout == ""
    run("bans", "add", "b")
    eventually(lambda: len(lines(run("audit", "export"))) == 1)
