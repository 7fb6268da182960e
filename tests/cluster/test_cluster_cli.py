"""``clusterpass cluster`` in processes of its own, and the fixtures for other people's tests."""

import contextlib
import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from clusterpass.embedded import ClusterState, read_state, start_detached, stop_detached
from clusterpass.embedded.options import Access
from clusterpass.embedded.report import report_on
from clusterpass.embedded.topology import connect
from clusterpass.model.errors import EmbeddedClusterError

pytest_plugins = ["pytester"]
KEY_OF_FIRST = "b"  # slot 3300, of the first primary
PROGRAM = "from clusterpass.cli.cluster import cluster; cluster(prog_name='clusterpass cluster')"


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert "Traceback" not in done.stderr
    return done


def eventually(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def gone(pid: int | None) -> bool:
    assert pid is not None
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def connect_first(state: ClusterState) -> "redis.Redis":
    return connect(state.nodes[0], Access.of_url(state.url), timeout=5)


def running(folder: Path) -> ClusterState:
    state = read_state(folder)
    assert state is not None
    return state


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose cluster is stopped at the end."""
    path = tmp_path / "data"
    yield path
    stop_detached(path)


@pytest.mark.alternating
def test_start_status_stop_and_start_again(folder: Path) -> None:
    first = run("status", "--data", folder)
    assert (first.returncode, first.stdout) == (1, "")
    assert first.stderr == f"No cluster is running in {folder}.\n"

    started = run("start", "--data", folder, "--node-timeout", "1")
    assert started.returncode == 0, started.stderr
    state = running(folder)
    assert started.stdout.splitlines()[-1] == state.url
    assert len(state.nodes) == 6
    pids = [state.supervisor_pid, *[node.pid for node in state.nodes]]
    assert not any(gone(pid) for pid in pids)

    again = run("start", "--data", folder)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == (
        f"Error: A cluster is already running in {folder}."
        f" Stop it with: clusterpass cluster stop --data {folder}\n"
    )

    status = run("status", "--data", folder)
    assert status.returncode == 0, status.stdout
    assert status.stdout.splitlines()[-1] == "Healthy."
    facts = json.loads(run("status", "--json", "--data", folder).stdout)
    assert [line.split() for line in status.stdout.splitlines()] == [
        [facts["url"]],
        ["node", "port", "pid", "role", "slots", "primary", "link"],
        *(
            [
                *(str(node[name]) for name in ("index", "port", "pid", "role")),
                ",".join(f"{first}-{last}" for first, last in node["slots"]) or "-",
                str(node["primary_port"] or "-"),
                "up",
            ]
            for node in facts["nodes"]
        ),
        ["Healthy."],
    ]
    assert [(node["port"], node["pid"]) for node in facts["nodes"]] == [
        (node.port, node.pid) for node in state.nodes
    ]
    assert (facts["running"], facts["healthy"], facts["problem"]) == (True, True, None)
    assert facts["supervisor_pid"] == state.supervisor_pid
    assert [node["role"] for node in facts["nodes"]] == ["primary"] * 3 + ["replica"] * 3
    assert [node["link"] for node in facts["nodes"]] == ["up"] * 6
    assert [node["primary_port"] for node in facts["nodes"][3:]] == [
        node.port for node in state.nodes[:3]
    ]

    with connect_first(state) as client:
        client.set(KEY_OF_FIRST, "kept")

    stopped = run("stop", "--data", folder)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert read_state(folder) is None
    assert all(gone(pid) for pid in pids)
    idle = run("stop", "--data", folder)
    assert (idle.returncode, idle.stdout) == (0, f"No cluster is running in {folder}.\n")

    assert run("start", "--data", folder).returncode == 0
    resumed = running(folder)
    assert (resumed.url, resumed.node_timeout) == (state.url, 1.0)
    with connect_first(resumed) as client:
        assert client.get(KEY_OF_FIRST) == b"kept"


@pytest.mark.alternating
def test_default_folder_and_dead_node(tmp_path: Path) -> None:
    folder = tmp_path / ".clusterpass" / "cluster"
    try:
        assert run("start", "--nodes", 3, cwd=tmp_path).returncode == 0
        dead = running(folder).nodes[2]
        assert dead.pid is not None
        os.kill(dead.pid, signal.SIGKILL)
        eventually(lambda: running(folder).nodes[2].pid is None, "the death was noticed")
        status = run("status", cwd=tmp_path)
        assert status.returncode == 1
        assert "exited" in status.stdout
        assert "Not healthy: " in status.stdout
        facts = json.loads(run("status", "--json", cwd=tmp_path).stdout)
        assert (facts["running"], facts["healthy"]) == (True, False)
        assert facts["nodes"][2]["link"] == "down"
        assert run("stop", cwd=tmp_path).returncode == 0
        assert run("start", cwd=tmp_path).returncode == 0  # three nodes, as before
        assert report_on(running(folder)).problem is None
    finally:
        stop_detached(folder)


def test_survives_its_starter_and_its_terminal(folder: Path) -> None:
    program = (
        "import sys; from clusterpass.embedded import start_detached;"
        "print(start_detached(sys.argv[1], nodes=1).supervisor_pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as starter:
        assert starter.stdout is not None
        supervisor = int(starter.stdout.readline())
        os.killpg(starter.pid, signal.SIGINT)
        starter.kill()
    state = running(folder)
    assert state.supervisor_pid == supervisor
    assert report_on(state).problem is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_dead_supervisor_leaves_a_state_file_that_misleads_nobody(folder: Path) -> None:
    state = start_detached(folder, nodes=1)
    os.kill(state.supervisor_pid, signal.SIGKILL)
    eventually(lambda: gone(state.nodes[0].pid), "the server ended")
    eventually(lambda: read_state(folder) is None, "the lock is free")
    assert (folder / "cluster.json").exists()
    assert (folder / "control").exists()
    assert stop_detached(folder) is False
    assert run("status", "--data", folder).returncode == 1
    assert start_detached(folder).url == state.url


def test_sigterm_to_the_supervisor_stops_in_order(folder: Path) -> None:
    state = start_detached(folder, nodes=1)
    os.kill(state.supervisor_pid, signal.SIGTERM)
    eventually(lambda: read_state(folder) is None, "it stopped")
    assert gone(state.nodes[0].pid)
    assert not (folder / "control").exists()


def test_interrupted_start_leaves_nothing(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "start", "--data", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        record = folder / "cluster.json"
        eventually(lambda: record.exists() and b"pid" in record.read_bytes(), "it spawns")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, b"Traceback" in errors) == (1, False)
    pids = [node["pid"] for node in json.loads(record.read_bytes())["nodes"]]
    assert all(pid is None or gone(pid) for pid in pids)
    assert read_state(folder) is None
    assert stop_detached(folder) is False
    assert start_detached(folder, nodes=1).nodes[0].pid  # what was half made is replaced


def test_errors_are_one_sentence(folder: Path) -> None:
    for arguments, what in (
        (["--nodes", "2"], "fewer than three primaries"),
        (["--server", "/absent"], "not an executable file"),
        (["--server", sys.executable, "--nodes", "1"], "exited at once. See "),
        (["--data", "/dev/null/x"], "cannot be created"),
    ):
        done = run("start", "--data", folder, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert what in done.stderr
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        assert done.stderr.endswith(".\n")


def test_taken_port_is_named(folder: Path) -> None:
    state = start_detached(folder, nodes=1)
    stop_detached(folder)
    port = state.nodes[0].port
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(EmbeddedClusterError, match=f"Port {port}, which"):
            start_detached(folder)


def test_plugin_gives_a_cluster(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nclusterpass_nodes = 3\nclusterpass_node_timeout = 0.7\n")
    pytester.makepyfile(
        """
        def test_cluster(clusterpass_cluster, clusterpass_url):
            assert len(clusterpass_cluster.nodes) == 3
            assert clusterpass_url == clusterpass_cluster.url
            with clusterpass_cluster.client(clusterpass_cluster.nodes[0]) as client:
                timeout = client.config_get("cluster-node-timeout")
            assert timeout == {"cluster-node-timeout": "700"}
        """
    )
    installed = importlib.metadata.entry_points(group="pytest11", name="clusterpass")
    load = [] if installed else ["-p", "clusterpass.pytest_plugin"]
    done = pytester.runpytest_subprocess("-p", "no:valkey", *load)
    done.assert_outcomes(passed=1)


def test_plugin_is_cheap_to_import() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import clusterpass.pytest_plugin;"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout == "['clusterpass']\n", done.stderr
