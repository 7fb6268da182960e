"""``clusterpass cluster``: start, status and stop of an embedded cluster, and their output."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from clusterpass import embedded
from clusterpass.cli.cluster import cluster
from clusterpass.embedded import report
from clusterpass.embedded.report import ClusterReport, NodeReport
from clusterpass.model.errors import EmbeddedClusterError

NODES = (
    NodeReport(0, 7000, 11, "primary", ((0, 99), (200, 299)), None, "up"),
    NodeReport(1, 7001, 12, "replica", (), 7000, "up"),
    NodeReport(2, 7002, None, "unknown", (), None, "down"),
)
STATE = SimpleNamespace(
    url="redis+cluster://:secret@127.0.0.1:7000",
    supervisor_pid=10,
    nodes=NODES,
    server=Path("/usr/bin/valkey-server"),
)


class World:
    """Calls of the package's functions, and their results."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.state: Any = STATE
        self.problem: str | None = None
        self.fails: Exception | None = None

    def start(self, data: Path, **options: Any) -> Any:
        self.asked.append((data, options))
        return self._answer()

    def read(self, data: Path) -> Any:
        self.asked.append(data)
        return self._answer()

    def report(self, state: Any) -> ClusterReport:
        assert state is STATE
        return ClusterReport(self.problem, NODES)

    def _answer(self) -> Any:
        if self.fails is not None:
            raise self.fails
        return self.state


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(embedded, "start_detached", made.start)
    monkeypatch.setattr(embedded, "read_state", made.read)
    monkeypatch.setattr(embedded, "stop_detached", made.read)
    monkeypatch.setattr(report, "report_on", made.report)
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cluster, arguments)


@pytest.mark.parametrize(("count", "said"), [(1, "1 node"), (2, "2 nodes")])
def test_a_start_prints_the_url_last(world: World, count: int, said: str) -> None:
    world.state = SimpleNamespace(url=STATE.url, nodes=NODES[:count], server=STATE.server)
    outcome = run("start")
    assert outcome.stdout.splitlines() == [
        f"Started {said} (valkey-server) in .clusterpass/cluster.",
        STATE.url,
    ]
    nothing = {"nodes": None, "server": None, "node_timeout": None}
    assert world.asked == [(Path(".clusterpass/cluster"), nothing)]


def test_what_is_chosen_is_passed_on(world: World) -> None:
    options = ("--nodes", "3", "--server", "/bin/x", "--node-timeout", "0.5", "--data", "d")
    assert run("start", *options).exit_code == 0
    chosen = {"nodes": 3, "server": "/bin/x", "node_timeout": 0.5}
    assert world.asked == [(Path("d"), chosen)]


@pytest.mark.parametrize("command", ["start", "status", "stop"])
@pytest.mark.parametrize(
    ("message", "said"),
    [("it failed", "it failed"), ("it failed:\nmore of it", "it failed."), ("a. b.", "a. b.")],
)
def test_an_error_is_one_sentence(world: World, command: str, message: str, said: str) -> None:
    world.fails = EmbeddedClusterError(message)
    outcome = run(command)
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert outcome.stderr == f"Error: {said}\n"


@pytest.mark.parametrize("problem", [None, "a slot has no owner"])
def test_the_state_of_every_node(world: World, problem: str | None) -> None:
    world.problem = problem
    outcome = run("status", "--data", "d")
    assert outcome.exit_code == int(problem is not None)
    url, *rows, verdict = outcome.stdout.splitlines()
    assert "secret" not in url
    assert url.endswith("@127.0.0.1:7000")
    assert [row.split() for row in rows] == [
        ["node", "port", "pid", "role", "slots", "primary", "link"],
        ["0", "7000", "11", "primary", "0-99,200-299", "-", "up"],
        ["1", "7001", "12", "replica", "-", "7000", "up"],
        ["2", "7002", "exited", "unknown", "-", "-", "down"],
    ]
    assert verdict == ("Healthy." if problem is None else f"Not healthy: {problem}.")
    assert world.asked == [Path("d")]


@pytest.mark.parametrize("problem", [None, "a slot has no owner"])
def test_the_state_as_json(world: World, problem: str | None) -> None:
    world.problem = problem
    outcome = run("status", "--json")
    told = json.loads(outcome.stdout)
    assert outcome.exit_code == int(problem is not None)
    assert "secret" not in told.pop("url")
    nodes = told.pop("nodes")
    assert told == {
        "running": True,
        "healthy": problem is None,
        "problem": problem,
        "supervisor_pid": 10,
    }
    assert nodes[1] == {
        "index": 1,
        "port": 7001,
        "pid": 12,
        "role": "replica",
        "slots": [],
        "primary_port": 7000,
        "link": "up",
    }
    assert outcome.stdout.startswith('{\n  "running"')


def test_a_cluster_that_does_not_run(world: World) -> None:
    world.state = None
    outcome = run("status", "--data", "d")
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert outcome.stderr == "No cluster is running in d.\n"
    outcome = run("status", "--json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout) == {"running": False, "healthy": False}


@pytest.mark.parametrize(
    ("was_running", "said"), [(True, "Stopped the cluster"), (False, "No cluster is running")]
)
def test_a_stop_says_whether_there_was_something_to_stop(
    world: World, was_running: bool, said: str
) -> None:
    world.state = was_running
    assert run("stop", "--data", "d").stdout == f"{said} in d.\n"
    assert world.asked == [Path("d")]
