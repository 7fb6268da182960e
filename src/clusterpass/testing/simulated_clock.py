"""A clock that a test moves, for the tokens and for the store alike.

- Its time is that of ``datetime``, which freezegun and time-machine move, plus what :meth:`advance`
  has added.
- For calls about namespaces for tests, the store uses it in place of the clocks of its servers.
- The steady clock goes on in real time, so that deadlines and heartbeats work while the time is
  frozen. When the time jumps ahead, the steady clock jumps as well, so that nothing is served from
  memory that has expired meanwhile. It never goes back.
"""

import datetime
import threading

from clusterpass.model.clock import Clock, steady_seconds, use_clock
from clusterpass.model.forks import renew_in_child


def _told() -> float:
    # Looked up each time: the tools that move the time replace the class.
    return datetime.datetime.now(datetime.UTC).timestamp()


class SimulatedClock:
    """A clock for tests; safe to share between threads.

    Stores and managers that are made while it is in use go by it.
    """

    def __init__(self) -> None:
        """The clock tells the time of ``datetime`` until it is advanced."""
        self._advanced = 0.0
        self._jumped = 0.0
        self._difference = _told() - steady_seconds()
        self._lock = threading.Lock()
        self._former: Clock | None = None
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Replace the lock, which a thread of the parent may hold."""
        self._lock = threading.Lock()

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
        with self._lock:
            real = steady_seconds()
            # By how much the time has jumped since it was asked last, wherever it was then: a test
            # may have frozen it years ago.
            difference = self.wall() - real
            self._jumped += max(0.0, difference - self._difference)
            self._difference = difference
            return real + self._jumped

    def begin(self) -> None:
        """Give the clock to the stores and managers that are made from now on."""
        self._former = use_clock(Clock(self.steady, self.wall, is_simulated=True))

    def end(self) -> None:
        """Give the managers their former clock again."""
        if self._former is not None:
            use_clock(self._former)
            self._former = None
