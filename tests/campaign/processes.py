"""The processes of the campaign: one with threads, one with tasks; each has one manager.

Run in a process of its own by :class:`tests.staleness.workers.Worker`, which calls its methods.
"""

import asyncio
import dataclasses
import inspect
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clusterpass import AsyncSessionManager, Config, KeyRing, SessionManager
from clusterpass.errors import ClusterPassError
from clusterpass.store.aio import AsyncStore
from clusterpass.store.sync import SyncStore
from clusterpass.store.url import Address, StoreLocation, parse_store_url
from tests.staleness.workers import LoopThread

from .clocks import JumpingClock
from .lives import Lives, Mix

REFRESH_GRACE = 5
"""Seconds."""
_THREADS, _TASKS = 4, 20
_THREAD_PAUSE, _TASK_PAUSE = 0.0005, 0.004
"""Seconds between two operations: the machine has to be left some time for the cluster."""


class _Process:
    def __init__(
        self, name: str, folder: str, seed: int, bound: float, keys: str, mix: Mix
    ) -> None:
        self.lives = Lives(name, Path(folder), seed, mix)
        self._clock = JumpingClock()
        self._clock.install()
        self._reached_at: dict[Address, Address] = {}
        self.config = Config(
            issuer="https://auth.example",
            keys=KeyRing.load(keys),
            staleness_bound=bound,
            activity_interval=5,
            refresh_grace=REFRESH_GRACE,
        )
        self.is_ending = False
        self.errors: list[str] = []

    def reach(self, reached_at: Mapping[Address, Address]) -> None:
        """Connect there from now on, in place of the nodes' own addresses."""
        self._reached_at.clear()
        self._reached_at.update(reached_at)

    def jump(self, seconds: float) -> None:
        """Let the clock be ahead by this much."""
        self._clock.offset = seconds

    def _location(self, url: str) -> StoreLocation:
        return dataclasses.replace(parse_store_url(url), reached_at=self._reached_at)

    def _unexpected(self, error: BaseException) -> None:
        if len(self.errors) < 5:
            self.errors.append(repr(error))

    def _result(self, stats: Any) -> dict[str, Any]:
        self.lives.close()
        return {
            "operations": self.lives.count,
            "errors": self.errors,
            "waiting": stats.pending.waiting,
            "confirmed": stats.pending.confirmed,
            "rollbacks": stats.rollbacks,
            "hits": stats.cache.hits,
        }


def make(kind: str, broken: str, *given: Any) -> "Threads | Tasks":
    """The object of a process; of a build that is broken on purpose, if that is named."""
    if broken:
        from .builds import BROKEN

        BROKEN[broken].apply()
    return Tasks(*given) if kind == "tasks" else Threads(*given)


class Threads(_Process):
    """A synchronous manager and some threads."""

    def begin(self, url: str) -> None:
        """Begin to live."""
        self._manager = SessionManager(SyncStore(self._location(url)), self.config)
        self._threads = [threading.Thread(target=self._live, daemon=True) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> dict[str, Any]:
        """Live no more; what was counted."""
        self.is_ending = True
        for thread in self._threads:
            thread.join(30)
        _wait_until_confirmed(self._manager)
        result = self._result(self._manager.stats())
        self._manager.close()
        return result

    def _live(self) -> None:
        while not self.is_ending:
            act = self.lives.next()
            result, failure = None, None
            try:
                result = act.call(self._manager)
            except ClusterPassError as error:
                failure = error
            except Exception as error:
                self._unexpected(error)
                continue
            self.lives.note(act, result, failure)
            time.sleep(_THREAD_PAUSE)


class Tasks(_Process):
    """An asynchronous manager and many tasks."""

    def begin(self, url: str) -> None:
        """Begin to live."""
        self._thread = LoopThread(asyncio.new_event_loop)
        self._thread.run(self._begin(url))

    def end(self) -> dict[str, Any]:
        """Live no more; what was counted."""
        self.is_ending = True
        return dict(self._thread.run(self._end()))

    async def _begin(self, url: str) -> None:
        self._manager = AsyncSessionManager(AsyncStore(self._location(url)), self.config)
        self._tasks = [asyncio.create_task(self._live()) for _ in range(_TASKS)]

    async def _end(self) -> dict[str, Any]:
        await asyncio.wait(self._tasks, timeout=30)
        await asyncio.to_thread(_wait_until_confirmed, self._manager)
        result = self._result(self._manager.stats())
        await self._manager.close()
        return result

    async def _live(self) -> None:
        while not self.is_ending:
            act = self.lives.next()
            result, failure = None, None
            try:
                result = act.call(self._manager)
                if inspect.isawaitable(result):
                    result = await result
            except ClusterPassError as error:
                failure = error
            except Exception as error:
                self._unexpected(error)
                continue
            self.lives.note(act, result, failure)
            await asyncio.sleep(_TASK_PAUSE)


def _wait_until_confirmed(manager: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while manager.stats().pending.waiting and time.monotonic() < deadline:
        time.sleep(0.05)
