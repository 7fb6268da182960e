"""With the store or the auth service gone, everybody is told to come back, and nobody is logged out.

Each part of an outage is brought about once, for all proxies.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from clusterpass import EmbeddedCluster, TokenPair
from tests.service.conftest import ServerProcess, serving

from .conftest import COOKIE, SETTINGS, Seen, manager_on, visitor
from .programs import PROGRAMS, Proxy, find_program, proxying

LONGEST = 60.0

pytestmark = pytest.mark.timeout(240)


class Stage:
    """All proxies in front of one service, on a store of its own; one session."""

    def __init__(self, store: EmbeddedCluster, service: ServerProcess, pair: TokenPair) -> None:
        self.store = store
        self.service = service
        self.pair = pair
        self.proxies: dict[str, Proxy] = {}

    def client(self, name: str) -> httpx.Client:
        return visitor(self.proxies[name], self.pair)


@pytest.fixture(scope="module", params=PROGRAMS)
def name(request: pytest.FixtureRequest) -> str:
    find_program(request.param)
    return request.param


@pytest.fixture(scope="module")
def stage(
    keys_file: Path, app_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("outages")
    with ExitStack() as stack:
        store = stack.enter_context(EmbeddedCluster(nodes=3, node_timeout=5.0))
        start = stack.enter_context(serving(store.url, keys_file, folder))
        manager = stack.enter_context(manager_on(store.url, keys_file))
        stage = Stage(store, start(**SETTINGS), manager.login("alice"))
        port = httpx.URL(stage.service.url).port
        assert port is not None
        for each in PROGRAMS:
            with_program = ExitStack()
            try:
                find_program(each)
            except pytest.skip.Exception:
                continue
            running = with_program.enter_context(proxying(each, port, app_port, folder / each))
            stack.push(with_program)
            stage.proxies[each] = running
        yield stage


def check_outage(answer: httpx.Response) -> None:
    """The client is told to come back, and keeps its session."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert "set-cookie" not in answer.headers
    assert "www-authenticate" not in answer.headers
    assert "x-upstream" not in answer.headers
    assert answer.text
