"""Carries out pending endings until they are confirmed: on a thread, or in a task.

- Nothing runs while nothing is pending.
- What fails otherwise than by a store that cannot be reached is logged, by its type, and tried
  again: an ending is never given up silently.
- A manager that is closed tries each once more, for a few seconds in all.
"""

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Final

from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.protocol.script import Flow
from clusterpass.sessions.memory.pending import Pending, PendingEndings

_CLOSING_SECONDS: Final = 3.0
logger: Final = logging.getLogger("clusterpass.pending")


def _note_failure(pending: Pending, error: ClusterPassError) -> None:
    if not isinstance(error, StoreUnavailable):
        logger.error("a pending %s failed: %s; it is tried again", pending.kind, error.code)


class ConfirmingThread:
    """For the synchronous manager."""

    def __init__(self, queue: PendingEndings, run: Callable[[Flow[bool]], bool]) -> None:
        """``run``: carries out a flow."""
        self._queue = queue
        self._run = run
        queue.wake = self._wake
        self.begin_anew()
        _all_threads.add(self)

    def begin_anew(self) -> None:
        """Forget the thread; for the child of a fork."""
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def close(self) -> None:
        """Try each once more, and end."""
        self._is_closing = True
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._changed.set()
            thread.join()

    def _wake(self) -> None:
        self._changed.set()
        with self._lock:
            if self._thread is None and not self._is_closing:
                thread = threading.Thread(
                    target=self._work, name="clusterpass-pending", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # no more threads, as at the end of the interpreter
                    logger.error("no thread can be started for what is pending")  # noqa: TRY400
                    return
                self._thread = thread

    def _work(self) -> None:
        while True:
            self._changed.clear()
            is_last_turn = self._is_closing
            if is_last_turn:
                self._try_each()
            elif (pending := self._queue.due()) is not None:
                self._try(pending)
                continue
            with self._lock:
                if is_last_turn or (not self._queue and not self._changed.is_set()):
                    self._thread = None
                    return
            self._changed.wait(self._queue.seconds_until_due())

    def _try_each(self) -> None:
        until = time.monotonic() + _CLOSING_SECONDS
        for pending in self._queue.all():
            if time.monotonic() < until:
                self._try(pending)

    def _try(self, pending: Pending) -> None:
        try:
            is_settled = self._run(pending.attempt())
        except ClusterPassError as error:
            _note_failure(pending, error)
            is_settled = False
        if is_settled:
            self._queue.settle(pending)
        else:
            self._queue.put_off(pending)


class ConfirmingTask:
    """For the asynchronous manager: in the event loop that the last ending came from."""

    def __init__(self, queue: PendingEndings, run: Callable[[Flow[bool]], Awaitable[bool]]) -> None:
        """``run``: carries out a flow."""
        self._queue = queue
        self._run = run
        queue.wake = self._wake
        self.begin_anew()
        _all_tasks.add(self)

    def begin_anew(self) -> None:
        """Forget the task; for the child of a fork."""
        self._task: asyncio.Task[None] | None = None
        self._changed: asyncio.Event | None = None
        self._is_closing = False

    async def close(self) -> None:
        """Try each once more, and end."""
        self._is_closing = True
        task = self._task
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait((task,))
        until = time.monotonic() + _CLOSING_SECONDS
        for pending in self._queue.all():
            if time.monotonic() < until:
                await self._try(pending)

    def _wake(self) -> None:
        loop = asyncio.get_running_loop()
        task = self._task
        if self._is_closing:
            return
        if task is None or task.done() or task.get_loop().is_closed():
            self._changed = asyncio.Event()
            self._task = loop.create_task(self._work(self._changed), name="clusterpass-pending")
        elif task.get_loop() is loop and self._changed is not None:
            self._changed.set()
        elif self._changed is not None:
            task.get_loop().call_soon_threadsafe(self._changed.set)

    async def _work(self, changed: asyncio.Event) -> None:
        while self._queue:
            changed.clear()
            if (pending := self._queue.due()) is not None:
                await self._try(pending)
                continue
            try:
                async with asyncio.timeout(self._queue.seconds_until_due()):
                    await changed.wait()
            except TimeoutError:
                continue

    async def _try(self, pending: Pending) -> None:
        try:
            is_settled = await self._run(pending.attempt())
        except ClusterPassError as error:
            _note_failure(pending, error)
            is_settled = False
        if is_settled:
            self._queue.settle(pending)
        else:
            self._queue.put_off(pending)


_all_threads: Final[weakref.WeakSet[ConfirmingThread]] = weakref.WeakSet()
_all_tasks: Final[weakref.WeakSet[ConfirmingTask]] = weakref.WeakSet()


def _begin_anew_after_fork() -> None:
    for thread in list(_all_threads):
        thread.begin_anew()
    for task in list(_all_tasks):
        task.begin_anew()


os.register_at_fork(after_in_child=_begin_anew_after_fork)
