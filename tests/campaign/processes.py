"""The client processes of the campaign: each has one manager, under load from threads or tasks.

Run in a process of its own by :class:`tests.staleness.workers.Worker`, which calls its methods.
"""

import asyncio
import dataclasses
import gc
import inspect
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusterpass import AsyncSessionManager, AuditPolicy, Config, KeyRing, SessionManager
from clusterpass.model.errors import ClusterPassError
from clusterpass.sessions.memory import denials
from clusterpass.store.address import Address
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.location import StoreLocation
from clusterpass.store.store_url import parse_store_url
from tests.staleness.workers import LoopThread

from .acts import Act
from .clocks import JumpingClock
from .history import READS, Recorder
from .lives import Lives
from .mix import Mix

REFRESH_GRACE = 5
"""Seconds."""
KINDS: dict[str, tuple[bool, dict[str, Any]]] = {
    "threads": (False, {"audit": AuditPolicy()}),
    "tasks": (True, {"audit": AuditPolicy()}),
    "strict": (False, {"verification": "strict", "step_up_ends_older_tokens": True}),
    "full": (True, {"cache_entries": 16}),
}
"""For each name, whether the process has tasks, and its configuration."""
_THREADS, _TASKS = 4, 20
_THREAD_PAUSE, _TASK_PAUSE = 0.0005, 0.004
"""Seconds between two operations: the machine has to be left some time for the cluster."""
_THREADS_IN_A_BURST = 100
_SOAK_SLOWER = 40
_SOAK_LIMITS: Any = {
    "access_lifetime": 60,
    "idle_lifetime": 60,
    "absolute_lifetime": 120,
    "cache_entries": 1000,
}
"""So that as much ends as begins, after some minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The settings with which a process starts."""

    kind: str
    """One of :data:`KINDS`."""
    name: str
    folder: Path
    keys: Path
    seed: int
    bound: float
    mix: Mix
    broken: str = ""
    soaks: bool = False
    """Whether this is a soak: nothing is recorded, the load is light, bounded caches fill early: so
    unbounded growth shows."""


class _Process:
    def __init__(self, start: Start) -> None:
        recorder = (
            None if start.soaks else Recorder(start.folder / f"{start.name}.operations", start.name)
        )
        _, options = KINDS[start.kind]
        self.lives = Lives(
            start.name, start.folder, start.seed, start.mix, recorder, "verification" in options
        )
        self._slower = _SOAK_SLOWER if start.soaks else 1
        self._clock = JumpingClock()
        self._clock.install()
        self._reached_at: dict[Address, Address] = {}
        self.config = Config(
            issuer="https://auth.example",
            keys=KeyRing.load(start.keys),
            staleness_bound=start.bound,
            activity_interval=5,
            refresh_grace=REFRESH_GRACE,
            **(_SOAK_LIMITS if start.soaks else options),
        )
        if start.soaks:
            denials.MOST_SESSIONS, denials.MOST_SUBJECTS = 1000, 500  # type: ignore[misc]
        self.is_ending = False
        self.errors: list[str] = []
        self.in_bursts: dict[str, int] = {}
        """How verifies in bursts came out."""

    def reach(self, reached_at: Mapping[Address, Address]) -> None:
        """Connect there from now on, in place of the nodes' own addresses."""
        self._reached_at.clear()
        self._reached_at.update(reached_at)

    def blocks(self) -> int:
        """Return the number of memory blocks that the interpreter holds after a collection."""
        gc.collect()
        return sys.getallocatedblocks()

    def jump(self, seconds: float) -> None:
        """Let the clock be ahead by this much."""
        self._clock.offset = seconds

    def _location(self, url: str) -> StoreLocation:
        return dataclasses.replace(parse_store_url(url), reached_at=self._reached_at)

    def _unexpected(self, error: BaseException) -> None:
        if len(self.errors) < 5:
            self.errors.append(repr(error))

    def _count_burst(self, acts: list[Act]) -> dict[str, int]:
        found: dict[str, int] = {}
        for act in acts:
            outcome = act.operation.outcome or "raised"
            if act.operation.outcome == "store_unavailable":
                outcome = f"{outcome} {act.operation.reason}"
            found[outcome] = found.get(outcome, 0) + 1
        for outcome, count in found.items():
            self.in_bursts[outcome] = self.in_bursts.get(outcome, 0) + count
        return found

    def _result(self, stats: Any) -> dict[str, Any]:
        self.lives.close()
        return {
            "operations": self.lives.count,
            "errors": self.errors,
            "waiting": stats.pending.waiting,
            "confirmed": stats.pending.confirmed,
            "rollbacks": stats.rollbacks,
            "hits": stats.cache.hits,
            "in bursts": self.in_bursts,
        }


