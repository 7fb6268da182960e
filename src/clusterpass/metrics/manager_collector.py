"""Converts metric values to the families that prometheus-client exports."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from clusterpass.metrics.families import FAMILIES, Family, Merge, Sample
from clusterpass.metrics.samples import Manager, samples_of
from clusterpass.model.counters import BOUNDS, Durations

AnyFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_MERGES: Final[dict[Merge, Callable[[float, float], float]]] = {
    "livesum": lambda one, other: one + other,
    "livemax": max,
    "livemin": min,
}


class ManagerCollector(Collector):
    """Collects the metrics of the managers of this process."""

    def __init__(self, managers: Sequence[Manager]) -> None:
        """``managers``: synchronous or asynchronous ones."""
        self._managers: Final = tuple(managers)

    def describe(self) -> Iterator[AnyFamily]:
        """Return the metrics without values, so that registering reads none."""
        return (_empty(family) for family in FAMILIES if not family.in_service)

    def collect(self) -> Iterator[AnyFamily]:
        """Return the metrics with the values of now."""
        return exported(each for manager in self._managers for each in samples_of(manager))


def exported(samples: Iterable[Sample]) -> Iterator[AnyFamily]:
    """Return the metrics of ``samples``; those of equal labels are merged."""
    found: dict[Family, dict[tuple[str, ...], float | Durations]] = {}
    for family, labels, value in samples:
        values = found.setdefault(family, {})
        known = values.get(labels)
        values[labels] = value if known is None else _merged(family, known, value)
    for family, values in found.items():
        made = _empty(family)
        for labels, value in values.items():
            if isinstance(made, HistogramMetricFamily):
                assert isinstance(value, Durations)
                made.add_metric(labels, buckets_of(value), value.seconds)
            else:
                assert not isinstance(value, Durations)
                made.add_metric(labels, value)
        yield made


def buckets_of(durations: Durations) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus has them: by upper bound, each with those before it."""
    return list(zip(BOUND_TEXTS, accumulate(durations.counts), strict=True))


BOUND_TEXTS: Final = tuple(map(floatToGoString, (*BOUNDS, float("inf"))))
"""The upper bounds of buckets, as Prometheus writes them."""


def _merged(family: Family, one: float | Durations, other: float | Durations) -> float | Durations:
    if isinstance(one, Durations) and isinstance(other, Durations):
        both = Durations()
        both.add(one)
        both.add(other)
        return both
    assert not isinstance(one, Durations)
    assert not isinstance(other, Durations)
    return _MERGES[family.merge if family.kind == "gauge" else "livesum"](one, other)


def _empty(family: Family) -> AnyFamily:
    if family.kind == "counter":
        name = family.name.removesuffix("_total")
        return CounterMetricFamily(name, family.help, labels=family.labels)
    if family.kind == "gauge":
        return GaugeMetricFamily(family.name, family.help, labels=family.labels)
    return HistogramMetricFamily(family.name, family.help, labels=family.labels)
