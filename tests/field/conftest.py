"""Managers of both kinds over stores that are reached through something."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionManager
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.location import StoreLocation
from tests.cluster.conftest import Facade, tls_files  # noqa: F401 (a fixture)

from .servers import Servers, servers

Opener = Callable[[str | StoreLocation], Any]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedCluster]:
    """One server, without replicas."""
    with EmbeddedCluster(nodes=1) as running:
        yield running


class _Located(Facade):
    """A facade of a manager whose store stands at a location."""

    async def _open(self, url: Any, config: Config) -> AsyncSessionManager:
        if isinstance(url, str):
            return AsyncSessionManager.from_url(url, config)
        return AsyncSessionManager(AsyncStore(url), config)


def _open_sync(where: str | StoreLocation, config: Config) -> SessionManager:
    if isinstance(where, str):
        return SessionManager.from_url(where, config)
    return SessionManager(SyncStore(where), config)


@pytest.fixture(params=["sync", "async"])
def opened(request: pytest.FixtureRequest, config: Config) -> Iterator[Opener]:
    """Opens managers of one kind, at a URL or a location; all are closed at the end."""
    managers: list[Any] = []

    def open_one(where: str | StoreLocation) -> Any:
        kind: Callable[..., Any] = _open_sync if request.param == "sync" else _Located
        managers.append(kind(where, config))
        return managers[-1]

    yield open_one
    for manager in managers:
        manager.close()


@pytest.fixture
def started() -> Iterator[Servers]:
    """Starts servers with options; they end with the test."""
    with servers() as made:
        yield made
