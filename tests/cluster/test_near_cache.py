"""A verify from memory: without a round trip, and gone as soon as anybody changes the session."""

import dataclasses
import time

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, KeyRing, SessionManager
from clusterpass.model.authentication_errors import SessionRevoked, SessionUnknown, StepUpRequired
from clusterpass.model.errors import ConfigurationError, InvalidInput, StoreUnavailable
from tests.cluster.stored import (
    activity_of,
    commands_of,
    eventually,
    home_of,
    let_age,
    new_namespace,
)

READS = ("evalsha", "eval")


@pytest.fixture
def other(open_manager, config):
    """Another manager, as of another server."""
    return open_manager(config)


def served(manager, token):
    """Wait until ``token`` is answered from memory; the session."""
    return eventually(lambda: manager.verify(token) and manager.recall(token))


def refused(manager, token, error):
    """Wait until ``token`` is refused; the error."""

    def ask():
        try:
            manager.verify(token)
        except error as refusal:
            return refusal
        return None

    return eventually(ask)


def test_a_verify_from_memory_asks_nobody(engine, manager, subject):
    pair = manager.login(subject, claims={"plan": "gold"})
    session = served(manager, pair.access_token)
    assert session == manager.verify(pair.access_token, verification="strict")
    before, hits = commands_of(engine, *READS), manager.stats().cache.hits
    for _ in range(50):
        assert manager.verify(pair.access_token) is session
    assert manager.stats().cache.hits >= hits + 50
    after = commands_of(engine, *READS)
    assert after == before, "nothing but heartbeats"


ENDS = {
    "revoke": lambda m, s, p: m.revoke(s, p.session_id),
    "revoke_all": lambda m, s, p: m.revoke_all(s),
    "ban": lambda m, s, p: m.bans.add(s),
    "logout": lambda m, s, p: m.logout(p.access_token),
    "logout by refresh token": lambda m, s, p: m.logout(p.refresh_token),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_an_end_is_known_at_once_where_it_was_made_and_soon_elsewhere(manager, other, subject, end):
    pair = manager.login(subject)
    served(manager, pair.access_token)
    served(other, pair.access_token)
    end(manager, subject, pair)
    assert manager.recall(pair.access_token) is None
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)
    refused(other, pair.access_token, SessionRevoked)
    assert other.recall(pair.access_token) is None


def test_a_cutoff_is_known_soon(engine, config):
    url = f"{engine[0].url}?namespace={new_namespace()}"
    with (
        SessionManager.from_url(url, config) as here,
        SessionManager.from_url(url, config) as there,
    ):
        pair = here.login("alice")
        served(here, pair.access_token)
        served(there, pair.access_token)
        here.revoke_before()
        with pytest.raises(SessionRevoked):
            here.verify(pair.access_token)
        refused(there, pair.access_token, SessionRevoked)
        later = here.login("alice")
        assert served(there, later.access_token).session_id == later.session_id


def test_what_changes_is_seen_soon(manager, other, subject):
    pair = manager.login(subject)
    served(other, pair.access_token)
    manager.claims.set(subject, {"role": "admin"})
    assert manager.verify(pair.access_token).claims == {"role": "admin"}
    eventually(lambda: other.verify(pair.access_token).claims == {"role": "admin"})
    manager.bans.add(subject, scope="comments")
    eventually(lambda: other.verify(pair.access_token).bans)
    manager.shorten(subject, pair.session_id, lifetime=600)
    eventually(lambda: other.verify(pair.access_token).expires_at <= time.time() + 601)


def test_only_the_same_subject_is_asked_again(manager, other, subject):
    pairs = [manager.login(f"{subject}-{number}") for number in range(3)]
    sessions = [served(manager, pair.access_token) for pair in pairs]
    manager.claims.set(f"{subject}-1", {"x": 1})
    assert manager.recall(pairs[1].access_token) is None
    assert eventually(lambda: manager.recall(pairs[0].access_token)) is sessions[0]
    assert eventually(lambda: manager.recall(pairs[2].access_token)) is sessions[2]


def test_nobody_is_refused_from_memory(engine, manager, other, subject):
    pair = manager.login(subject)
    session = served(other, pair.access_token)
    stepped = manager.elevate(manager.verify(pair.access_token), "2", for_seconds=60)
    assert other.verify(stepped.access_token, level="2").acr == "2"
    before = commands_of(engine, *READS)
    with pytest.raises(StepUpRequired):
        other.verify(stepped.access_token, level="3")
    assert commands_of(engine, *READS) != before
    assert session.acr == "1"


def test_conditions_are_judged_from_memory(engine, manager, subject):
    pair = manager.login(subject, acr="2")
    served(manager, pair.access_token)
    before = commands_of(engine, *READS)
    assert manager.verify(pair.access_token, level="2", max_auth_age=300).acr == "2"
    assert commands_of(engine, *READS) == before
    with pytest.raises(StepUpRequired):
        manager.verify(pair.access_token, level="3")


