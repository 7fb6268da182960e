"""The script of ``clusterpass demo``: its calls, and the results that it expects."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from clusterpass.cli.demo import command, scenario
from clusterpass.cli.demo.scenario import Scenario, Step
from clusterpass.cli.service_child import HttpAnswer

GOOD = HttpAnswer(200, {"subject": "alice"}, 0.25)
REVOKED = HttpAnswer(401, {"error": "session_revoked", "reason": "logged_out"}, 0.25)
TOKENS = [
    HttpAnswer(200, {"access_token": f"access-{n}", "refresh_token": f"refresh-{n}"}, 0.25)
    for n in range(2)
]
AWAY = HttpAnswer(503, {"error": "store_unavailable", "reason": "connection"}, 0.25)
STORY = [
    *(TOKENS[0], GOOD, GOOD, GOOD, AWAY, GOOD, TOKENS[1], HttpAnswer(204, {}, 0.25)),
    *(REVOKED, REVOKED, REVOKED, REVOKED),
    HttpAnswer(401, {"error": "invalid_refresh_token", "reason": "logged_out"}, 0.25),
]


class Server:
    """One of the two servers: whether it runs."""

    def __init__(self, name: str, port: int, did: list[str]) -> None:
        self.name, self.port, self.did, self.running = name, port, did, True

    def start(self) -> None:
        self.did.append(f"start {self.name}")
        self.running = True

    def kill(self) -> None:
        self.did.append(f"kill {self.name}")
        self.running = False

    def stop(self) -> None:
        self.did.append(f"stop {self.name}")


class Cluster:
    """The cluster: which node is the primary of the user's sessions."""

    url = "redis+cluster://127.0.0.1:7000"

    def __init__(self, did: list[str]) -> None:
        self.did, self.primary = did, SimpleNamespace(port=7000)
        self.comes_back = False

    def primary_of(self, key: bytes) -> Any:
        assert key == b"the key"
        return self.primary

    def kill(self, node: Any, number: int) -> None:
        self.did.append(f"signal {number} to {node.port}")

    def restart(self, node: Any) -> None:
        self.did.append(f"restart {node.port}")
        if not self.comes_back:
            self.primary = SimpleNamespace(port=7003)

    def wait_until_healthy(self, *, timeout: float) -> None:
        self.did.append(f"healthy within {timeout}")

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.did.append("cluster stopped")


