"""The meter of server work: microseconds by kind, server and slice of time."""

from collections import Counter, defaultdict

from .clock import START

SLICE = 0.25
"""Seconds."""
WINDOW = 4
"""Slices over which a load is averaged: one second."""


class Meter:
    """Microseconds of server time that requests ask for, by kind, server and slice."""

    def __init__(self) -> None:
        self.by_kind: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.by_server: defaultdict[object, Counter[int]] = defaultdict(Counter)

    def add(self, now: float, server: object, kind: str, microseconds: float) -> None:
        number = int((now - START) / SLICE)
        self.by_kind[kind][number] += microseconds
        self.by_server[server][number] += microseconds

    def cores(self, first: float, last: float) -> list[float]:
        """The cores that all servers together would need, in each slice, averaged over a window
        that ends with it; ``first``, ``last``: seconds since the beginning."""
        total: Counter[int] = Counter()
        for slices in self.by_kind.values():
            total.update(slices)
        return _averaged(total, first, last)

    def cores_by_kind(self, first: float, last: float) -> dict[str, list[float]]:
        return {kind: _averaged(of, first, last) for kind, of in sorted(self.by_kind.items())}

    def busiest(self, first: float, last: float) -> float:
        """The cores that the busiest server would need, on average."""
        numbers = range(int(first / SLICE), int(last / SLICE))
        totals = [sum(of[each] for each in numbers) for of in self.by_server.values()]
        return max(totals, default=0.0) / 1e6 / (len(numbers) * SLICE or 1)

    def highest(self, first: float, last: float) -> float:
        """The cores that any one server would need in any one second, at most."""
        loads = (_averaged(of, first, last) for of in self.by_server.values())
        return max((each for load in loads for each in load), default=0.0)


def _averaged(of: Counter[int], first: float, last: float) -> list[float]:
    numbers = range(int(first / SLICE), int(last / SLICE))
    return [
        sum(of[number - back] for back in range(WINDOW)) / 1e6 / (WINDOW * SLICE)
        for number in numbers
    ]
