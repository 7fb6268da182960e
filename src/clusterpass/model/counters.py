"""The counters of one manager: plain numbers, raised when events happen and read on demand.

Counting takes no lock, so it costs next to nothing, and concurrent threads may lose a count.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Hashable, Iterable
from typing import Final

from clusterpass.model.forks import renew_in_child

BOUNDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""The upper bounds of the buckets of :class:`Durations`, in seconds; a last one has no bound."""
_MOST_ENDINGS: Final = 1000
_LONGEST_SIGHT: Final = 60.0
"""Seconds after which a push is not about the ending any more: its own one was lost."""


class Durations:
    """A histogram of durations."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(BOUNDS) + 1)
        """How many durations there were in each bucket, each counted once."""
        self.seconds = 0.0
        """The sum of all durations."""

    @property
    def state(self) -> tuple[float, ...]:
        """The counts and the sum, for comparison with those of another time."""
        return (self.seconds, *self.counts)

    def add(self, other: "Durations") -> None:
        """Count all that ``other`` has counted, too."""
        self.counts[:] = map(sum, zip(self.counts, other.counts, strict=True))
        self.seconds += other.seconds

    def clear(self) -> None:
        """Begin anew."""
        self.counts[:] = [0] * len(self.counts)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        """Count one that took ``seconds``."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class Counters:
    """The counters of one manager since it was created, beside those that its parts keep."""

    def __init__(self) -> None:
        self.verifies: Counter[tuple[str, str]] = Counter()
        """Verifies that memory did not answer, by result (``ok``, or the code of the error) and by
        what decided: ``store``, or ``token`` where that was enough."""
        self.events: Counter[str] = Counter()
        """Events of this manager, by kind."""
        self.endings: Counter[str] = Counter()
        """Logouts and revocations, by outcome: ``confirmed``, ``journaled`` or ``pending``."""
        self.calls: defaultdict[str, Durations] = defaultdict(Durations)
        """Answered calls of the store, by script; retries are included."""
        self.nodes: defaultdict[Hashable, Durations] = defaultdict(Durations)
        """Answered calls of the store, by the node that answered."""
        self.store_errors: Counter[str] = Counter()
        """Calls of the store that failed, by cause."""
        self.throttled: Counter[str] = Counter()
        """Login attempts that the throttle refused, by the limit that was exceeded."""
        self.sights: Final = Durations()
        """From sending an ending of sessions until this process was told of the change."""
        self.hashing: Final = HashingCounters()
        self._endings: OrderedDict[bytes, float] = OrderedDict()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget what the parent process has counted; called in a forked child."""
        for counted in (self.verifies, self.events, self.endings, self.store_errors):
            counted.clear()
        for durations in (self.calls, self.nodes, self.throttled, self._endings):
            durations.clear()
        self.sights.clear()
        self.hashing.clear()

    def answered(self, script: str, node: Hashable, seconds: float) -> None:
        """Count a call of ``script`` that ``node`` answered; None: it is not known which."""
        bucket = bisect_left(BOUNDS, seconds)
        durations = self.calls[script]
        durations.counts[bucket] += 1
        durations.seconds += seconds
        if node is not None:
            durations = self.nodes[node]
            durations.counts[bucket] += 1
            durations.seconds += seconds

    def ending_sent(self, key: bytes, now: float) -> None:
        """Take note that sessions of ``key`` are being ended, and that a node has to push that.

        ``now``: seconds of the steady clock.
        """
        self._endings[key] = now
        if len(self._endings) > _MOST_ENDINGS:
            self._endings.popitem(last=False)

    def pushed(self, keys: Iterable[bytes], now: float) -> None:
        """Take note that a node has pushed changes of ``keys``; ``now``: as before."""
        for key in keys if self._endings else ():
            began = self._endings.pop(key, None)
            if began is not None and now - began < _LONGEST_SIGHT:
                self.sights.note(now - began)


class HashingCounters:
    """The counters of password hashing."""

    __slots__ = ("refused", "running", "waited", "waiting", "worked")

    def __init__(self) -> None:
        self.waiting: Final[set[object]] = set()
        """The passwords that wait for a thread now: no place is lost where threads change both."""
        self.running: Final[set[object]] = set()
        """The passwords that are being hashed now."""
        self.waited: Final = Durations()
        """How long passwords waited."""
        self.worked: Final = Durations()
        """How long hashing took, without the wait."""
        self.refused = 0
        """Passwords that were refused, as too many were waiting."""

    def clear(self) -> None:
        """Begin anew."""
        self.waiting.clear()
        self.running.clear()
        self.waited.clear()
        self.worked.clear()
        self.refused = 0
