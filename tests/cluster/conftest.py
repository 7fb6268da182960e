"""The same tests over both managers and several engines."""

import asyncio
import inspect
import shutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionManager

REDIS_SERVER = shutil.which("redis-server") or "/usr/bin/redis-server"


class Facade:
    """The verbs of an AsyncSessionManager, each run to its end on a loop of its own thread."""

    def __init__(self, url: str, config: Config) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.manager = self._run(self._open(url, config))

    async def _open(self, url: str, config: Config) -> AsyncSessionManager:
        return AsyncSessionManager.from_url(url, config)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def __getattr__(self, verb: str) -> Any:
        if verb in {"bans", "claims", "online"}:
            return _Group(self._run, getattr(self.manager, verb))
        method = getattr(self.manager, verb)
        if not inspect.iscoroutinefunction(method):
            return method
        return lambda *args, **options: self._run(method(*args, **options))

    def close(self) -> None:
        self._run(self.manager.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class _Group:
    """The same for a group of verbs."""

    def __init__(self, run: Callable[[Any], Any], group: Any) -> None:
        self._run_one, self._group = run, group

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        method = getattr(self._group, verb)
        return lambda *args, **options: self._run_one(method(*args, **options))


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[EmbeddedCluster]:
    """The second engine: Debian's redis-server."""
    with EmbeddedCluster(nodes=6, server=REDIS_SERVER, node_timeout=5.0) as running:
        yield running


@pytest.fixture(scope="session")
def single_server() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=1) as running:
        yield running


@pytest.fixture(
    scope="session",
    params=[
        ("cluster", "sync"),
        ("cluster", "async"),
        ("redis_cluster", "sync"),
        ("redis_cluster", "async"),
        ("single_server", "sync"),
    ],
    ids="-".join,
)
def engine(request: pytest.FixtureRequest) -> tuple[EmbeddedCluster, str]:
    name, style = request.param
    return request.getfixturevalue(name), style


@pytest.fixture(scope="session")
def open_manager(engine: tuple[EmbeddedCluster, str]) -> Iterator[Callable[[Config], Any]]:
    """Opens a manager of the engine under test; all are closed at the end."""
    running, style = engine
    opened: list[Any] = []

    def open_one(config: Config) -> Any:
        manager: Any = (
            SessionManager.from_url(running.url, config)
            if style == "sync"
            else Facade(running.url, config)
        )
        opened.append(manager)
        return manager

    yield open_one
    for manager in opened:
        manager.close()


@pytest.fixture(scope="session")
def manager(open_manager: Callable[[Config], Any], config: Config) -> Any:
    return open_manager(config)
