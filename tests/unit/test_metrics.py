"""Metrics of managers and of the service in a Prometheus registry, without a server."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from clusterpass import (
    AsyncSessionManager,
    AuditPolicy,
    Config,
    KeyRing,
    SessionManager,
    StoreUnavailable,
    TokenMalformed,
)
from clusterpass.metrics import collector
from clusterpass.metrics.families import FAMILIES, Family, Sample
from clusterpass.metrics.manager_collector import exported as merged
from clusterpass.metrics.samples import samples_of
from clusterpass.model.counters import BOUNDS, Counters, Durations
from clusterpass.model.events import SessionEvent
from clusterpass.model.statistics import NodeStats
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.monitoring.worker_values import worker_values

NOBODY = "redis+cluster://127.0.0.1:1?timeout=0.2&deadline=0.2&replica_wait=0.05"
CONFIG = Config(keys=KeyRing.generate(), issuer="https://auth.example", audit=AuditPolicy())


@pytest.fixture
def sessions() -> Iterator[SessionManager]:
    with SessionManager.from_url(NOBODY, CONFIG) as manager:
        yield manager


def exported(*managers: Any) -> dict[str, Any]:
    registry = CollectorRegistry()
    registry.register(collector(*managers))
    text = generate_latest(registry).decode()
    return {each.name: each for each in text_string_to_metric_families(text)}


def number(metrics: dict[str, Any], metric: str, **labels: str) -> float:
    """The sample ``metric`` with exactly these labels."""
    name = re.sub(r"_(total|bucket|sum|count)$", "", metric)
    (found,) = [
        sample.value
        for sample in metrics[name].samples
        if (sample.name, sample.labels) == (metric, labels)
    ]
    return float(found)


def filled(counters: Counters) -> None:
    """Count something that has no value before it has happened."""
    counters.answered("login", "127.0.0.1:7000", 0.003)


def test_an_application_exports_every_metric_but_those_of_the_service(
    sessions: SessionManager,
) -> None:
    filled(sessions.counters)
    metrics = exported(sessions)
    nodes = {"clusterpass_store_node_up", "clusterpass_node_leases"}
    nodes |= {"clusterpass_node_push_connections", "clusterpass_node_beat_age_seconds"}
    expected = {each.name: each for each in FAMILIES if not each.in_service}
    assert metrics.keys() == {name.removesuffix("_total") for name in expected.keys() - nodes}
    for family in expected.values():
        if family.name not in nodes:
            found = metrics[family.name.removesuffix("_total")]
            assert (found.type, found.documentation) == (family.kind, family.help)
            labels = set().union(*(sample.labels for sample in found.samples)) - {"le"}
            assert labels == set(family.labels), family.name


async def test_a_worker_has_those_of_the_service_too() -> None:
    async with AsyncSessionManager.from_url(NOBODY, CONFIG) as manager:
        requests = RequestCounts()
        requests.note("/login", "POST", 200, 0.0)
        requests.note("/login", "BREW", 405, 0.0)
        requests.warm["/verify", "GET"].count += 3
        samples = list(worker_values(manager, requests))
    of_service = {sample.family.name for sample in samples if sample.family.in_service}
    assert of_service == {family.name for family in FAMILIES if family.in_service}
    counted = {s.labels: s.value for s in samples if s.family.name.endswith("http_requests_total")}
    assert counted == {
        ("/login", "POST", "200"): 1,
        ("/login", "OTHER", "405"): 1,
        ("/verify", "GET", "200"): 3,
    }


async def test_both_faces_count_calls_of_the_store_that_fail(sessions: SessionManager) -> None:
    with pytest.raises(StoreUnavailable) as one:
        sessions.login("alice")
    async with AsyncSessionManager.from_url(NOBODY, CONFIG) as others:
        with pytest.raises(StoreUnavailable) as other:
            await others.login("alice")
        for manager, raised in ((sessions, one), (others, other)):
            metrics = exported(manager)
            assert raised.value.cause is not None
            errors = "clusterpass_store_errors_total"
            # Work in the background asks, too.
            assert number(metrics, errors, cause=raised.value.cause) >= 1
            assert number(metrics, errors, cause="tls") == 0


def test_a_verify_that_the_token_decides(sessions: SessionManager) -> None:
    sessions.counters.verifies.clear()
    flow = sessions._flows.verify.verify("no token")
    with pytest.raises(TokenMalformed):
        next(flow)
    metrics = exported(sessions)
    verifies = "clusterpass_verifies_total"
    assert number(metrics, verifies, result="token_malformed", source="token") == 1
    assert number(metrics, verifies, result="ok", source="memory") == 0


def test_an_event_is_counted_whether_or_not_somebody_listens(sessions: SessionManager) -> None:
    sessions._flows.context.tell(SessionEvent("reused", "alice", 0))
    metrics = exported(sessions)
    assert number(metrics, "clusterpass_events_total", kind="reused") == 1
    assert number(metrics, "clusterpass_events_total", kind="login") == 0


def test_several_managers_are_one(sessions: SessionManager) -> None:
    with SessionManager.from_url(NOBODY, CONFIG) as other:
        for manager, seconds in ((sessions, 0.002), (other, 0.2)):
            manager.counters.answered("login", "127.0.0.1:7000", seconds)
            manager.counters.endings["pending"] += 1
        metrics = exported(sessions, other)
    assert number(metrics, "clusterpass_endings_total", outcome="pending") == 2
    name, script = "clusterpass_store_call_duration_seconds", {"script": "login"}
    assert number(metrics, f"{name}_count", **script) == 2
    assert number(metrics, f"{name}_sum", **script) == pytest.approx(0.202)
    assert number(metrics, f"{name}_bucket", le="0.0025", **script) == 1
    assert number(metrics, f"{name}_bucket", le="0.25", **script) == 2
    info = metrics["clusterpass_info"].samples
    assert [sample.value for sample in info] == [1]


LABELS: dict[str, tuple[str, ...]] = {
    "audit_entries_total": ("outcome",),
    "audit_waiting": (),
    "cache_bytes": (),
    "cache_entries": (),
    "cache_evictions_total": (),
    "cache_hits_total": (),
    "cache_invalidations_total": (),
    "cache_misses_total": (),
    "endings_total": ("outcome",),
    "events_total": ("kind",),
    "hashing_duration_seconds": (),
    "hashing_refused_total": (),
    "hashing_running": (),
    "hashing_wait_seconds": (),
    "hashing_waiting": (),
    "http_request_duration_seconds": ("route", "status"),
    "http_requests_total": ("route", "method", "status"),
    "info": ("version", "verification", "durability"),
    "listener_losses_total": ("cause",),
    "login_throttled_total": ("limit",),
    "node_beat_age_seconds": ("node",),
    "node_leases": ("node",),
    "node_push_connections": ("node",),
    "pending_oldest_seconds": (),
    "pending_revocations": ("state",),
    "processes": (),
    "retried_revocations_total": ("outcome",),
    "revocation_sight_seconds": (),
    "rollbacks_total": (),
    "store_call_duration_seconds": ("script",),
    "store_errors_total": ("cause",),
    "store_node_call_duration_seconds": ("node",),
    "store_node_up": ("node",),
    "verifies_total": ("result", "source"),
}


def test_what_alerts_and_dashboards_of_operators_name() -> None:
    found = {family.name.removeprefix("clusterpass_"): family.labels for family in FAMILIES}
    assert found == LABELS


def test_each_number_has_the_label_that_says_what_it_is(
    sessions: SessionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats, counters = sessions.stats(), sessions.counters
    assert stats.audit is not None
    pending = {"waiting": 1, "journaled": 2, "confirmed": 3, "refused": 4, "rejected": 5}
    heard = {"dropped": 11, "unread": 12, "overrun": 13, "gaps": 14}
    cache = {"hits": 21, "misses": 22, "evictions": 23, "invalidations": 24, "entries": 25}
    node = NodeStats(
        address="10.0.0.1:7000",
        is_connected=True,
        has_lease=False,
        lease_seconds=0.25,
        beat_age=0.5,
        epoch=7,
        is_outdated=False,
    )
    changed = replace(
        stats,
        pending=replace(stats.pending, **pending, oldest_seconds=6.5),
        listeners=replace(stats.listeners, **heard),
        audit=replace(stats.audit, written=31, logged=32, failed=33, waiting=34),
        cache=replace(stats.cache, **cache, bytes=26),
        nodes=(node,),
        grace_accepted=41,
        rollbacks=42,
    )
    monkeypatch.setattr(sessions, "stats", lambda: changed)
    counters.endings.update(confirmed=51, journaled=52, pending=53)
    counters.throttled.update(account=61, address=62, network=63, total=64, known=65)
    found = {
        (sample.family.name.removeprefix("clusterpass_"), sample.labels): sample.value
        for sample in samples_of(sessions)
        if not isinstance(sample.value, Durations)
    }
    of_one = [key for key in found if len(key[1]) == 1]
    for name, labels in (
        ("pending_revocations", {"waiting": 1, "journaled": 2}),
        ("retried_revocations_total", {"settled": 3, "refused": 4, "rejected": 5}),
        ("listener_losses_total", {"dropped": 11, "unread": 12, "overrun": 13, "gap": 14}),
        ("audit_entries_total", {"written": 31, "logged": 32, "failed": 33}),
        ("endings_total", {"confirmed": 51, "journaled": 52, "pending": 53}),
        ("login_throttled_total", dict(counters.throttled)),
    ):
        told = {label: found[each, (label,)] for each, (label, *_) in of_one if each == name}
        assert told == labels, name
    plain = {name: value for (name, labels), value in found.items() if labels == ()}
    assert {name: plain[name] for name in plain if name.startswith("cache_")} == {
        "cache_hits_total": 21,
        "cache_misses_total": 22,
        "cache_evictions_total": 23,
        "cache_invalidations_total": 24,
        "cache_entries": 25,
        "cache_bytes": 26,
    }
    assert (plain["pending_oldest_seconds"], plain["rollbacks_total"]) == (6.5, 42)
    assert plain["audit_waiting"] == 34
    assert found["verifies_total", ("ok", "memory")] == 21
    assert found["verifies_total", ("ok", "grace")] == 41
    of_node = ("10.0.0.1:7000",)
    assert found["node_push_connections", of_node] == 1
    assert found["node_leases", of_node] == 0
    assert found["node_beat_age_seconds", of_node] == 0.5


OF_SEVERAL = {
    "clusterpass_pending_oldest_seconds": 5,
    "clusterpass_store_node_up": 2,
    "clusterpass_node_beat_age_seconds": 2,
    "clusterpass_info": 5,
}
"""What 2 of one manager and 5 of another are together, where that is not their sum."""


@pytest.mark.parametrize(
    "family", [each for each in FAMILIES if each.kind == "gauge"], ids=lambda family: family.name
)
def test_a_gauge_of_several_managers(family: Family) -> None:
    labels = tuple("x" for _ in family.labels)
    (made,) = merged(Sample(family, labels, value) for value in (2, 5))
    assert [sample.value for sample in made.samples] == [OF_SEVERAL.get(family.name, 7)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_follow_the_conventions(family: Family) -> None:
    assert re.fullmatch(r"clusterpass_[a-z_]+", family.name)
    assert (family.kind == "counter") == family.name.endswith("_total")
    assert (family.unit == "seconds") == ("_seconds" in family.name)
    assert (family.unit == "bytes") == ("_bytes" in family.name)
    assert family.help.endswith(".")


def test_reading_makes_no_value_that_was_not_there(sessions: SessionManager) -> None:
    def labels() -> list[tuple[str, tuple[str, ...]]]:
        return [(sample.family.name, sample.labels) for sample in samples_of(sessions)]

    assert labels() == labels()
    assert not sessions.counters.events
    assert not sessions.counters.store_errors


def test_a_call_is_counted_once_for_its_script_and_once_for_its_node() -> None:
    counters = Counters()
    for node in (None, "n", "n"):
        counters.answered("verify", node, 0.25)
    assert sum(counters.calls["verify"].counts) == 3
    assert {node: sum(each.counts) for node, each in counters.nodes.items()} == {"n": 2}
    assert (counters.calls["verify"].seconds, counters.nodes["n"].seconds) == (0.75, 0.5)


def test_the_push_of_an_ending_is_timed_once() -> None:
    counters = Counters()
    counters.pushed([b"a"], 1.0)
    counters.ending_sent(b"a", 2.0)
    counters.pushed([b"b"], 2.0)
    for _ in range(2):
        counters.pushed([b"a"], 2.02)
    assert sum(counters.sights.counts) == 1
    assert counters.sights.seconds == pytest.approx(0.02)


def test_a_push_after_a_minute_is_about_something_else() -> None:
    counters = Counters()
    counters.ending_sent(b"a", 0.0)
    counters.pushed([b"a"], 60.0)
    assert sum(counters.sights.counts) == 0


def test_endings_that_are_never_pushed_do_not_pile_up() -> None:
    counters = Counters()
    for index in range(2000):
        counters.ending_sent(b"%d" % index, 0.0)
    counters.pushed([b"0"], 0.0)
    assert sum(counters.sights.counts) == 0, "the first ones were forgotten"
    counters.pushed([b"1999"], 0.0)
    assert sum(counters.sights.counts) == 1
    assert len(counters._endings) < 2000


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_bound_belongs_to_its_bucket(bound: float) -> None:
    durations = Durations()
    durations.note(bound)
    durations.note(bound * 1.001)
    index = BOUNDS.index(bound)
    assert durations.counts[index : index + 2] == [1, 1]


def test_a_child_begins_anew() -> None:
    counters = Counters()
    filled(counters)
    counters.events["login"] += 1
    counters.hashing.worked.note(1.0)
    counters.hashing.waiting.add(object())
    counters.sights.note(1.0)
    kept = counters.events
    counters.begin_anew()
    assert vars(counters)["events"] is kept
    assert not any((counters.events, counters.calls, counters.nodes, counters.hashing.waiting))
    assert sum(counters.hashing.worked.counts) == sum(counters.sights.counts) == 0


def test_samples_say_what_they_are_of(sessions: SessionManager) -> None:
    for sample in samples_of(sessions):
        assert isinstance(sample, Sample)
        assert len(sample.labels) == len(sample.family.labels)
        assert isinstance(sample.value, Durations) == (sample.family.kind == "histogram")
