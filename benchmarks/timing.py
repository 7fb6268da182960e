"""Times calls so that a noisy machine disturbs them little.

All candidates take turns in many short rounds, in an order that changes; a ratio is taken within
each round, and the median of the rounds is what counts.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Call = Callable[[], object]
AsyncCall = Callable[[], Awaitable[object]]
_Named = TypeVar("_Named")


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median over the rounds, and the quartiles around it."""

    median: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lower:.2f} to {self.upper:.2f})"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds for one call of each candidate, round after round."""

    rounds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Seconds for a call of ``name``."""
        return statistics.median(self.rounds[name])

    def ratio(self, name: str, *peers: str) -> Ratio:
        """The ratio of the time of ``name`` to that of all ``peers`` together."""
        together = zip(*(self.rounds[peer] for peer in peers), strict=True)
        ratios = [
            own / sum(others) for own, others in zip(self.rounds[name], together, strict=True)
        ]
        lower, median, upper = statistics.quantiles(ratios, n=4)
        return Ratio(median, lower, upper)


def measure(candidates: Mapping[str, Call], *, rounds: int, calls: int) -> Times:
    """Time every candidate in every round, ``calls`` calls at a time."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():  # connections are opened, caches are filled
        for _ in range(calls):
            call()
    for number in range(rounds):
        for name in turn(list(candidates), number):
            call = candidates[name]
            started = time.perf_counter()
            for _ in range(calls):
                call()
            taken[name].append((time.perf_counter() - started) / calls)
    return Times(taken)


async def measure_async(
    candidates: Mapping[str, AsyncCall], *, rounds: int, calls: int, callers: int
) -> Times:
    """Measure ``calls`` calls that ``callers`` tasks share."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        await _all(call, calls, callers)
    for number in range(rounds):
        for name in turn(list(candidates), number):
            started = time.perf_counter()
            await _all(candidates[name], calls, callers)
            taken[name].append((time.perf_counter() - started) / calls)
    return Times(taken)


async def _all(call: AsyncCall, calls: int, callers: int) -> None:
    async def caller() -> None:
        for _ in range(calls // callers):
            await call()

    await asyncio.gather(*(caller() for _ in range(callers)))


def turn(names: list[_Named], number: int) -> list[_Named]:
    """``names`` in the order of that round."""
    start = number % len(names)
    return names[start:] + names[:start]
