"""Opens a store of either kind for the tests, and makes the calls of both kinds block."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from clusterpass.protocol.script import Flow
from clusterpass.store.protocol import AwaitableStore, Store

PATIENCE_SECONDS: Final = 30.0
"""How long the tests wait for what has to happen."""


class Opened:
    """A store of either kind, with blocking calls."""

    def __init__(self, open_store: Callable[[], Store | AwaitableStore]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def opened() -> Store | AwaitableStore:
            return open_store()

        self.store = self._wait(opened())
        self._is_awaited = inspect.iscoroutinefunction(type(self.store).run)

    def run(self, flow: Flow[Any]) -> Any:
        """The result of ``flow``."""
        return self._done(lambda: self.store.run(flow))

    def run_all(self, flows: Sequence[Flow[Any]]) -> list[Any]:
        """The results of many flows that run at once."""
        if not self._is_awaited:
            with ThreadPoolExecutor(16) as threads:
                return list(threads.map(self.store.run, flows))

        async def gathered() -> list[Any]:
            return await asyncio.gather(*(self.store.run(flow) for flow in flows))

        return list(self._wait(gathered()))

    def ping(self) -> None:
        """Ask whether a primary answers."""
        self._done(self.store.ping)

    def names(self, pattern: str) -> set[bytes]:
        """The keys that match a glob."""
        found: Any = self.store.scan_names(pattern)
        if not self._is_awaited:
            return set(found)

        async def collected() -> set[bytes]:
            return {name async for name in found}

        return set(self._wait(collected()))

    def close(self) -> None:
        """Close the store."""
        self._done(self.store.close)

    def end(self) -> None:
        """Close the store and end the thread of its event loop."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def _done(self, call: Callable[[], Any]) -> Any:
        if not self._is_awaited:
            return call()

        async def awaited() -> Any:
            return await call()

        return self._wait(awaited())

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_SECONDS)
