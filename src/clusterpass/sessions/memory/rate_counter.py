"""Counts events: a total, and a rate over the last ten seconds."""

from typing import Final

_SECONDS: Final = 10


class Rate:
    """A counter with one bucket for each of the last ten seconds of a steady clock."""

    __slots__ = ("_buckets", "_seconds", "total")

    def __init__(self) -> None:
        self.total = 0
        self._buckets = [0] * _SECONDS
        self._seconds = [-1] * _SECONDS

    def note(self, now: float, events: int = 1) -> None:
        """Count ``events`` at ``now``."""
        self.total += events
        second = int(now)
        index = second % _SECONDS
        if self._seconds[index] != second:
            self._seconds[index], self._buckets[index] = second, 0
        self._buckets[index] += events

    def per_second(self, now: float) -> float:
        """Return the events per second over the last ten seconds, the current one included."""
        oldest = int(now) - _SECONDS
        recent = zip(self._seconds, self._buckets, strict=True)
        return sum(number for second, number in recent if second > oldest) / _SECONDS