def make(start: Start) -> "Threads | Tasks":
    """The object of a process; of a build that is broken on purpose, if that is named."""
    if start.broken:
        from .builds import BROKEN

        BROKEN[start.broken].apply()
    return Tasks(start) if KINDS[start.kind][0] else Threads(start)


class Threads(_Process):
    """A synchronous manager and some threads."""

    def begin(self, url: str) -> None:
        """Start the load."""
        self._manager = SessionManager(SyncStore(self._location(url)), self.config)
        self._threads = [threading.Thread(target=self._live, daemon=True) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def end(self, wait: bool = True) -> dict[str, Any]:
        """Stop the load, return what was counted; without ``wait`` revocations may be pending."""
        self.is_ending = True
        for thread in self._threads:
            thread.join(30)
        if wait:
            _wait_until_confirmed(self._manager)
        result = self._result(self._manager.stats())
        began = time.monotonic()
        self._manager.close()
        return {**result, "closed in": round(time.monotonic() - began, 1)}

    def burst(self, count: int) -> dict[str, int]:
        """So many verifies at once, by many threads; how they came out."""
        acts = self.lives.verifies(count)
        share = -(-count // _THREADS_IN_A_BURST)
        parts = [acts[first : first + share] for first in range(0, len(acts), share)]
        threads = [threading.Thread(target=self._carry_out, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return self._count_burst(acts)

    def stall(self, seconds: float) -> None:
        """Let every thread wait for one that does not give the interpreter away."""
        interval = sys.getswitchinterval()
        sys.setswitchinterval(seconds)
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass
        finally:
            sys.setswitchinterval(interval)

    def _carry_out(self, acts: list[Act]) -> None:
        for act in acts:
            result, failure = None, None
            _begin_now(act)
            try:
                result = act.call(self._manager)
            except ClusterPassError as error:
                failure = error
            except Exception as error:
                self._unexpected(error)
                continue
            self.lives.note(act, result, failure)

    def _live(self) -> None:
        while not self.is_ending:
            act = self.lives.next()
            self._carry_out([act])
            if act.operation.verb == "verify":
                self._carry_out(self.lives.verifies(self.lives.batch - 1))
            time.sleep(_THREAD_PAUSE * self._slower)


class Tasks(_Process):
    """An asynchronous manager and many tasks."""

    def begin(self, url: str) -> None:
        """Start the load."""
        self._thread = LoopThread(asyncio.new_event_loop)
        self._thread.run(self._begin(url))

    def end(self, wait: bool = True) -> dict[str, Any]:
        """Stop the load, return what was counted; without ``wait`` revocations may be pending."""
        self.is_ending = True
        return dict(self._thread.run(self._end(wait)))

    def burst(self, count: int) -> dict[str, int]:
        """So many verifies at once, by as many tasks; how they came out."""
        return dict(self._thread.run(self._burst(count)))

    def stall(self, seconds: float) -> None:
        """Let the event loop stand still."""
        self._thread.loop.call_soon_threadsafe(time.sleep, seconds)

    async def _begin(self, url: str) -> None:
        self._manager = AsyncSessionManager(AsyncStore(self._location(url)), self.config)
        self._tasks = [asyncio.create_task(self._live()) for _ in range(_TASKS)]

    async def _end(self, wait: bool) -> dict[str, Any]:
        await asyncio.wait(self._tasks, timeout=30)
        if wait:
            await asyncio.to_thread(_wait_until_confirmed, self._manager)
        result = self._result(self._manager.stats())
        began = time.monotonic()
        await self._manager.close()
        return {**result, "closed in": round(time.monotonic() - began, 1)}

    async def _burst(self, count: int) -> dict[str, int]:
        acts = self.lives.verifies(count)
        await asyncio.gather(*(self._carry_out([act]) for act in acts))
        return self._count_burst(acts)

    async def _carry_out(self, acts: list[Act]) -> None:
        for act in acts:
            result, failure = None, None
            _begin_now(act)
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

    async def _live(self) -> None:
        while not self.is_ending:
            act = self.lives.next()
            await self._carry_out([act])
            if act.operation.verb == "verify":
                await self._carry_out(self.lives.verifies(self.lives.batch - 1))
            await asyncio.sleep(_TASK_PAUSE * self._slower)


def _begin_now(act: Act) -> None:
    """What changes something was recorded before; what reads begins when it is its turn."""
    if act.operation.verb in READS:
        act.operation.began = time.monotonic()


def _wait_until_confirmed(manager: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while manager.stats().pending.waiting and time.monotonic() < deadline:
        time.sleep(0.05)
