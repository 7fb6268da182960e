"""Reads the counters of a manager as metric values. No round trip, no lock held for long."""

from collections.abc import Iterator
from typing import Final, get_args

import clusterpass
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.metrics import families as of
from clusterpass.metrics.families import Family, Sample
from clusterpass.model.counters import Counters, Durations
from clusterpass.model.events import EventKind
from clusterpass.model.statistics import ManagerStats
from clusterpass.model.store_causes import StoreCause
from clusterpass.store.drivers.base import StoreBase

Manager = SessionManager | AsyncSessionManager
# Whatever can be counted is there from the beginning, with 0: Prometheus sees no increase where a
# series begins with 1.
_KINDS: Final = tuple(kind for kind in get_args(EventKind) if kind not in {"expired", "idle"})


def samples_of(manager: Manager) -> Iterator[Sample]:
    """Return the values of all metrics of ``manager`` now."""
    stats, counters = manager.stats(), manager.counters
    yield from _of_sessions(stats, counters)
    yield from _of_cache(stats)
    yield from _of_nodes(stats)
    yield from _of_store(manager, counters)
    yield from _of_logins(counters)
    heard = stats.listeners
    for cause, value in (
        ("dropped", heard.dropped),
        ("unread", heard.unread),
        ("overrun", heard.overrun),
        ("gap", heard.gaps),
    ):
        yield Sample(of.LISTENER_LOSSES, (cause,), value)
    if stats.audit is not None:
        yield Sample(of.AUDIT_ENTRIES, ("written",), stats.audit.written)
        yield Sample(of.AUDIT_ENTRIES, ("logged",), stats.audit.logged)
        yield Sample(of.AUDIT_ENTRIES, ("failed",), stats.audit.failed)
        yield _one(of.AUDIT_WAITING, stats.audit.waiting)
    labels = (clusterpass.__version__, stats.verification, stats.durability)
    yield Sample(of.INFO, labels, 1)


def _one(family: Family, value: float | Durations) -> Sample:
    return Sample(family, (), value)


def _of_sessions(stats: ManagerStats, counters: Counters) -> Iterator[Sample]:
    yield Sample(of.VERIFIES, ("ok", "memory"), stats.cache.hits)
    yield Sample(of.VERIFIES, ("ok", "grace"), stats.grace_accepted)
    for labels, count in list(counters.verifies.items()):
        yield Sample(of.VERIFIES, labels, count)
    for kind in _KINDS:
        yield Sample(of.EVENTS, (kind,), counters.events[kind])
    for outcome in ("confirmed", "journaled", "pending"):
        yield Sample(of.ENDINGS, (outcome,), counters.endings[outcome])
    pending = stats.pending
    yield Sample(of.PENDING, ("waiting",), pending.waiting)
    yield Sample(of.PENDING, ("journaled",), pending.journaled)
    yield _one(of.PENDING_OLDEST, pending.oldest_seconds)
    yield Sample(of.RETRIED, ("settled",), pending.confirmed)
    yield Sample(of.RETRIED, ("refused",), pending.refused)
    yield Sample(of.RETRIED, ("rejected",), pending.rejected)
    yield _one(of.SIGHTS, counters.sights)
    yield _one(of.ROLLBACKS, stats.rollbacks)


def _of_cache(stats: ManagerStats) -> Iterator[Sample]:
    cache = stats.cache
    yield _one(of.CACHE_ENTRIES, cache.entries)
    yield _one(of.CACHE_BYTES, cache.bytes)
    yield _one(of.CACHE_HITS, cache.hits)
    yield _one(of.CACHE_MISSES, cache.misses)
    yield _one(of.CACHE_EVICTIONS, cache.evictions)
    yield _one(of.CACHE_INVALIDATIONS, cache.invalidations)


def _of_nodes(stats: ManagerStats) -> Iterator[Sample]:
    for node in stats.nodes:
        yield Sample(of.NODE_LEASES, (node.address,), int(node.has_lease))
        yield Sample(of.NODE_CONNECTIONS, (node.address,), int(node.is_connected))
        if node.beat_age is not None:
            yield Sample(of.NODE_BEAT_AGE, (node.address,), node.beat_age)


def _of_store(manager: Manager, counters: Counters) -> Iterator[Sample]:
    if isinstance(manager.store, StoreBase):
        silent = manager.store.silent_nodes()
        for address in map(str, manager.store.slots.primaries()):
            yield Sample(of.NODE_UP, (address,), int(address not in silent))
    for script, durations in list(counters.calls.items()):
        yield Sample(of.STORE_CALLS, (script,), durations)
    for node, durations in list(counters.nodes.items()):
        yield Sample(of.NODE_CALLS, (str(node),), durations)
    causes = dict.fromkeys((*get_args(StoreCause), *list(counters.store_errors)))
    for cause in causes:
        yield Sample(of.STORE_ERRORS, (cause,), counters.store_errors[cause])


def _of_logins(counters: Counters) -> Iterator[Sample]:
    for limit in ("account", "address", "network", "total", "known"):
        yield Sample(of.THROTTLED, (limit,), counters.throttled[limit])
    hashing = counters.hashing
    yield _one(of.HASHING_WAITING, len(hashing.waiting))
    yield _one(of.HASHING_RUNNING, len(hashing.running))
    yield _one(of.HASHING_WAIT, hashing.waited)
    yield _one(of.HASHING_DURATION, hashing.worked)
    yield _one(of.HASHING_REFUSED, hashing.refused)
