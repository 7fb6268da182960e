"""With the store or the auth service gone, everybody is told to come back; nobody is logged out.

Each outage is brought about once, for all proxies together. When it is over, the session of before
is accepted behind all of them.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from clusterpass import EmbeddedCluster, TokenPair
from tests.ports import free_port
from tests.service.conftest import ServerProcess, serving

from .conftest import COOKIE, SETTINGS, Seen, listening, manager_on, visitor
from .programs import PROGRAMS, Proxy, locate, proxying, require

LONGEST = 60.0

pytestmark = pytest.mark.timeout(240)


class Stage:
    """All proxies in front of one service, on a store of its own; one session."""

    def __init__(
        self, store: EmbeddedCluster, start: Callable[..., ServerProcess], pair: TokenPair
    ) -> None:
        self.store = store
        self._start = start
        self.grpc_port = free_port()
        self._settings = {**SETTINGS, **listening(self.grpc_port)}
        self.service = start(**self._settings)
        self.pair = pair
        self.proxies: dict[str, Proxy] = {}

    def client(self, name: str) -> httpx.Client:
        return visitor(self.proxies[name], self.pair)

    def status(self, name: str, path: str = "/private") -> int:
        with self.client(name) as client:
            return client.get(path).status_code

    @contextmanager
    def store_silent(self) -> Iterator[None]:
        for node in self.store.nodes:
            self.store.pause(node)
        yield
        for node in self.store.nodes:
            self.store.resume(node)

    @contextmanager
    def store_gone(self) -> Iterator[None]:
        nodes = self.store.nodes
        for node in nodes:
            self.store.kill(node)
        yield
        for node in nodes:
            self.store.restart(node)

    @contextmanager
    def service_silent(self) -> Iterator[None]:
        processes = [self.service.process.pid, *self.service.children()]
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        yield
        for each in processes:
            os.kill(each, signal.SIGCONT)

    @contextmanager
    def service_gone(self) -> Iterator[None]:
        self.service.stop()
        yield
        self.service = self._start(port=self.service.port, **self._settings)


@pytest.fixture(scope="module")
def stage(
    keys_file: Path, app_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("outages")
    with ExitStack() as stack:
        store = EmbeddedCluster(nodes=3, node_timeout=5.0, persistent=True)
        stack.enter_context(store)
        start = stack.enter_context(serving(store.url, keys_file, folder))
        manager = stack.enter_context(manager_on(store.url, keys_file))
        stage = Stage(store, start, manager.login("alice"))
        for name in filter(locate, PROGRAMS):
            ports = stage.service.port, stage.grpc_port, app_port
            running = proxying(name, *ports, folder / name)
            stage.proxies[name] = stack.enter_context(running)
        yield stage


OUTAGES = {
    "store silent": Stage.store_silent,
    "store gone": Stage.store_gone,
    "service gone": Stage.service_gone,
    "service silent": Stage.service_silent,
}
OF_THE_STORE = list(OUTAGES)[:2]
ANSWERED_AT_ONCE = list(OUTAGES)[:3]


def during(outages: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("outage", outages, indirect=True, scope="module")


@pytest.fixture(scope="module")
def outage(request: pytest.FixtureRequest, stage: Stage) -> Iterator[str]:
    """The name of an outage that lasts as long as the tests of it."""
    for name in stage.proxies:
        for path in ("/private", "/catalogue/1"):
            assert stage.status(name, path) == 200
    with OUTAGES[request.param](stage):
        if request.param in OF_THE_STORE:
            await_status(stage, next(iter(stage.proxies)), 503)
        yield request.param
    for name in stage.proxies:
        await_status(stage, name, 200)


@pytest.fixture(params=PROGRAMS)
def name(request: pytest.FixtureRequest) -> str:
    require(request.param)
    return request.param


def await_status(stage: Stage, name: str, wanted: int) -> None:
    """Return when a proxy says so; before that, nobody is refused."""
    deadline = time.monotonic() + LONGEST
    while (status := stage.status(name)) != wanted:
        assert status in {200, 503}, status
        assert time.monotonic() < deadline
        time.sleep(0.02)


def check_outage(answer: httpx.Response) -> None:
    """The client is told to come back, and keeps its session."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.text
    for name in ("set-cookie", "www-authenticate", "x-upstream"):
        assert name not in answer.headers


@during(list(OUTAGES))
def test_who_is_logged_in_is_told_to_come_back(stage, outage, name):
    with stage.client(name) as client:
        check_outage(client.get("/private?page=1"))
        token = client.headers.pop("Authorization").removeprefix("Bearer ")
        client.headers["Cookie"] = f"{COOKIE}={token}"
        check_outage(client.post("/private", content="x"))


@during(ANSWERED_AT_ONCE)
def test_nobody_gets_in_by_an_outage(stage, outage, name):
    with visitor(stage.proxies[name]) as client:
        answer = client.get("/private")
    assert answer.status_code == (401 if outage in OF_THE_STORE else 503)
    assert "x-upstream" not in answer.headers


@during(ANSWERED_AT_ONCE)
def test_what_needs_no_session_needs_no_store(stage, outage, name):
    with visitor(stage.proxies[name]) as client:
        answer = client.get("/public/page")
    if outage in OF_THE_STORE:
        assert Seen.of(answer).said["path"] == "/public/page"
    else:
        check_outage(answer)


@during(OF_THE_STORE)
def test_a_grace_is_for_what_only_reads(stage, outage, name):
    with stage.client(name) as client:
        for method in ("GET", "OPTIONS"):
            seen = Seen.of(client.request(method, "/catalogue/1"))
            assert seen.values("X-Auth-Grace") == ["1"]
        for method in ("POST", "DELETE"):
            check_outage(client.request(method, "/catalogue/1?outage_grace=300"))


@during(OF_THE_STORE)
def test_envoy_over_grpc_says_what_the_service_says(stage, outage):
    require("envoy-grpc")
    with stage.client("envoy-grpc") as client:
        answer = client.get("/private")
    check_outage(answer)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == "store_unavailable"