def test_the_authentication_ages_in_memory(engine, manager, subject):
    pair = manager.login(subject)
    let_age(engine, pair, 100)
    served(manager, pair.access_token)
    assert manager.verify(pair.access_token, max_auth_age=150)
    with pytest.raises(StepUpRequired):
        manager.verify(pair.access_token, max_auth_age=90)


def test_a_step_up_ends_in_memory_too(engine, manager, subject):
    pair = manager.login(subject, acr="2")
    let_age(engine, pair, 1000)
    stepped = manager.elevate(manager.verify(pair.access_token), "1", for_seconds=2)
    assert served(manager, stepped.access_token).acr == "2"

    def is_recent():
        try:
            return bool(manager.verify(stepped.access_token, max_auth_age=100))
        except StepUpRequired:
            return False

    assert is_recent()
    eventually(lambda: not is_recent())
    assert manager.verify(stepped.access_token).acr == "2"


def test_a_use_is_noted_although_verifies_come_from_memory(engine, open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, activity_interval=1))
    pair = manager.login(subject)
    active = served(manager, pair.access_token).active_at
    eventually(lambda: manager.verify(pair.access_token).active_at > active)


def test_nobody_waits_for_a_use_to_be_noted(engine, open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, activity_interval=1))
    for number in range(20):  # a busy machine may let the lease run out in between
        pair = manager.login(f"{subject}-{number}")
        served(manager, pair.access_token)
        asked = manager.stats().cache.misses
        while not activity_of(engine, f"{subject}-{number}"):
            manager.verify(pair.access_token)
        if manager.stats().cache.misses == asked:
            return
    raise AssertionError("each time a verify has asked the store")


def test_what_is_not_noted_yet_is_noted_when_a_manager_is_closed(
    engine, open_manager, config, subject
):
    manager = open_manager(dataclasses.replace(config, activity_interval=1))
    pair = manager.login(subject)
    served(manager, pair.access_token)
    uses = manager_of(manager)._flows.memory.near.uses_to_record
    uses.wake = lambda: None  # nobody is told
    while not len(uses):
        manager.verify(pair.access_token)
    noted = activity_of(engine, subject)
    manager.close()
    assert activity_of(engine, subject) != noted


def test_an_impersonation_is_never_served_from_memory(manager, subject):
    actor = manager.login(f"{subject}-helper")
    pair = manager.impersonate(manager.verify(actor.access_token), subject, reason="ticket")
    for _ in range(20):
        assert manager.verify(pair.access_token).act.subject == f"{subject}-helper"
        assert manager.recall(pair.access_token) is None
    manager.logout(actor.access_token)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def test_an_expired_token_is_refused_from_memory_too(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, access_lifetime=10))
    pair = manager.login(subject)
    served(manager, pair.access_token)
    # Its expiry is brought near: the entry and its deadline are all that a verify looks at.
    entry = manager_of(manager)._flows.memory.near.entry(pair.access_token)
    entry.deadline -= 20
    assert manager.recall(pair.access_token) is None
    assert manager.verify(pair.access_token).subject == subject


def test_data_that_was_deleted_is_gone_at_once(engine, config):
    namespace = new_namespace()
    with SessionManager.from_url(f"{engine[0].url}?namespace={namespace}", config) as manager:
        pair = manager.login("alice")
        served(manager, pair.access_token)
        with home_of(engine, f"{namespace}:{{alice}}".encode()) as client:
            client.delete(f"{namespace}:{{alice}}")
        refused(manager, pair.access_token, SessionUnknown)


def test_strict_and_stateless(open_manager, config, subject, manager):
    pair = manager.login(subject)
    strict = open_manager(dataclasses.replace(config, verification="strict"))
    stateless = open_manager(dataclasses.replace(config, verification="stateless"))
    for _ in range(3):
        assert strict.verify(pair.access_token).is_stateless is False
        assert strict.recall(pair.access_token) is None
        told = stateless.verify(pair.access_token)
        assert (told.subject, told.session_id) == (subject, pair.session_id)
        assert told.is_stateless
    assert stateless.recall(pair.access_token) is not None
    manager.revoke_all(subject)
    with pytest.raises(SessionRevoked):
        strict.verify(pair.access_token)
    assert stateless.verify(pair.access_token).subject == subject, "it cannot know"
    assert stateless.stats().nodes == (), "it has asked nobody"
    assert not any(node.has_lease for node in strict.stats().nodes), "nothing is pushed to it"
    for other in (strict, stateless):
        with pytest.raises(InvalidInput, match="nothing is cached"):
            other.verify(pair.access_token, verification="cached")
        with pytest.raises(SessionRevoked):
            other.verify(pair.access_token, verification="strict")
        with pytest.raises(InvalidInput):
            other.verify(pair.access_token, verification="fast")
    with pytest.raises(SessionRevoked):  # who has ended it knows, and says so
        manager.verify(pair.access_token, verification="stateless")
    other_pair = manager.login(subject)
    assert manager.verify(other_pair.access_token, verification="stateless").is_stateless


