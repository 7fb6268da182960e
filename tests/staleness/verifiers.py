"""The processes that verify: one on threads, and two on tasks (asyncio and uvloop).

Threads use the synchronous manager, tasks the asynchronous one. Each process verifies all tokens
that it was told of again and again, and records the outcomes.
"""

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from clusterpass import AsyncSessionManager, SessionManager
from clusterpass.config import VerificationMode
from clusterpass.model.authentication_errors import InvalidToken
from clusterpass.model.errors import StoreUnavailable
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.sync import SyncStore

from .leases_off import switch_leases_off
from .messages import Outcome, Sighting, Token
from .opening import Opening, configuration, location_of
from .records import Record, bring_together
from .workers import LoopThread

_THREADS_OF_A_GROUP = 3
_PAUSE = 0.004
"""Seconds between two verifies of a token by one thread or task."""
_PAUSE_AFTER_REFUSAL = 0.1
_now = time.monotonic


class _Verifier:
    """The records that both kinds of verifiers keep."""

    def __init__(self, *, lease_off: bool) -> None:
        if lease_off:
            switch_leases_off()
        self.manager: Any = None
        self._records: dict[str, list[Record]] = {}
        self._ending = False

    def new_record(self, token: Token) -> Record:
        """For one thread or task."""
        record = Record()
        self._records.setdefault(token.name, []).append(record)
        return record

    def cold(self, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that were not verified from memory yet."""
        return [
            name
            for name in names
            if not any(record.from_memory for record in self._records.get(name, ()))
        ]

    def not_refused(self, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that were never refused."""
        return [
            name
            for name in names
            if all(record.first_refused is None for record in self._records[name])
        ]

    def sightings(self, outcomes: Mapping[str, Outcome], bound: float) -> list[Sighting]:
        """Return the sightings of each token."""
        return [
            bring_together(
                name,
                records,
                begun=outcomes[name].begun if name in outcomes else None,
                acknowledged=outcomes[name].acknowledged if name in outcomes else None,
                bound=bound,
            )
            for name, records in self._records.items()
        ]

    def stats(self) -> str:
        """Return the statistics of the manager."""
        return repr(self.manager.stats())


class SyncVerifier(_Verifier):
    """Several threads for each group of tokens."""

    def open(self, opening: Opening) -> None:
        """Forget what was, and make a manager."""
        self._records.clear()
        self._ending = False
        self._tokens: list[Token] = []
        self._threads: list[threading.Thread] = []
        self.manager = SessionManager(SyncStore(location_of(opening)), configuration(opening))

    def watch(self, tokens: Sequence[Token]) -> None:
        """Verify these too."""
        self._tokens += tokens
        for group in sorted({token.group for token in tokens}):
            chosen = [token for token in tokens if token.group == group]
            for number in range(_THREADS_OF_A_GROUP):
                first = number * len(chosen) // _THREADS_OF_A_GROUP
                work = [
                    (token, self.new_record(token)) for token in chosen[first:] + chosen[:first]
                ]
                thread = threading.Thread(target=self._follow, args=(work,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        """Verify nothing more."""
        self._ending = True
        for thread in self._threads:
            thread.join(30)
        self.manager.close()

    def crowd(self, names: Sequence[str], threads: int) -> None:
        """Verify so many at once by asking the store: each leaves an idle connection behind."""
        with ThreadPoolExecutor(threads) as crowd:
            together = threading.Barrier(threads)
            list(crowd.map(partial(self._ask, together, "strict"), self._several(names, threads)))

    def burst(self, names: Sequence[str], threads: int) -> None:
        """Verify so many at once, as always; what comes of it is noted."""
        with ThreadPoolExecutor(threads) as crowd:
            together = threading.Barrier(threads)
            list(crowd.map(partial(self._ask, together, None), self._several(names, threads)))

    def _several(self, names: Sequence[str], count: int) -> list[tuple[Token, Record]]:
        tokens = [token for token in self._tokens if token.name in names]
        chosen = [tokens[number % len(tokens)] for number in range(count)]
        return [(token, self.new_record(token)) for token in chosen]

    def _ask(
        self, together: threading.Barrier, mode: VerificationMode | None, work: tuple[Token, Record]
    ) -> None:
        token, record = work
        together.wait(30)
        started = _now()
        try:
            self.manager.verify(token.access_token, verification=mode)
        except StoreUnavailable:
            record.note_unavailable(started, _now())
        except InvalidToken as error:
            record.note_refused(_now(), error.code)
        else:
            record.note_accepted(started, from_memory=False)

    def busy(self, seconds: float, switch_interval: float) -> None:
        """Keep the interpreter busy; other threads get their turn each ``switch_interval``."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(switch_interval)
        ends, number = _now() + seconds, 0
        try:
            while _now() < ends:
                for _ in range(100_000):
                    number = (number * 31 + 7) % 1_000_003
        finally:
            sys.setswitchinterval(usual)

    def _follow(self, work: Sequence[tuple[Token, Record]]) -> None:
        next_at = dict.fromkeys((token.name for token, _ in work), 0.0)
        verify, recall = self.manager.verify, self.manager.recall
        while not self._ending:
            for token, record in work:
                if _now() < next_at[token.name]:
                    continue
                access_token = token.access_token
                from_memory = recall(access_token) is not None
                started = _now()
                try:
                    verify(access_token)
                except StoreUnavailable:
                    record.note_unavailable(started, _now())
                except InvalidToken as error:
                    record.note_refused(_now(), error.code)
                    next_at[token.name] = started + _PAUSE_AFTER_REFUSAL
                except Exception as error:
                    record.note_failure(error)
                else:
                    record.note_accepted(started, from_memory=from_memory)
            time.sleep(_PAUSE)


class AsyncVerifier(_Verifier):
    """A task for each token."""

    def __init__(
        self, make_loop: Callable[[], asyncio.AbstractEventLoop], *, lease_off: bool
    ) -> None:
        super().__init__(lease_off=lease_off)
        self._thread = LoopThread(make_loop)
        self._tasks: list[asyncio.Task[None]] = []
        self._tokens: list[Token] = []

    def open(self, opening: Opening) -> None:
        """Forget what was, and make a manager."""
        self._records.clear()
        self._tokens.clear()
        self._ending = False
        self._thread.run(self._open(opening))

    async def _open(self, opening: Opening) -> None:
        self.manager = AsyncSessionManager(AsyncStore(location_of(opening)), configuration(opening))

    def watch(self, tokens: Sequence[Token]) -> None:
        """Verify these too."""
        self._thread.run(self._watch(tokens))

    async def _watch(self, tokens: Sequence[Token]) -> None:
        self._tokens += tokens
        for token in tokens:
            follow = self._follow(token, self.new_record(token))
            self._tasks.append(self._thread.loop.create_task(follow))

    def close(self) -> None:
        """Verify nothing more."""
        self._ending = True
        self._thread.run(self._close())

    async def _close(self) -> None:
        await asyncio.gather(*self._tasks)
        self._tasks.clear()
        await self.manager.close()

    def stall(self, seconds: float) -> None:
        """Block the event loop, and look into memory before it can do anything else."""
        self._thread.run(self._stall(seconds))

    async def _stall(self, seconds: float) -> None:
        time.sleep(seconds)  # the fault itself: the loop stands still
        for token in self._tokens:
            record = self.new_record(token)
            started = _now()
            coroutine = self.manager.verify(token.access_token)
            try:
                coroutine.send(None)
            except StopIteration:
                record.note_accepted(started, from_memory=True)
            except (StoreUnavailable, InvalidToken):
                continue
            else:
                coroutine.close()  # it asks the store: nothing comes from memory

    async def _follow(self, token: Token, record: Record) -> None:
        verify, recall = self.manager.verify, self.manager.recall
        access_token = token.access_token
        while not self._ending:
            pause = _PAUSE
            from_memory = recall(access_token) is not None
            started = _now()
            try:
                await verify(access_token)
            except StoreUnavailable:
                record.note_unavailable(started, _now())
            except InvalidToken as error:
                record.note_refused(_now(), error.code)
                pause = _PAUSE_AFTER_REFUSAL
            except Exception as error:
                record.note_failure(error)
            else:
                record.note_accepted(started, from_memory=from_memory)
            await asyncio.sleep(pause)


def sync_verifier(lease_off: bool) -> SyncVerifier:
    """With threads."""
    return SyncVerifier(lease_off=lease_off)


def asyncio_verifier(lease_off: bool) -> AsyncVerifier:
    """With tasks in asyncio's own event loop."""
    return AsyncVerifier(asyncio.new_event_loop, lease_off=lease_off)


def uvloop_verifier(lease_off: bool) -> AsyncVerifier:
    """With tasks in an event loop of uvloop, where it is installed."""
    make_loop = asyncio.new_event_loop
    with contextlib.suppress(ImportError):
        import uvloop

        make_loop = uvloop.new_event_loop
    return AsyncVerifier(make_loop, lease_off=lease_off)


VERIFIERS: dict[str, Callable[[bool], Any]] = {
    "threads": sync_verifier,
    "asyncio": asyncio_verifier,
    "uvloop": uvloop_verifier,
}
