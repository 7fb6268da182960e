"""Load that does not wait for its answers: calls are due at fixed times, shard by shard.

What is measured is the time from when a call was due to its answer, so that a call which could not
even begin counts with all its waiting (no "coordinated omission").
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clusterpass import AsyncSessionManager, Config, SessionManager
from clusterpass.model.errors import ClusterPassError
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.store.topology.cluster_nodes import Member

LOGINS = 0.2
"""The share of logins; the others are strict verifies: both go to the shard each time."""
_THREADS = 8
_SESSIONS = 20
_LOGIN_NAMES = 50


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it was due and when it was answered, in seconds of the monotonic clock."""

    due: float
    ended: float
    is_good: bool

    @property
    def latency(self) -> float:
        """Seconds."""
        return self.ended - self.due


@dataclass(slots=True)
class ShardLoad:
    """The load on one shard, and its failures."""

    name: str
    subjects: Sequence[str]
    calls: list[Call] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    failures: set[str] = field(default_factory=set)
    """Codes of errors that are no 503."""


def subjects_of(owner: Member, keyspace: Keyspace) -> list[str]:
    """Names that belong to its slots."""
    found: list[str] = []
    number = 0
    while len(found) < _SESSIONS + _LOGIN_NAMES:
        number += 1
        if owner.owns(slot_of(keyspace.sessions(f"user-{number}"))):
            found.append(f"user-{number}")
    return found


class Load:
    """Equal calls for a synchronous and an asynchronous manager."""

    def __init__(self, shards: Sequence[ShardLoad], rate: float, seed: int) -> None:
        """``rate``: calls a second for each shard."""
        self.shards = shards
        self._rate = rate
        self._random = random.Random(seed)
        self._is_over = False

    def stop(self) -> None:
        """End the load: make no more calls."""
        self._is_over = True

    def _next(self, shard: ShardLoad) -> Callable[[Any], Any]:
        if self._random.random() < LOGINS:
            subject = self._random.choice(shard.subjects[_SESSIONS:])
            return lambda manager: manager.login(subject)
        token = self._random.choice(shard.tokens)
        return lambda manager: manager.verify(token, verification="strict")

    def _note(self, shard: ShardLoad, due: float, error: ClusterPassError | None) -> None:
        shard.calls.append(Call(due, time.monotonic(), error is None))
        if error is not None and error.status != 503:
            shard.failures.add(error.code)


class SyncLoad(Load):
    """Eight threads a shard; a call that finds none free is late."""

    def begin(self, url: str, config: Config) -> None:
        """Log in and begin."""
        self.manager = SessionManager.from_url(url, config)
        for shard in self.shards:
            shard.tokens = [self.manager.login(s).access_token for s in shard.subjects[:_SESSIONS]]
        self._threads = [
            threading.Thread(target=self._work, args=(shard, schedule), daemon=True)
            for shard in self.shards
            for schedule in [_Schedule(self._rate)]
            for _ in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Wait for the last calls."""
        self.stop()
        for thread in self._threads:
            thread.join(30)
        self.manager.close()

    def _work(self, shard: ShardLoad, schedule: "_Schedule") -> None:
        while not self._is_over:
            due = schedule.next()
            time.sleep(max(0.0, due - time.monotonic()))
            failure = None
            try:
                self._next(shard)(self.manager)
            except ClusterPassError as error:
                failure = error
            self._note(shard, due, failure)


class _Schedule:
    """When the next call is due, for several threads."""

    def __init__(self, rate: float) -> None:
        self._lock = threading.Lock()
        self._interval = 1 / rate
        self._due = time.monotonic()

    def next(self) -> float:
        with self._lock:
            self._due += self._interval
            return self._due


class AsyncLoad(Load):
    """A task for each call, on an event loop of its own."""

    def begin(self, url: str, config: Config) -> None:
        """Log in and begin."""
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self._begin(url, config))

    def end(self) -> None:
        """Wait for the last calls."""
        self.stop()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _begin(self, url: str, config: Config) -> None:
        self.manager = AsyncSessionManager.from_url(url, config)
        for shard in self.shards:
            for subject in shard.subjects[:_SESSIONS]:
                shard.tokens.append((await self.manager.login(subject)).access_token)
        self._calls: set[asyncio.Task[None]] = set()
        self._makers = [asyncio.create_task(self._make(shard)) for shard in self.shards]

    async def _end(self) -> None:
        await asyncio.wait(self._makers)
        if self._calls:
            await asyncio.wait(self._calls, timeout=30)
        await self.manager.close()

    async def _make(self, shard: ShardLoad) -> None:
        due = time.monotonic()
        while not self._is_over:
            due += 1 / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            call = asyncio.create_task(self._call(shard, due))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, shard: ShardLoad, due: float) -> None:
        failure = None
        try:
            await self._next(shard)(self.manager)
        except ClusterPassError as error:
            failure = error
        self._note(shard, due, failure)
