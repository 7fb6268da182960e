"""The values of all metrics of one worker: requests, sessions, and the store."""

from collections import Counter
from collections.abc import Iterator

from clusterpass import (
    AsyncSessionManager,
)
from clusterpass.metrics import families as of
from clusterpass.metrics.families import Durations, Sample
from clusterpass.metrics.samples import samples_of
from clusterpass.service.asgi.request_counts import RequestCounts


def worker_values(sessions: AsyncSessionManager, requests: RequestCounts) -> Iterator[Sample]:
    """Return the values of all metrics of this worker now."""
    yield from samples_of(sessions)
    counts: Counter[tuple[str, str, str]] = Counter()
    durations: dict[tuple[str, str], Durations] = {}
    for (route, method, status), timed in list(requests.timed.items()):
        counts[route, method, str(status)] += sum(timed.counts)
        durations.setdefault((route, str(status)), Durations()).add(timed)
    for (route, method), warm in list(requests.warm.items()):
        counts[route, method, "200"] += warm.count
    for labels, count in counts.items():
        yield Sample(of.HTTP_REQUESTS, labels, count)
    for labels_of_route, found in durations.items():
        yield Sample(of.HTTP_DURATIONS, labels_of_route, found)
    yield Sample(of.PROCESSES, (), 1)
