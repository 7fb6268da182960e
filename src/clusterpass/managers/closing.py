"""Idempotent close of managers and their parts: it runs once, and concurrent callers wait for it.

A close that was interrupted, by an error or by the end of its event loop, starts again with the
next caller. After one that was completed there is nothing left to do.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from clusterpass.model.forks import renew_in_child

_POLLING_SECONDS: Final = 0.01


class Closing:
    """The closing of one object, for threads."""

    def __init__(self, close: Callable[[], None]) -> None:
        """``close``: closes the object."""
        self._close: Final = close
        self._is_over = False
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Replace the lock, which may be held forever in a forked child; called there."""
        # A handler of signals may close what its own thread is closing.
        self._lock = threading.RLock()

    def run(self, *, waits: bool = True) -> None:
        """Close the object, or wait until another thread has; do nothing once it is closed.

        ``waits``: False for a caller that the other thread waits for.
        """
        if not self._lock.acquire(blocking=waits):
            return
        try:
            if not self._is_over:
                self._close()
                self._is_over = True
        finally:
            self._lock.release()


class AsyncClosing:
    """The closing of one object, for tasks.

    It is a task of its own, which goes on when a caller no longer waits for it.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        """``close``: closes the object."""
        self._close: Final = close
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the task, which does not run in a forked child; called there."""
        self._lock = threading.Lock()
        self._is_over = False
        self._task: asyncio.Task[None] | None = None

    async def run(self, *, waits: bool = True) -> None:
        """Close the object, or wait until another task has; do nothing once it is closed.

        ``waits``: False for a caller that the other task waits for.
        """
        loop = asyncio.get_running_loop()
        while not self._is_over:
            with self._lock:
                task = self._task
                is_under_way = task is not None and _is_running(task)
                if task is None or not is_under_way:
                    task = self._task = loop.create_task(self._run(), name="clusterpass-closing")
            if is_under_way and not waits:
                return
            if task.get_loop() is loop:
                await asyncio.shield(task)
                return
            while _is_running(task):  # noqa: ASYNC110 (of a loop that may end without a word)
                await asyncio.sleep(_POLLING_SECONDS)

    async def _run(self) -> None:
        await self._close()
        self._is_over = True


def _is_running(task: asyncio.Task[None]) -> bool:
    return not task.done() and task.get_loop().is_running()
