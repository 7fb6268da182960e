"""Hashes passwords on a few threads beside an event loop, or on the caller's own thread.

The queue is bounded. Under a burst of logins, some are refused with TooManyAttempts and a
``retry_after`` of one second, instead of all becoming slow.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final, TypeVar

from clusterpass.model.counters import HashingCounters
from clusterpass.model.errors import ClusterPassError, ConfigurationError, TooManyAttempts

Result = TypeVar("Result")
_BUSY: Final = "Too many logins at the moment; try again in a second."
_CLOSED: Final = "The user directory is closed"
_THREADS: Final = 2
"""The default number of hashing threads next to an event loop."""


def _check(concurrency: int, most_waiting: int) -> None:
    if not 1 <= concurrency <= 64 or not 0 <= most_waiting <= 10_000:
        raise ConfigurationError("hash_concurrency must be 1 to 64 and most_waiting 0 to 10000")


class _Turn:
    """One password, from its arrival to the end of its hashing."""

    __slots__ = ("_came_at", "_counters")

    def __init__(self, counters: HashingCounters) -> None:
        self._counters: Final = counters
        self._came_at: Final = time.monotonic()
        counters.waiting.add(self)

    def take(self, work: Callable[[], Result]) -> Result:
        """Run ``work``, whose turn it is, and return its result."""
        counters, began = self._counters, time.monotonic()
        counters.waiting.discard(self)
        counters.running.add(self)
        counters.waited.note(began - self._came_at)
        try:
            return work()
        finally:
            counters.running.discard(self)
            counters.worked.note(time.monotonic() - began)

    def leave(self) -> None:
        """Wait no longer, whether or not the turn came."""
        self._counters.waiting.discard(self)


class AsyncHashing:
    """Hashes passwords on a few threads, with a bounded queue in front of them."""

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        most_waiting: int = 64,
        counters: HashingCounters | None = None,
    ) -> None:
        """``concurrency``: passwords hashed at once, each on its own thread (None: 2).

        ``most_waiting``: the length of the queue. ``counters``: as ``SessionManager.counters`` has
        them; None: nobody reads them. Raises ConfigurationError when a value is out of range.
        """
        self._counters: Final = counters or HashingCounters()
        threads = _THREADS if concurrency is None else concurrency
        _check(threads, most_waiting)
        self._places: Final = threading.BoundedSemaphore(threads + most_waiting)
        self._threads: Final = ThreadPoolExecutor(threads, thread_name_prefix="password-hash")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` on a thread and return its result.

        Raises TooManyAttempts when the queue is full, ClusterPassError after :meth:`close`.
        """
        if not self._places.acquire(blocking=False):
            self._counters.refused += 1
            raise TooManyAttempts(_BUSY, retry_after=1)
        turn = _Turn(self._counters)
        # What an operator's function traces belongs to the request.
        carried = copy_context()
        try:
            future = self._threads.submit(carried.run, turn.take, work)
        except RuntimeError:
            self._places.release()
            turn.leave()
            raise ClusterPassError(_CLOSED) from None

        # Even if the caller is cancelled, the place stays taken until the thread is free.
        def leave(_: Future[Any]) -> None:
            turn.leave()
            self._places.release()

        future.add_done_callback(leave)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop the queued work and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Hashing:
    """Hashes passwords on the callers' own threads, for a limited number of callers at once."""

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        most_waiting: int = 64,
        counters: HashingCounters | None = None,
    ) -> None:
        """``concurrency``: passwords hashed at once (None: no limit).

        ``most_waiting``: callers that may wait for their turn. ``counters``: as
        ``SessionManager.counters`` has them; None: nobody reads them. Raises ConfigurationError
        when a value is out of range.
        """
        self._counters: Final = counters or HashingCounters()
        _check(1 if concurrency is None else concurrency, most_waiting)
        self._queue = (
            None if concurrency is None else threading.Semaphore(concurrency + most_waiting)
        )
        self._places = None if concurrency is None else threading.Semaphore(concurrency)
        self._is_closed = False

    def run(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` and return its result.

        Raises TooManyAttempts when too many callers wait, ClusterPassError after :meth:`close`.
        """
        if self._is_closed:
            raise ClusterPassError(_CLOSED)
        turn = _Turn(self._counters)
        try:
            if self._queue is None or self._places is None:
                return turn.take(work)
            if not self._queue.acquire(blocking=False):
                self._counters.refused += 1
                raise TooManyAttempts(_BUSY, retry_after=1)
            try:
                with self._places:
                    return turn.take(work)
            finally:
                self._queue.release()
        finally:
            turn.leave()

    def close(self) -> None:
        """Refuse to hash any more passwords."""
        self._is_closed = True
