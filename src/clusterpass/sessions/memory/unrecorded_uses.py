"""Uses of sessions that were served from memory, and whose recording in the store is still due.

They wait here so that a verify need not wait for their recording. If many come at once, as when
users return after a pause, they are recorded evenly within :data:`_EVEN_SECONDS`, so that verifies
do not wait for that work either. Once the oldest has waited for :data:`MOST_SECONDS`, no more are
taken, and a verify records its use before it answers. A use that could not be recorded for so long
is dropped; the next use of its session is due again. Times are seconds of the steady clock. Any
thread may call.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

MOST_SECONDS: Final = 60.0
_EVEN_SECONDS: Final = 45.0
_FEWEST: Final = 16
"""So many are recorded at once, whatever the pace."""


class Use(NamedTuple):
    """A use that waits. What it needs is here, as the near cache may forget the token meanwhile."""

    token: str
    subject: str
    session_id: bytes
    rotation: int
    """How many exchanges came before the token; 0: none, or the token does not tell."""
    since: float
    """Since when it has waited."""

    def __repr__(self) -> str:
        return "<Use>"  # never the token


class UnrecordedUses:
    """The uses of one manager that are still to be recorded, the oldest first."""

    def __init__(
        self, *, steady: Callable[[], float], lock: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        """``steady``: returns seconds of the steady clock. ``lock``: creates a lock."""
        self._steady: Final = steady
        self._new_lock: Final = lock
        self.wake: Callable[[], None] | None = None
        """Called for each use that comes; None: nobody records uses in the background."""
        self.dropped = 0
        """How many uses waited for too long, and were not recorded."""
        self._is_over = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what waits, which the parent process records; called in a forked child."""
        self._lock = self._new_lock()
        self._waiting: OrderedDict[str, Use] = OrderedDict()  # a dict is slow to find its first

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, token: str, subject: str, session_id: bytes, rotation: int) -> bool:
        """Have a use of a session recorded soon; return False if nobody can. See :class:`Use`."""
        wake = self.wake
        if wake is None:
            return False
        with self._lock:
            if token in self._waiting:
                return True
            now = self._steady()
            if now - self._oldest(now) >= MOST_SECONDS:
                return False
            self._waiting[token] = Use(token, subject, session_id, rotation, now)
        wake()
        return True

    def due_within(self, seconds: float) -> int:
        """Return how many of those that wait should be recorded in the next ``seconds``."""
        with self._lock:
            waiting, oldest = len(self._waiting), self._oldest(math.inf)
        left = oldest + _EVEN_SECONDS - self._steady()
        if left <= seconds:
            return waiting
        return min(waiting, max(_FEWEST, math.ceil(waiting * seconds / left)))

    def take(self) -> Use | None:
        """Return the use that is recorded next; None: none waits."""
        with self._lock:
            while self._waiting:
                _, use = self._waiting.popitem(last=False)
                if self._steady() - use.since < MOST_SECONDS:
                    return use
                self.dropped += 1
        return None

    def put_back(self, use: Use) -> None:
        """Have what :meth:`take` returned wait again, behind the others, until :meth:`clear`."""
        with self._lock:
            if self._is_over:
                self.dropped += 1
                return
            self._waiting.setdefault(use.token, use)

    def close(self) -> None:
        """Take no more uses from now on. What waits stays."""
        self.wake = None

    def clear(self) -> None:
        """Forget what waits, for good."""
        with self._lock:
            self._is_over = True
            self.dropped += len(self._waiting)
            self._waiting.clear()

    def _oldest(self, otherwise: float) -> float:
        return next((use.since for use in self._waiting.values()), otherwise)
