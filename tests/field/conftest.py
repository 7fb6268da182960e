"""Managers of both kinds over stores that are reached through something."""

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionManager
from clusterpass.embedded.binary import find_server
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.location import StoreLocation
from tests.cluster.conftest import REDIS_SERVER, Facade, tls_files  # noqa: F401 (a fixture)

from .servers import Servers, servers

Opener = Callable[..., Any]
PROGRAMS: Final = {
    "valkey": str(find_server(None)),
    "redis": REDIS_SERVER,
    **({"other": other} if (other := os.environ.get("CLUSTERPASS_TEST_SERVER")) else {}),
}
"""The server programs with which tests of networks and missing commands run."""


@pytest.fixture(scope="session", params=PROGRAMS)
def server_program(request: pytest.FixtureRequest) -> str:
    """Each of the server programs."""
    return PROGRAMS[request.param]


@pytest.fixture(scope="session")
def server(server_program: str) -> Iterator[EmbeddedCluster]:
    """One server, without replicas."""
    with EmbeddedCluster(nodes=1, server=server_program) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(server_program: str) -> Iterator[EmbeddedCluster]:
    """Three shards, each with a replica."""
    with EmbeddedCluster(nodes=6, node_timeout=5.0, server=server_program) as running:
        yield running


class _Located(Facade):
    """A facade of a manager whose store stands at a location."""

    def __init__(self, url: Any, config: Config, **options: Any) -> None:
        self._options = options
        super().__init__(url, config)

    async def _open(self, url: Any, config: Config) -> AsyncSessionManager:
        if isinstance(url, str):
            return AsyncSessionManager.from_url(url, config, **self._options)
        return AsyncSessionManager(AsyncStore(url), config)


def _open_sync(where: str | StoreLocation, config: Config, **options: Any) -> SessionManager:
    if isinstance(where, str):
        return SessionManager.from_url(where, config, **options)
    return SessionManager(SyncStore(where), config)


@pytest.fixture(params=["sync", "async"])
def opened(request: pytest.FixtureRequest, config: Config) -> Iterator[Opener]:
    """Opens managers of one kind, at a URL (with further arguments of ``from_url``) or a location;
    all are closed at the end."""
    managers: list[Any] = []

    def open_one(where: str | StoreLocation, **options: Any) -> Any:
        kind: Callable[..., Any] = _open_sync if request.param == "sync" else _Located
        managers.append(kind(where, config, **options))
        return managers[-1]

    yield open_one
    for manager in managers:
        manager.close()


@pytest.fixture
def started(server_program: str) -> Iterator[Servers]:
    """Starts servers with options; they end with the test."""
    with servers(server_program) as made:
        yield made
