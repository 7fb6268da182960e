"""Where passwords are hashed: on a few threads beside an event loop, or on the caller's thread.

What waits is bounded: when too many logins come at once, some are told to come back in a second,
instead of all of them slowly.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from clusterpass.model.errors import ClusterPassError, ConfigurationError, TooManyAttempts

Result = TypeVar("Result")
_BUSY: Final = "Too many logins at this moment; try again in a second."
_CLOSED: Final = "The user directory is closed"
_THREADS: Final = 2
"""Beside an event loop, unless the application says otherwise."""


def _check(concurrency: int, most_waiting: int) -> None:
    if not 1 <= concurrency <= 64 or not 0 <= most_waiting <= 10_000:
        raise ConfigurationError("hash_concurrency must be 1 to 64 and the hash queue 0 to 10000")


class AsyncHashing:
    """A few threads for password work, with a bounded queue before them."""

    def __init__(self, *, concurrency: int | None = None, most_waiting: int = 64) -> None:
        """``concurrency``: passwords hashed at once, each on a thread and with the memory that the
        hasher takes (None: 2); ``most_waiting``: the queue. Raises ConfigurationError."""
        threads = _THREADS if concurrency is None else concurrency
        _check(threads, most_waiting)
        self._places: Final = threading.BoundedSemaphore(threads + most_waiting)
        self._threads: Final = ThreadPoolExecutor(threads, thread_name_prefix="password-hash")

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``; raises TooManyAttempts when the queue is full."""
        if not self._places.acquire(blocking=False):
            raise TooManyAttempts(_BUSY, retry_after=1)
        try:
            future = self._threads.submit(work)
        except RuntimeError:
            self._places.release()
            raise ClusterPassError(_CLOSED) from None
        # Also when the caller goes away: the place is free when the thread is, and not before.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop what waits and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: Future[Any]) -> None:
        self._places.release()


class Hashing:
    """The caller's own thread, for as many callers at once as are allowed."""

    def __init__(self, *, concurrency: int | None = None, most_waiting: int = 64) -> None:
        """``concurrency``: passwords hashed at once (None: as many as there are callers);
        ``most_waiting``: callers that may wait for a place. Raises ConfigurationError."""
        _check(1 if concurrency is None else concurrency, most_waiting)
        self._queue = (
            None if concurrency is None else threading.Semaphore(concurrency + most_waiting)
        )
        self._places = None if concurrency is None else threading.Semaphore(concurrency)
        self._is_closed = False

    def run(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``; raises TooManyAttempts when too many callers wait."""
        if self._is_closed:
            raise ClusterPassError(_CLOSED)
        if self._queue is None or self._places is None:
            return work()
        if not self._queue.acquire(blocking=False):
            raise TooManyAttempts(_BUSY, retry_after=1)
        try:
            with self._places:
                return work()
        finally:
            self._queue.release()

    def close(self) -> None:
        """Hash no more passwords."""
        self._is_closed = True