class World:
    """Answers what the story asks, one after the other; ``asked`` and ``did`` keep the order."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []
        self.did: list[str] = []
        self.cluster = Cluster(self.did)
        servers: Any = (Server("A", 1, self.did), Server("B", 2, self.did))
        self.scenario = Scenario(self.cluster, *servers, "alice", "secret", b"the key")  # type: ignore[arg-type]

    def ask(self, port: int, method: str, path: str, *, token: Any = None, body: Any = None) -> Any:
        self.asked.append((port, method, path, token, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def steps(self) -> list[Step]:
        return list(self.scenario.steps())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(list(STORY))
    monkeypatch.setattr(scenario, "ask", made.ask)
    yield made


def test_the_whole_story(world: World) -> None:
    steps = world.steps()
    assert [each.title for each in steps] == [
        "Log in on server A",
        "The session is accepted by server A",
        "The session is accepted by server B",
        "Kill server A",
        "The session is still accepted by server B",
        "Kill the database node that holds the session",
        "The session is accepted again after the failover, without a new login",
        "Refresh the tokens on server B",
        "Log out on server B: confirmed, with that node still dead",
        "The session is refused by server B",
        "Start server A again",
        "The session is refused by server A",
        "The killed node comes back as a replica",
        "The session is still refused by server A",
        "The session is still refused by server B",
        "The refresh token is refused as well",
    ]
    assert [each for each in steps if not each.held] == []
    assert world.asked == [
        (1, "POST", "/login", None, {"username": "alice", "password": "secret", "device": "demo"}),
        (1, "GET", "/verify", "access-0", None),
        (2, "GET", "/verify", "access-0", None),
        (2, "GET", "/verify", "access-0", None),
        (2, "GET", "/verify", "access-0", None),
        (2, "GET", "/verify", "access-0", None),
        (2, "POST", "/refresh", None, {"refresh_token": "refresh-0"}),
        (2, "POST", "/logout", "access-1", None),
        (2, "GET", "/verify", "access-1", None),
        (1, "GET", "/verify", "access-1", None),
        (1, "GET", "/verify", "access-1", None),
        (2, "GET", "/verify", "access-1", None),
        (1, "POST", "/refresh", None, {"refresh_token": "refresh-1"}),
    ]
    assert world.did == [
        "kill A",
        f"signal {signal.SIGKILL.value} to 7000",
        "start A",
        "restart 7000",
        "healthy within 30",
    ]


def test_what_each_step_asks_expects_and_was_answered(world: World) -> None:
    told = {each.title: each for each in world.steps()}
    login = told["Log in on server A"]
    assert (login.asked, login.expected, login.answered, login.seconds) == (
        *("POST /login on server A", "200", "200", 0.25),
    )
    verify = told["The session is accepted by server B"]
    assert (verify.asked, verify.expected, verify.answered) == (
        *("GET /verify on server B", "200 alice", "200 alice"),
    )
    killed = told["Kill server A"]
    assert (killed.asked, killed.expected, killed.answered) == (
        *("SIGKILL to server A", "ended", "ended"),
    )
    node = told["Kill the database node that holds the session"]
    assert (node.asked, node.expected, node.answered) == (
        *("SIGKILL to the primary on port 7000", "ended", "ended"),
    )
    over = told["The session is accepted again after the failover, without a new login"]
    assert over.asked == "GET /verify on server B, until it answers 200"
    assert over.expected == "200 alice, after nothing but 503"
    assert over.answered.startswith("503 store_unavailable, then 200 alice, after ")
    refused = told["The session is refused by server B"]
    assert refused.answered == refused.expected == "401 session_revoked: logged_out"
    again = told["Start server A again"]
    assert (again.asked, again.expected, again.answered) == (
        *("clusterpass serve --port 1", "running", "running"),
    )
    back = told["The killed node comes back as a replica"]
    assert (back.asked, back.expected, back.answered) == (
        *("start of the node on port 7000", "a replica", "a replica"),
    )
    last = told["The refresh token is refused as well"]
    assert last.answered == last.expected == "401 invalid_refresh_token: logged_out"
    assert all(0 <= each.seconds < 60 for each in told.values())


def test_without_a_login_there_is_nothing_more_to_see(world: World) -> None:
    world.answers[:] = [HttpAnswer(401, {"error": "invalid_credentials"}, 0.1)]
    (step,) = world.steps()
    assert (step.held, step.answered) == (False, "401 invalid_credentials")


@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        (ConnectionRefusedError(), "no answer (ConnectionRefusedError)"),
        (HttpAnswer(200, {"subject": "bob"}, 0.1), "200 bob"),
        (AWAY, "503 store_unavailable"),
    ],
)
def test_an_answer_that_is_not_the_expected_one_is_said(
    world: World, answer: Any, answered: str
) -> None:
    world.answers[2] = answer
    step = world.steps()[2]
    assert (step.held, step.answered, step.expected) == (False, answered, "200 alice")


@pytest.mark.parametrize(
    ("between", "held"), [([AWAY, AWAY], True), ([REVOKED], False), ([OSError()], False)]
)
def test_during_a_failover_a_client_may_be_told_nothing_but_503(
    world: World, between: list[Any], held: bool
) -> None:
    world.answers[4:5] = between
    assert world.steps()[6].held is held


def test_a_failover_that_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(number) for number in range(10_000))
    monkeypatch.setattr(
        scenario, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None)
    )
    world.answers[4:] = [AWAY] * 100
    step = world.steps()[6]
    assert not step.held
    assert step.answered.startswith("503 store_unavailable, after ")
    assert len([each for each in world.asked if each[:3] == (2, "GET", "/verify")]) < 30


def test_a_node_that_comes_back_as_the_primary_and_a_server_that_does_not_die(
    world: World,
) -> None:
    world.cluster.comes_back = True
    world.scenario.first.kill = lambda: None  # type: ignore[method-assign]
    steps = world.steps()
    assert [each.title for each in steps if not each.held] == [
        "Kill server A",
        "The killed node comes back as a replica",
    ]
    assert (steps[3].answered, steps[12].answered) == ("still running", "the primary again")


class Sessions:
    """The session manager and the directory of the demo, in one."""

    store = SimpleNamespace(keyspace=SimpleNamespace(sessions=lambda name: b"the key"))

    def __enter__(self) -> "Sessions":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World) -> World:
    """The command, with everything that it would start."""
    folder = tmp_path / "demo"
    made: dict[str, Any] = {}

    def cluster(**options: Any) -> Cluster:
        made["cluster"] = options
        return world.cluster

    def server(name: str, port: int, settings: Any, log: Path) -> Server:
        keys = Path(settings["CLUSTERPASS_KEYS_FILE"])
        assert keys.exists()
        made[name] = (settings["CLUSTERPASS_STORE_URL"], settings["CLUSTERPASS_ISSUER"], log.name)
        return Server(name, {"A": 1, "B": 2}[name], world.did)

    def add(name: str, password: str) -> None:
        made["user"] = name
        world.scenario.password = password

    def temporary(*, prefix: str) -> str:
        folder.mkdir()
        made["prefix"] = prefix
        return str(folder)

    monkeypatch.setattr(command, "tempfile", SimpleNamespace(mkdtemp=temporary))
    monkeypatch.setattr(command, "EmbeddedCluster", cluster)
    monkeypatch.setattr(command, "ServerProcess", server)
    monkeypatch.setattr(
        command, "SessionManager", SimpleNamespace(from_url=lambda url, config: Sessions())
    )
    monkeypatch.setattr(command, "UserDirectory", lambda _: SimpleNamespace(add=add))
    world.made, world.folder = made, folder  # type: ignore[attr-defined]
    return world


def test_the_demo_tells_its_steps_and_leaves_nothing(demo: Any) -> None:
    outcome = CliRunner().invoke(command.demo, [])
    assert outcome.exit_code == 0, outcome.output
    first, ports, _, *lines = outcome.stdout.splitlines()
    assert first.startswith("Starting a cluster of three primaries and three replicas")
    assert ports == "Server A listens on port 1, server B on port 2."
    assert lines[:3] == [
        " 1. Log in on server A",
        "    action    POST /login on server A",
        "    result    200   (250 ms, ok)",
    ]
    assert lines[-2:] == ["", "Every step was answered as expected."]
    assert "16. The refresh token is refused as well" in lines
    assert "expected  " not in outcome.stdout
    assert demo.asked[0][-1] == {
        "username": "alice",
        "password": demo.scenario.password,
        "device": "demo",
    }
    folder, made = demo.folder, demo.made
    assert not folder.exists()
    assert made["cluster"] == {
        "nodes": 6,
        "data_folder": folder / "cluster",
        "node_timeout": 1.0,
    }
    assert (made["user"], made["prefix"]) == ("alice", "clusterpass-demo-")
    issuer = "https://demo.clusterpass.example"
    assert made["A"] == (Cluster.url, issuer, "server-a.log")
    assert made["B"] == (Cluster.url, issuer, "server-b.log")
    assert demo.did[:2] == ["start A", "start B"]
    assert demo.did[-3:] == ["stop A", "stop B", "cluster stopped"]


def test_a_step_that_fails_is_shown_with_what_was_expected(demo: Any) -> None:
    demo.answers[1] = REVOKED
    outcome = CliRunner().invoke(command.demo, [])
    assert outcome.exit_code == 1
    assert (
        "    result    401 session_revoked: logged_out   (250 ms, FAILED)\n"
        "    expected  200 alice\n"
    ) in outcome.stdout
    assert outcome.stdout.endswith("\nAt least one step was NOT answered as expected.\n")


@pytest.mark.parametrize(("held", "colour"), [(True, 32), (False, 31)])
def test_the_verdict_has_a_colour_on_a_terminal(demo: Any, held: bool, colour: int) -> None:
    if not held:
        demo.answers[1] = REVOKED
    shown = CliRunner().invoke(command.demo, [], color=True).stdout
    assert f"\x1b[{colour}m\x1b[1m\n" in shown
    assert ("\x1b[31mFAILED" in shown) is not held
    assert "\x1b[32mok" in shown


@pytest.mark.parametrize("held", [True, False])
def test_the_steps_as_json(demo: Any, held: bool) -> None:
    if not held:
        demo.answers[1] = REVOKED
    outcome = CliRunner().invoke(command.demo, ["--json"])
    told = json.loads(outcome.stdout)
    assert (outcome.exit_code, told["held"]) == (int(not held), held)
    assert told["steps"][1]["held"] is held
    assert set(told["steps"][0]) == {
        *("title", "asked", "expected", "answered", "seconds", "held"),
    }
    assert outcome.stdout.startswith('{\n  "held"')


def test_a_server_that_does_not_start_leaves_nothing_either(
    demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(server: Server) -> None:
        raise OSError("it does not start")

    monkeypatch.setattr(Server, "start", fail)
    outcome = CliRunner().invoke(command.demo, [])
    assert isinstance(outcome.exception, OSError)
    assert demo.did == ["stop A", "stop B", "cluster stopped"]
    assert not demo.folder.exists()