def test_stateless_judges_by_what_the_token_says(open_manager, config, subject):
    stateless = open_manager(dataclasses.replace(config, verification="stateless"))
    pair = stateless.login(subject, claims={"roles": ["a"]}, acr="2", amr=["otp"])
    session = stateless.verify(pair.access_token, level="2", max_auth_age=300)
    assert (session.acr, session.amr, session.claims) == ("2", ("otp",), {"roles": ["a"]})
    with pytest.raises(StepUpRequired):
        stateless.verify(pair.access_token, level="3")


def test_shared_claims_cannot_be_changed(manager, subject):
    pair = manager.login(subject, claims={"roles": ["reader"], "limits": {"mail": 5}})
    session = served(manager, pair.access_token)
    with pytest.raises(TypeError):
        session.claims["roles"].append("admin")
    with pytest.raises(TypeError):
        session.claims["limits"]["mail"] = 50
    with pytest.raises(TypeError):
        session.claims["admin"] = True
    assert manager.verify(pair.access_token).claims["roles"] == ["reader"]


def test_stats_say_what_memory_stands_on(engine, open_manager, config, subject):
    manager = open_manager(config)
    assert manager.stats().nodes == ()
    pair = manager.login(subject)
    served(manager, pair.access_token)
    eventually(lambda: all(node.has_lease for node in manager.stats().nodes))
    stats = manager.stats()
    assert (stats.verification, stats.staleness_bound, stats.refusal) == ("cached", 0.5, "")
    assert len(stats.nodes) == (3 if len(engine[0].nodes) > 1 else 1)
    assert stats.cache.entries == 1
    assert stats.cache.bytes > 500 and stats.cache.misses >= 1
    for node in stats.nodes:
        assert node.is_connected and not node.is_outdated
        assert node.lease_seconds <= 0.5 and node.beat_age < 60
    before = stats.cache.invalidations
    manager.claims.set(subject, {"a": 1})
    eventually(lambda: manager.stats().cache.invalidations > before)
    assert manager.stats().cache.invalidations_per_second > 0


def test_memory_is_bounded(open_manager, config, subject):
    manager = open_manager(dataclasses.replace(config, cache_entries=5))
    tokens = [manager.login(f"{subject}-{number}").access_token for number in range(12)]
    for token in tokens:
        served(manager, token)
    stats = manager.stats().cache
    assert (stats.entries, stats.evictions) == (5, 7)
    assert manager.recall(tokens[0]) is None
    assert eventually(lambda: manager.recall(tokens[-1]))


def test_without_the_right_to_track_the_store_is_asked(cluster, config, subject):
    for node in cluster.nodes:
        with cluster.client(node) as client:
            client.execute_command(
                *("ACL", "SETUSER", "untracked", "on", ">secret", "~*", "+@all", "-client|tracking")
            )
    url = cluster.url.replace("://", "://untracked:secret@")
    with SessionManager.from_url(url, config) as manager:
        pair = manager.login(subject)
        for _ in range(20):
            assert manager.verify(pair.access_token).subject == subject
        assert "NOPERM" in eventually(lambda: manager.stats().refusal)
        assert manager.recall(pair.access_token) is None
        assert "secret" not in repr(manager.stats())


def test_a_store_that_is_gone_is_503_and_memory_ends_with_the_bound(config, subject):
    with EmbeddedCluster(nodes=1) as running:
        with SessionManager.from_url(f"{running.url}?deadline=0.6&timeout=0.3", config) as manager:
            pair = manager.login(subject)
            served(manager, pair.access_token)
            running.stop()
            stopped = time.monotonic()
            eventually(lambda: manager.recall(pair.access_token) is None)
            assert time.monotonic() - stopped < 30
            with pytest.raises(StoreUnavailable):
                manager.verify(pair.access_token)


def test_expired_sessions_are_refused_in_memory(engine, manager, subject):
    pair = manager.login(subject, lifetime=10)
    served(manager, pair.access_token)
    entry = manager_of(manager)._flows.memory.near.entry(pair.access_token)
    left = entry.deadline - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert left <= 10.5, "memory does not outlive the session"


def manager_of(manager) -> SessionManager | AsyncSessionManager:
    return getattr(manager, "manager", manager)


def test_bounds_are_checked():
    for values in (
        {"verification": "fast"},
        {"verification": None},
        {"staleness_bound": 0.01},
        {"staleness_bound": 61},
        {"staleness_bound": float("nan")},
        {"staleness_bound": True},
        {"staleness_bound": "1"},
        {"cache_entries": 0},
        {"cache_bytes": 1000},
    ):
        with pytest.raises(ConfigurationError, match=next(iter(values))):
            Config(issuer="a", keys=KeyRing.generate("HS256"), **values)
