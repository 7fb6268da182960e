"""The figures of the benchmark over HTTP: ratios, goals and rows of its table."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.http_paths import ours
from benchmarks.http_paths.floor import ASGI
from benchmarks.http_paths.half_rate import Latency
from benchmarks.http_paths.wrk import Load
from benchmarks.report import Goal, microseconds

Loads = Mapping[str, Sequence[Load]]
"""The loads of every candidate, round after round."""
_BUSY = 0.9


@dataclass(frozen=True, slots=True)
class Found:
    """The results of all measurements."""

    loads: Loads
    latencies: Mapping[str, Sequence[Latency]]
    peers: Sequence[str]
    """The labels of those that check a session."""
    library_refresh: Sequence[float]
    """Processor seconds of a refresh by the library, round after round."""
    many: int
    """The larger number of different tokens."""


def rate(load: Load) -> float:
    """Requests a second."""
    return load.answered.per_second


def spent(load: Load) -> float:
    """Processor seconds of the server for a request."""
    return load.server_seconds


def stored(load: Load) -> float:
    """Processor seconds of the store for a request; 0 for what asks none."""
    return load.store_seconds


def median_ratio(
    quantity: Callable[[Load], float], these: Sequence[Load], those: Sequence[Load]
) -> float:
    """The ratio of ``quantity`` of ``those`` to that of ``these``: the median of all rounds."""
    return statistics.median(
        quantity(this) / quantity(that) for this, that in zip(these, those, strict=True)
    )


def median(quantity: Callable[[Load], float], loads: Sequence[Load]) -> float:
    """The median of ``quantity`` over all rounds."""
    return statistics.median(map(quantity, loads))


def middle(latencies: Sequence[Latency]) -> Latency:
    """The one with the median of the times, or the worse one of two."""
    ranked = sorted(latencies, key=lambda latency: latency.p99)
    return ranked[len(ranked) // 2]


def goals(found: Found) -> list[Goal]:
    """The goals of the measurement."""
    loads = found.loads
    one, few, many = (
        loads[each] for each in (ours.CACHED_ONE, ours.CACHED, ours.cached(found.many))
    )
    strict = loads[ours.STRICT]
    refresh = statistics.median(
        spent(load) / library
        for load, library in zip(loads[ours.REFRESH], found.library_refresh, strict=True)
    )
    judged = [
        Goal("processor, strict : cached", median_ratio(spent, strict, few), at_most=2.5),
        Goal("requests/s, cached, 1,000 tokens : 1", median_ratio(rate, few, one), at_least=0.95),
        Goal(
            f"requests/s, cached, {found.many:,} tokens : 1",
            median_ratio(rate, many, one),
            at_least=0.9,
        ),
        Goal(f"requests/s, cached : {ASGI}", median_ratio(rate, few, loads[ASGI]), at_least=0.8),
        Goal("processor, POST /refresh : the library's refresh", refresh, at_most=2),
    ]
    if found.peers:
        cheapest = min(found.peers, key=lambda peer: median(spent, loads[peer]))
        ratio = median_ratio(spent, strict, loads[cheapest])
        judged.insert(
            1, Goal(f"processor, strict : {cheapest}, the cheapest peer", ratio, at_most=0.4)
        )
    return judged


def rows(found: Found) -> Iterator[list[str]]:
    """The table rows: what each candidate needs, and the ratios of that to ours."""
    for label, taken in found.loads.items():
        limit = median(lambda load: load.generator_share, taken)
        yield [
            label,
            f"{median(rate, taken):,.0f}",
            microseconds(median(spent, taken)),
            microseconds(median(stored, taken)) if median(stored, taken) else "",
            *(
                f"{median_ratio(spent, taken, found.loads[each]):.2f}"
                for each in (ours.STRICT, ours.CACHED)
            ),
            str(middle(found.latencies[label])),
            f"{limit:.2f}{' (the limit)' if is_limit(taken) else ''}",
        ]


def is_limit(taken: Sequence[Load]) -> bool:
    """Whether the load generator, rather than the server, was as busy as can be."""
    return (
        median(lambda load: load.generator_share, taken) >= _BUSY
        and median(lambda load: load.server_share, taken) < _BUSY
    )


def better_peers(found: Found) -> list[str]:
    """The respects in which each peer is better than our verifies that ask the store."""
    sentences = []
    strict = found.loads[ours.STRICT]
    for peer in found.peers:
        taken = found.loads[peer]
        better = []
        if (ratio := median_ratio(spent, taken, strict)) < 1:
            better.append(f"it needs {ratio:.2f} times the processor time")
        if (ratio := median_ratio(rate, taken, strict)) > 1:
            better.append(f"it answers {ratio:.2f} times the requests")
        if 0 < (ratio := median_ratio(stored, taken, strict)) < 1:
            better.append(f"its store needs {ratio:.2f} times the processor time")
        latency, own = (middle(found.latencies[each]) for each in (peer, ours.STRICT))
        if latency.p99 < own.p99:
            better.append(
                f"its p99 at half of its own rate is {latency.p99 / own.p99:.2f} times ours"
            )
        if better:
            sentences.append(f"{peer}: {', '.join(better)}.")
    return sentences or ["No peer is better than a strict verify in any column of this table."]
