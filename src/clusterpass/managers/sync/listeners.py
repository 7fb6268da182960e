# Generated from managers/aio/listeners.py by scripts/generate_sync.py; do not edit.
"""Calls listeners in the background, so that no listener can slow or break a verb.

The queue holds at most 10,000 events. When listeners cannot keep up, further events are dropped,
counted and logged.
"""

from collections import deque
from typing import Final

from clusterpass.managers.subscriptions import Subscriptions, call_listener
from clusterpass.managers.workers import Worker
from clusterpass.model.forks import renew_in_child
from clusterpass.model.values import SessionEvent

MOST_WAITING: Final = 10_000
_CLOSING_SECONDS: Final = 5.0


class Listeners:
    """The listeners of one manager, and the queue of events for them."""

    def __init__(self) -> None:
        self.subscriptions: Final = Subscriptions()
        self._waiting: deque[SessionEvent] = deque()
        self._worker = Worker(self._work, name="clusterpass-listeners")
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Empty the queue, which the parent process delivers; called in a forked child."""
        self._waiting.clear()

    def tell(self, event: SessionEvent) -> None:
        """Queue ``event`` for the listeners of its kind. Returns at once and never raises."""
        if not self.subscriptions.by_kind.get(event.kind):
            return
        if len(self._waiting) >= MOST_WAITING or self._worker.is_stopping:
            self.subscriptions.note_dropped()
            return
        self._waiting.append(event)
        self._worker.wake()

    def close(self) -> None:
        """Deliver the queued events for at most five seconds; events after that are dropped."""
        if not self._worker.stop(_CLOSING_SECONDS):
            self.subscriptions.note_dropped()

    def _work(self) -> None:
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                for listener in self.subscriptions.of(event):
                    call_listener(listener, event)
            if self._worker.is_stopping:
                return
            self._worker.wait()
