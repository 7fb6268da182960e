"""The figures of the benchmark of proxies: ratios, goals and rows of its table."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.http_paths.figures import median, median_ratio, rate, spent, stored
from benchmarks.http_paths.wrk import Load
from benchmarks.proxies.sessions import share_of_new
from benchmarks.report import Goal, microseconds

ALONE: Final = "nobody"
CONSTANT: Final = "a constant"
OURS: Final = "ours"
VARIANTS: Final = (ALONE, CONSTANT, OURS)
"""Whom a proxy asks."""
MOST: Final = 1.15
BOUND_MS: Final = 500
"""The default of ``staleness_bound``."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements with one proxy."""

    proxy: str
    loads: Mapping[str, Sequence[Load]]
    """Of each of ``VARIANTS``, round after round; ``store`` in them is the auth backend."""
    passed: Sequence[float]
    """Seconds for which revoked sessions still passed."""

    @property
    def longest_ms(self) -> float:
        """Milliseconds that a revoked session passed at most."""
        return max(self.passed) * 1000

    @property
    def p99_ms(self) -> float:
        """Milliseconds, at the 99th percentile."""
        return statistics.quantiles(self.passed, n=100, method="inclusive")[98] * 1000


def whole(load: Load) -> float:
    """Processor seconds of the proxy and of the auth backend for a request."""
    return spent(load) + stored(load)


def new(load: Load) -> float:
    """Percent of the requests that are the first ones of new sessions."""
    return 100 * share_of_new(load.answered.requests)


def goals(found: Sequence[Measured]) -> list[Goal]:
    """The goals of the measurement."""
    costs = [
        Goal(
            f"{each.proxy}, processor of proxy and backend, ours : a constant",
            median_ratio(whole, each.loads[OURS], each.loads[CONSTANT]),
            at_most=MOST,
        )
        for each in found
    ]
    return costs + [
        Goal(
            f"{each.proxy}, longest ms that a revoked session passed",
            each.longest_ms,
            at_most=BOUND_MS,
        )
        for each in found
    ]


def rows(found: Sequence[Measured]) -> Iterator[list[str]]:
    """Each proxy with whom it asks."""
    for each in found:
        for variant, loads in each.loads.items():
            against = [
                f"{median_ratio(whole, loads, each.loads[other]):.2f}" if other != variant else "1"
                for other in (CONSTANT, ALONE)
            ]
            yield [
                each.proxy,
                variant,
                f"{median(rate, loads):,.0f}",
                microseconds(median(spent, loads)),
                microseconds(median(stored, loads)) if variant != ALONE else "",
                f"{median(new, loads):.1f}" if variant == OURS else "",
                *against,
                *(
                    (f"{each.p99_ms:.1f}", f"{each.longest_ms:.1f}")
                    if variant == OURS
                    else ("",) * 2
                ),
            ]


def beside(found: Sequence[Measured], this: str, that: str) -> str:
    """Return how ``this`` proxy compares with ``that``, both with ours; empty without one."""
    loads = {each.proxy: each.loads[OURS] for each in found}
    if this not in loads or that not in loads:
        return ""
    cost = median_ratio(whole, loads[this], loads[that])
    backend = median_ratio(stored, loads[this], loads[that])
    answered = median_ratio(rate, loads[this], loads[that])
    return (
        f"{this} : {that}, with ours: {cost:.2f} times the processor time ({backend:.2f} times that"
        f" of the backend), {answered:.2f} times the requests."
    )
