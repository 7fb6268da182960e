"""A cluster that may be torn apart, and managers of either style on it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager

from ..conftest import Facade
from .shards import HANGING, wait_until_filled

NODE_TIMEOUT = 2.0


@pytest.fixture(scope="module")
def shaken() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=6, node_timeout=NODE_TIMEOUT) as running:
        yield running


@pytest.fixture
def fragile(shaken: EmbeddedCluster, config: Config) -> Iterator[EmbeddedCluster]:
    """The cluster, whole before and after each test; all its journals count."""
    shaken.wait_until_healthy(HANGING)
    with SessionManager.from_url(shaken.url, config) as manager:
        manager.sessions("nobody")
        wait_until_filled(manager)
    yield shaken
    for node in shaken.nodes:
        if node.pid is None:
            shaken.restart(node)
        shaken.resume(node)
    shaken.wait_until_healthy(HANGING)


@pytest.fixture(params=["sync", "async"])
def open_one(request: pytest.FixtureRequest) -> Iterator[Callable[[str, Config], Any]]:
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    opened: list[Any] = []

    def open_it(url: str, config: Config) -> Any:
        opened.append(kind(url, config))
        return opened[-1]

    yield open_it
    for manager in opened:
        manager.close()


@pytest.fixture
def manager(open_one: Any, fragile: EmbeddedCluster, config: Config) -> Any:
    return open_one(fragile.url, config)


@pytest.fixture
def other(open_one: Any, fragile: EmbeddedCluster, config: Config) -> Any:
    """A second manager that shares no memory with the first, as in another process."""
    return open_one(fragile.url, config)
