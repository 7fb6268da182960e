"""Endings that no replica has confirmed yet, and when each is to be tried again. Pure.

An ending (a logout, a revocation, a ban) is acknowledged only when it is as durable as it has to
be. Until then it is *pending*: its caller was told so, this process keeps to it already, and it is
carried out again and again until it is confirmed. Each carries an operation id, so that the store
recognises what it has carried out before.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from clusterpass.model.forks import renew_in_child
from clusterpass.model.statistics import PendingStats
from clusterpass.protocol.script import Flow

MOST_PENDING: Final = 10_000
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


@dataclass(slots=True, eq=False)
class PendingRevocation:
    """One of them."""

    kind: str
    attempt: Callable[[], Flow[bool]]
    """Carries it out once more; True when it is confirmed, or has come to nothing."""
    since: float
    next_at: float
    once_for: bytes | None = None
    pause: float = _FIRST_PAUSE
    attempts: int = 0


class PendingRevocations:
    """The queue of a manager. Times are seconds of the steady clock."""

    def __init__(
        self,
        steady: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
        jitter: Callable[[], float],
    ) -> None:
        """``jitter``: from 0 to 1, so that a fleet does not come back all at once."""
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
        """Called when something was added; set by who carries them out."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self, kind: str, attempt: Callable[[], Flow[bool]], once_for: bytes | None = None
    ) -> bool:
        """``attempt`` will be made until it is confirmed; False when there are too many.

        ``once_for``: nothing is added while something waits for the same.
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
        """One whose time has come; the one that has waited for longest."""
        now = self._steady()
        with self._lock:
            ready = [each for each in self._waiting if each.next_at <= now]
            return min(ready, key=_next_at, default=None)

    def all(self) -> list[PendingRevocation]:
        """All that wait."""
        with self._lock:
            return list(self._waiting)

    def seconds_until_due(self) -> float | None:
        """How long until the next one's time has come; None when there is none."""
        with self._lock:
            first = min(self._waiting, key=_next_at, default=None)
        return None if first is None else max(0.0, first.next_at - self._steady())

    def settle(self, pending: PendingRevocation) -> None:
        """It is confirmed, or has come to nothing."""
        with self._lock:
            if pending in self._waiting:
                self._waiting.remove(pending)
                self._once.discard(pending.once_for)
                self._confirmed += 1

    def put_off(self, pending: PendingRevocation) -> None:
        """It is not; it is tried again later, each time later."""
        with self._lock:
            pending.attempts += 1
            pending.next_at = self._steady() + self._spread(pending.pause)
            pending.pause = min(pending.pause * 2, _LONGEST_PAUSE)

    def stats(self) -> PendingStats:
        """What is counted."""
        with self._lock:
            oldest = min((each.since for each in self._waiting), default=None)
        return PendingStats(
            waiting=len(self._waiting),
            oldest_seconds=0.0 if oldest is None else self._steady() - oldest,
            confirmed=self._confirmed,
            refused=self._refused,
        )

    def begin_anew(self) -> None:
        """The parent goes on with its own; for the child of a fork."""
        self._lock = self._new_lock()
        self._waiting = []
        self._once = set()

    def _spread(self, pause: float) -> float:
        return pause * (0.5 + self._jitter() / 2)


def _next_at(pending: PendingRevocation) -> float:
    return pending.next_at


def _nobody() -> None:
    """Nobody carries them out."""
