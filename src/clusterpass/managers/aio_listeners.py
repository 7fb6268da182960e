"""Tells listeners what happened, from a task of its own; the rules are those of listeners.py.

A listener that is a plain function runs on a thread, so that it cannot stop the event loop.
"""

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Final, cast

from clusterpass.managers.listeners import MOST_WAITING, Listener, Subscriptions, log_failure
from clusterpass.model.values import SessionEvent

_CLOSING_SECONDS: Final = 5.0


class TaskListeners:
    """For the asynchronous manager."""

    def __init__(self) -> None:
        self.subscriptions: Final = Subscriptions()
        self._waiting: asyncio.Queue[SessionEvent] = asyncio.Queue(MOST_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    def tell(self, event: SessionEvent) -> None:
        """Hand ``event`` over; returns at once and never raises."""
        if not self.subscriptions.of(event):
            return
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            self.subscriptions.note_dropped()

    async def close(self) -> None:
        """Tell what still waits, for at most five seconds."""
        if self._task is None or self._task is asyncio.current_task():
            return
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await self._waiting.join()
        except TimeoutError:
            self.subscriptions.note_dropped()
        self._is_closing = True
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_CLOSING_SECONDS)
        self._task, self._is_closing = None, False

    async def _work(self) -> None:
        while True:
            event = await self._waiting.get()
            try:
                for listener in self.subscriptions.of(event):
                    await self._tell(listener, event)
            finally:
                self._waiting.task_done()

    async def _tell(self, listener: Listener, event: SessionEvent) -> None:
        try:
            await _call(listener, event)
        except asyncio.CancelledError as error:
            if self._is_closing:
                raise
            log_failure(listener, error)  # the listener's own
        except BaseException as error:  # noqa: BLE001 (also SystemExit: it is not theirs to end this)
            log_failure(listener, error)


async def _call(listener: Listener, event: SessionEvent) -> None:
    target = listener if inspect.isroutine(listener) else getattr(listener, "__call__", listener)  # noqa: B004
    if inspect.iscoroutinefunction(target):
        await cast("Awaitable[None]", listener(event))
        return
    answer = cast("object", await asyncio.to_thread(listener, event))
    if inspect.isawaitable(answer):
        await cast("Awaitable[None]", answer)
