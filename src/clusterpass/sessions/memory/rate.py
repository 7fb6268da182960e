"""How often something happens: a total, and a rate over the last ten seconds."""

from typing import Final

_SECONDS: Final = 10


class Rate:
    """One bucket for each of the last seconds. Times are seconds of a steady clock."""

    __slots__ = ("_buckets", "_seconds", "total")

    def __init__(self) -> None:
        self.total = 0
        self._buckets = [0] * _SECONDS
        self._seconds = [-1] * _SECONDS

    def note(self, now: float) -> None:
        """It happened."""
        self.total += 1
        second = int(now)
        index = second % _SECONDS
        if self._seconds[index] != second:
            self._seconds[index], self._buckets[index] = second, 0
        self._buckets[index] += 1

    def per_second(self, now: float) -> float:
        """How often a second, over the last ten seconds that are complete or under way."""
        oldest = int(now) - _SECONDS
        recent = zip(self._seconds, self._buckets, strict=True)
        return sum(number for second, number in recent if second > oldest) / _SECONDS
