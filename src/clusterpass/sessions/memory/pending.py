"""The queue of pending revocations: when each is retried.

- A revocation (also a logout or a ban) is *pending* until it is as durable as configured. Its
  caller was told so, this process already enforces it, and it is retried until it is confirmed.
- Each revocation carries an operation id, so the store recognises a retry.
- Retries back off exponentially, from 0.1 to 5 seconds, with jitter. No I/O happens here.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from clusterpass.model.forks import renew_in_child
from clusterpass.model.statistics import PendingStats
from clusterpass.protocol.script import Flow

MOST_PENDING: Final = 10_000
"""The most revocations that can be pending at a time."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


@dataclass(slots=True, eq=False)
class PendingRevocation:
    """A revocation that is not confirmed yet. Times are seconds of the steady clock."""

    kind: str
    """The kind of the revocation, for the log."""
    attempt: Callable[[], Flow[bool]]
    """Returns the flow of one more attempt, whose result is whether the revocation is settled."""
    since: float
    """When the revocation was queued."""
    next_at: float
    """When the revocation is retried."""
    once_for: bytes | None = None
    """What only one queued revocation may be for; None: no such limit."""
    pause: float = _FIRST_PAUSE
    """Seconds between the next retry and the one after it."""
    attempts: int = 0
    """The number of failed retries."""


class PendingRevocations:
    """The queue of one manager's pending revocations. Times are seconds of the steady clock."""

    def __init__(
        self,
        steady: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
        jitter: Callable[[], float],
    ) -> None:
        """``steady``: returns seconds; ``lock``: creates a reentrant lock; ``jitter``: returns a
        random number from 0 to 1, so that servers do not all retry at once."""
        self._steady = steady
        self._new_lock = lock
        self._lock = lock()
        renew_in_child(self)
        self._jitter = jitter
        self._waiting: list[PendingRevocation] = []
        self._once: set[bytes | None] = set()
        self._confirmed = 0
        self._refused = 0
        self.wake: Callable[[], None] = _nobody
        """Called when a revocation is queued; set by the worker that retries them."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self, kind: str, attempt: Callable[[], Flow[bool]], once_for: bytes | None = None
    ) -> bool:
        """Queue a revocation; return False when too many are pending.

        ``attempt``: returns the flow of one attempt, whose result is whether the revocation is
        settled. ``once_for``: do nothing if a revocation with an equal value is queued.
        """
        now = self._steady()
        with self._lock:
            if once_for is not None and once_for in self._once:
                return True
            if len(self._waiting) >= MOST_PENDING:
                self._refused += 1
                return False
            if once_for is not None:
                self._once.add(once_for)
            next_at = now + self._spread(_FIRST_PAUSE)
            self._waiting.append(PendingRevocation(kind, attempt, now, next_at, once_for))
        self.wake()
        return True

    def due(self) -> PendingRevocation | None:
        """Return the revocation that has been due for longest; None when none is due."""
        now = self._steady()
        with self._lock:
            ready = [each for each in self._waiting if each.next_at <= now]
            return min(ready, key=_next_at, default=None)

    def all(self) -> list[PendingRevocation]:
        """Return all pending revocations."""
        with self._lock:
            return list(self._waiting)

    def seconds_until_due(self) -> float | None:
        """Return the seconds until the next retry; None when nothing is pending."""
        with self._lock:
            first = min(self._waiting, key=_next_at, default=None)
        return None if first is None else max(0.0, first.next_at - self._steady())

    def settle(self, pending: PendingRevocation) -> None:
        """Remove a revocation that is confirmed, or that the store refused."""
        with self._lock:
            if pending in self._waiting:
                self._waiting.remove(pending)
                self._once.discard(pending.once_for)
                self._confirmed += 1

    def put_off(self, pending: PendingRevocation) -> None:
        """Schedule the next retry of a revocation, after twice the pause of the last one."""
        with self._lock:
            pending.attempts += 1
            pending.next_at = self._steady() + self._spread(pending.pause)
            pending.pause = min(pending.pause * 2, _LONGEST_PAUSE)

    def stats(self) -> PendingStats:
        """Return the counters of the queue."""
        with self._lock:
            oldest = min((each.since for each in self._waiting), default=None)
        return PendingStats(
            waiting=len(self._waiting),
            oldest_seconds=0.0 if oldest is None else self._steady() - oldest,
            confirmed=self._confirmed,
            refused=self._refused,
        )

    def begin_anew(self) -> None:
        """Empty the queue, which the parent process retries; called in a forked child."""
        self._lock = self._new_lock()
        self._waiting = []
        self._once = set()

    def _spread(self, pause: float) -> float:
        return pause * (0.5 + self._jitter() / 2)


def _next_at(pending: PendingRevocation) -> float:
    return pending.next_at


def _nobody() -> None:
    """Ignore a queued revocation, as no worker is attached."""
