"""A clock that a test moves, for the tokens and for the store alike.

- It is the time of ``datetime``, which freezegun and time-machine move, and what :meth:`advance`
  adds to that.
- The store takes it for calls about namespaces for tests, in place of the clocks of its servers.
- The steady clock goes on in real time, so that deadlines and heartbeats work while the time is
  frozen; where the time jumps ahead it jumps as well, so that nothing is served from memory that
  has expired meanwhile. It never goes back.
"""

import datetime
import threading
from typing import Final

from clusterpass.model.clock import Clock, steady_seconds, use_clock


def _told() -> float:
    # Looked up each time: the tools that move the time replace the class.
    return datetime.datetime.now(datetime.UTC).timestamp()


_AT_ZERO: Final = _told() - steady_seconds()
"""The real time at which the steady clock was zero."""


class SimulatedClock:
    """A clock for tests; safe to share between threads.

    Stores and managers that are made while it is in use go by it.
    """

    def __init__(self) -> None:
        """The clock tells the time of ``datetime`` until it is advanced."""
        self._advanced = 0.0
        self._jumped = 0.0
        self._lock = threading.Lock()
        self._former: Clock | None = None

    def advance(
        self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Let so much time pass at once, for tokens and sessions.

        Raises ValueError for a sum that is negative: the time of a store never goes back.
        """
        passed = datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if passed < datetime.timedelta(0):
            raise ValueError("the time of a store never goes back: make a new namespace instead")
        with self._lock:
            self._advanced += passed.total_seconds()

    @property
    def now(self) -> datetime.datetime:
        """The time that it is for tokens and sessions."""
        return datetime.datetime.fromtimestamp(self.wall(), datetime.UTC)

    def wall(self) -> float:
        """Return the seconds since the epoch."""
        return _told() + self._advanced

    def steady(self) -> float:
        """Return the seconds of a clock that never goes back, nor stands still."""
        real = steady_seconds()
        ahead = self.wall() - (_AT_ZERO + real)
        if ahead > self._jumped:
            with self._lock:
                self._jumped = max(self._jumped, ahead)
        return real + self._jumped

    def begin(self) -> None:
        """Give the clock to the stores and managers that are made from now on."""
        self._former = use_clock(Clock(self.steady, self.wall, is_simulated=True))

    def end(self) -> None:
        """Give the managers their former clock again."""
        if self._former is not None:
            use_clock(self._former)
            self._former = None
