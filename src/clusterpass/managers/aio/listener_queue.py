"""Calls listeners in the background, so that no listener can slow or break a verb.

The queue holds at most 10,000 events. When listeners cannot keep up, further events are dropped,
counted and logged.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from clusterpass.managers.listeners_by_kind import Subscriptions, call_listener_async
from clusterpass.managers.workers.aio import AsyncWorker
from clusterpass.model.events import SessionEvent
from clusterpass.model.forks import renew_in_child

MOST_WAITING: Final = 10_000
_CLOSING_SECONDS: Final = 5.0


class AsyncListeners:
    """The listeners of one manager, and the queue of events for them."""

    def __init__(self) -> None:
        self.subscriptions: Final = Subscriptions()
        """The listeners to events of this process."""
        self.cluster: Final = Subscriptions()
        """The listeners to events of all processes."""
        self.is_news: Callable[[SessionEvent], bool] = _yes
        """Returns whether an event of this process was not delivered to :attr:`cluster` yet."""
        self._waiting: deque[tuple[Subscriptions, SessionEvent]] = deque()
        self._is_delivering = False
        self._worker = AsyncWorker(self._work, name="clusterpass-listeners")
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Empty the queue, which the parent process delivers; called in a forked child."""
        self._waiting.clear()
        self._is_delivering = False

    @property
    def waiting(self) -> int:
        """The number of events that wait."""
        return len(self._waiting)

    def tell(self, event: SessionEvent) -> None:
        """Queue ``event``, of this process, for the listeners of its kind.

        Returns at once and never raises.
        """
        if self.subscriptions.by_kind.get(event.kind):
            self._queue(self.subscriptions, event)
        if self.cluster.by_kind.get(event.kind) and self.is_news(event):
            self._queue(self.cluster, event)

    def hear(self, event: SessionEvent) -> None:
        """Queue ``event``, of another process, for the listeners of its kind."""
        if self.cluster.by_kind.get(event.kind):
            self._queue(self.cluster, event)

    def _queue(self, subscriptions: Subscriptions, event: SessionEvent) -> None:
        if len(self._waiting) >= MOST_WAITING or self._worker.is_stopping:
            self.subscriptions.note_dropped()
            return
        self._waiting.append((subscriptions, event))
        self._worker.wake()

    def resume(self) -> None:
        """Deliver what waits in this event loop, if that of the worker has ended."""
        if self._waiting:
            self._worker.resume()

    @property
    def is_current(self) -> bool:
        """Whether it is a listener that asks."""
        return self._worker.is_current

    async def close(self) -> None:
        """Deliver the queued events for at most five seconds; those left are dropped and counted.

        Where a listener closes the manager, the events behind its own are delivered afterwards.
        """
        await self._worker.stop(_CLOSING_SECONDS)
        if self._worker.is_current:
            return
        count = int(self._is_delivering)
        while self._next() is not None:
            count += 1
        self.subscriptions.note_left(count)

    def _next(self) -> tuple[Subscriptions, SessionEvent] | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    async def _work(self) -> None:
        # The event loop of an earlier worker has ended in the middle of an event.
        self.subscriptions.dropped += self._is_delivering
        self._is_delivering = False
        while True:
            while (found := self._next()) is not None:
                await self._deliver(*found)
            if self._worker.is_stopping:
                return
            await self._worker.wait()

    async def _deliver(self, subscriptions: Subscriptions, event: SessionEvent) -> None:
        self._is_delivering = True
        for listener in subscriptions.of(event):
            await call_listener_async(listener, event)
        self._is_delivering = False  # not so where it was cancelled


def _yes(_: SessionEvent) -> bool:
    return True
