"""Entries that are not in use are packed, and served again; which of them leaves."""

import itertools
import threading
from math import inf
from types import MappingProxyType
from typing import Any

import pytest

from clusterpass.model.values import Session
from clusterpass.sessions.memory import token_index
from clusterpass.sessions.memory.entries import CachedSession

from .near_cache_scene import BOUND, NODE, WALL, Scene
from .test_near_cache import EVENTS

OBJECTS = 4


@pytest.fixture
def scene(monkeypatch) -> Scene:
    """A cache that keeps few entries as objects, and packs the others."""
    monkeypatch.setattr(token_index, "MOST_OBJECTS", OBJECTS)
    return Scene(entries=50)


def fill(scene: Scene, count: int, name: str = "other", **values: Any) -> None:
    for number in range(count):
        scene.now += 0.0001
        scene.keep(scene.entry(f"{name}-{number}", f"{name}-{number}", **values))


def packed(scene: Scene, token: str = "token") -> bool:
    return scene.cache._tokens.is_packed(token)


def test_who_was_not_used_lately_is_packed_and_served_again(scene):
    scene.keep(scene.entry())
    fill(scene, 20)
    assert packed(scene)
    assert scene.cache.stats().entries == 21
    session = scene.cache.find("token")
    assert session == scene.loaded().session
    assert not packed(scene)
    assert scene.cache.find("token") is session
    stats = scene.cache.stats()
    assert (stats.entries, stats.evictions, stats.hits) == (21, 0, 2)
    assert len(scene.cache._tokens.objects) == OBJECTS


def test_who_is_used_is_not_packed(scene):
    entry = scene.entry()
    scene.keep(entry)
    for number in range(40):
        fill(scene, 1, f"at-{number}")
        scene.now += 0.0001
        assert scene.cache.find("token") is entry.session


def test_a_push_invalidates_the_packed_entries_of_its_key_only(scene):
    for token, subject in (("1", "alice"), ("2", "alice"), ("3", "bob")):
        scene.keep(scene.entry(token, subject))
    fill(scene, 20)
    assert all(packed(scene, token) for token in "123")
    scene.cache.pushed(NODE, [b"cp:{alice}"])
    assert [bool(scene.cache.find(token)) for token in "123"] == [False, False, True]
    for token, is_doubtful in (("1", True), ("2", True), ("3", False)):
        entry = scene.cache.entry(token)
        assert entry is not None
        assert entry.is_doubtful is is_doubtful
        assert (scene.cache.seconds_since_seen(entry) is None) is is_doubtful


def test_what_was_loaded_after_a_change_is_served_when_it_is_packed(scene):
    scene.keep(scene.entry("1"))
    scene.keep(scene.entry("2"))
    fill(scene, 20)
    scene.cache.pushed(NODE, [b"cp:{alice}"])
    scene.keep(scene.entry("2"))
    fill(scene, 20, "more")
    assert packed(scene, "1")
    assert packed(scene, "2")
    assert [bool(scene.cache.find(token)) for token in "12"] == [False, True]


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_no_event_misses_what_is_packed(scene, event):
    scene.keep(scene.entry())
    fill(scene, 20)
    assert packed(scene)
    event(scene.cache)
    scene.beat()
    scene.beat()
    assert scene.cache.find("token") is None


def test_a_lease_that_runs_out_and_goes_on_holds_for_packed_entries(scene):
    scene.keep(scene.entry("1"))
    scene.keep(scene.entry("2"), scene.loaded(fresh_until=WALL + 2))
    fill(scene, 20)
    scene.now += BOUND
    assert scene.cache.find("1") is None
    fill(scene, 20, "more")
    assert packed(scene, "1")
    scene.beat()
    scene.beat()
    assert scene.cache.find("1"), "the node was silent, but nothing has changed"
    scene.now += BOUND
    scene.beat()
    scene.beat()
    assert scene.cache.find("2") is None, "its own deadline holds as well"


def test_packed_entries_of_stateless_sessions_are_served_until_the_token_expires(scene):
    entry = scene.entry()
    scene.cache.keep_stateless(entry, scene.loaded().session)
    fill(scene, 20)
    assert packed(scene)
    assert scene.cache.find("token") == scene.loaded().session
    scene.now += 900
    assert scene.cache.find("token") is None


def test_who_still_holds_an_entry_that_was_packed_learns_of_a_change(scene):
    entry = scene.entry()
    scene.keep(entry)
    scene.now += 0.5
    fill(scene, 20)
    assert packed(scene)
    assert not scene.cache.is_served(entry)
    assert scene.cache.seconds_since_seen(entry) == pytest.approx(0.5, abs=0.1)
    scene.cache.changed(entry.key)
    assert scene.cache.seconds_since_seen(entry) is None


def test_who_still_holds_an_entry_that_was_evicted_knows_nothing(scene):
    entry = scene.entry()
    scene.keep(entry)
    fill(scene, 80)
    assert scene.cache.entry("token") is None
    assert not scene.cache.is_served(entry)
    assert scene.cache.seconds_since_seen(entry) is None
    assert entry.is_doubtful, "nobody would tell it of a change"


def test_after_a_fork_nothing_is_left_of_what_was_packed(scene):
    entry = scene.entry()
    scene.keep(entry)
    fill(scene, 20)
    assert packed(scene)
    scene.cache.begin_anew()
    assert (scene.cache.stats().entries, scene.cache.stats().bytes) == (0, 0)
    scene.cache.changed(entry.key)
    assert scene.cache.find("token") is None


def test_of_the_packed_ones_the_one_that_was_not_used_for_longest_leaves(scene):
    for token in "abc":
        scene.keep(scene.entry(token, token))
    fill(scene, 20)
    assert scene.cache.find("a")
    fill(scene, 29, "more")
    assert [scene.cache.entry(token) is not None for token in "abc"] == [True, False, False]
    assert scene.cache.stats().entries == 50
    assert scene.cache.stats().evictions == 2


def test_expired_tokens_leave_first(scene):
    fill(scene, 20, "old")
    fill(scene, 20, "brief", expires_at=WALL + 10)
    fill(scene, 10, "new")
    scene.wall += 20
    fill(scene, 20, "newest")
    stats = scene.cache.stats()
    assert (stats.entries, stats.evictions) == (50, 0)
    assert all(scene.cache.entry(f"old-{number}") for number in range(20))
    assert not any(scene.cache.entry(f"brief-{number}") for number in range(20))


def test_an_expired_token_leaves_in_its_second(scene):
    fill(scene, 2, "brief", expires_at=WALL + 10)
    scene.wall += 9
    fill(scene, 1, "one")
    assert scene.cache.stats().entries == 3
    scene.wall += 1
    fill(scene, 1, "other")
    assert scene.cache.stats().entries == 2


def test_what_is_being_loaded_stays_where_it_is(scene):
    entries = [scene.entry(f"token-{number}", f"user-{number}") for number in range(30)]
    loads = [scene.cache.begin(entry.key, entry.token) for entry in entries]
    for entry in entries:
        scene.keep(entry)
    fill(scene, 100)
    for entry in entries:
        assert scene.cache._tokens.objects.get(entry.token) is entry
    for load in loads:
        scene.cache.end(load)
    fill(scene, 20, "more")
    assert len(scene.cache._tokens.objects) == OBJECTS, "the excess goes little by little"
    assert scene.cache.stats().entries == 50


def test_claims_that_cannot_be_packed_are_evicted(scene):
    session = Session("alice", "s", None, 0, 0, 0, MappingProxyType({"at": object()}))
    entry = scene.entry()
    loading = scene.cache.begin(entry.key)
    scene.cache.keep(
        entry, CachedSession(session, [b""], WALL - 10.0, 1, WALL * 2, inf), loading, NODE
    )
    scene.cache.end(loading)
    assert scene.cache.find("token") is session
    fill(scene, 20)
    assert scene.cache.entry("token") is None
    assert scene.cache.stats().evictions == 1


def test_bytes_are_counted_back(scene):
    for number in range(200):
        scene.keep(scene.entry(f"{number:0500}", f"user-{number % 7}"))
        scene.cache.find(f"{number * 7 % 50:0500}")
    index = scene.cache._tokens
    held = len(index)
    for number in range(200):
        entry = index.rebuilt(f"{number:0500}")
        if entry is not None:
            index._remove(entry)
            held -= 1
    assert held == 0
    assert (len(index), index.size) == (0, 0)
    assert not any(index._packed._keys)
    assert not index._by_key
    assert not index._ring


def test_a_limit_of_bytes_holds_for_packed_entries(monkeypatch):
    monkeypatch.setattr(token_index, "MOST_OBJECTS", OBJECTS)
    scene = Scene(entries=10**6, size=200_000)
    for number in range(500):
        scene.keep(scene.entry(f"{number:0500}", f"user-{number}"))
        assert scene.cache.stats().bytes <= 200_000
    stats = scene.cache.stats()
    assert 100 < stats.entries < 400
    assert stats.entries + stats.evictions == 500


def test_threads_that_rebuild_and_pack_see_no_session_of_another(monkeypatch):
    monkeypatch.setattr(token_index, "MOST_OBJECTS", OBJECTS)
    scene, failures, stop = Scene(entries=30), [], threading.Event()
    names = [f"user-{number}" for number in range(30)]
    for name in names:
        scene.keep(scene.entry(name, name))

    def read() -> None:
        for name in itertools.cycle(names):
            if stop.is_set():
                return
            session = scene.cache.find(name)
            if session is not None and session.subject != name:
                failures.append((name, session.subject))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(3000):
        name = names[number * 7 % 30]
        scene.keep(scene.entry(name, name))
        scene.cache.changed(b"cp:{%b}" % names[number * 11 % 30].encode())
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    assert scene.cache.stats().entries <= 30


def test_leases_that_have_ended_are_not_kept(scene):
    for _ in range(20):
        scene.cache.connected(NODE)
        scene.cache.leases.end_all()
    assert len(scene.cache.leases._generations._current) == 1


def kept(scene: Scene, token: str, subject: str = "alice") -> None:
    entry = scene.entry(token, subject)
    scene.keep(entry)
    assert entry.session is not None
    scene.cache.keep_response(token, entry.session, token.encode())


def test_a_response_is_served_from_a_packed_entry_which_stays_packed(scene):
    kept(scene, "1")
    scene.keep(scene.entry("2"))
    fill(scene, 20)
    hits = scene.cache.stats().hits
    scene.now += 0.25
    assert scene.cache.find_response("1") == b"1"
    assert (packed(scene, "1"), scene.cache.stats().hits) == (True, hits + 1)
    assert scene.cache.find_response("2") is None, "nothing was kept with it"
    entry = scene.cache.entry("1")
    assert entry is not None
    assert (entry.used_at, entry.response) == (scene.now, b"1")
    assert scene.cache.find_response("1") == b"1", "it is an object again"


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_no_event_misses_the_response_of_a_packed_entry(scene, event):
    kept(scene, "token")
    fill(scene, 20)
    assert packed(scene)
    event(scene.cache)
    scene.beat()
    scene.beat()
    assert scene.cache.find_response("token") is None


def test_a_push_ends_the_packed_responses_of_its_key_only(scene):
    for token, subject in (("1", "alice"), ("2", "alice"), ("3", "bob")):
        kept(scene, token, subject)
    fill(scene, 20)
    scene.cache.pushed(NODE, [b"cp:{alice}"])
    assert [scene.cache.find_response(token) for token in "123"] == [None, None, b"3"]


def test_a_packed_response_is_served_no_longer_than_its_session(scene):
    entry = scene.entry()
    scene.keep(entry, scene.loaded(fresh_until=WALL + 2))
    assert entry.session is not None
    scene.cache.keep_response("token", entry.session, b"response")
    fill(scene, 20)
    scene.now += BOUND
    assert scene.cache.find_response("token") is None, "the lease is over"
    scene.beat()
    scene.beat()
    assert scene.cache.find_response("token") == b"response"
    scene.now += BOUND
    scene.beat()
    scene.beat()
    assert scene.cache.find_response("token") is None, "its own deadline holds as well"
    assert packed(scene)


def test_a_packed_response_of_a_stateless_session_is_served_until_the_token_expires(scene):
    session = scene.loaded().session
    scene.cache.keep_stateless(scene.entry(), session)
    scene.cache.keep_response("token", session, b"response")
    fill(scene, 20)
    assert packed(scene)
    scene.now += 899
    assert scene.cache.find_response("token") == b"response"
    scene.now += 1
    assert scene.cache.find_response("token") is None


def test_a_packed_entry_whose_response_is_used_leaves_last(scene):
    for token in "abc":
        kept(scene, token, token)
    fill(scene, 20)
    assert scene.cache.find_response("a")
    fill(scene, 29, "more")
    assert [scene.cache.entry(token) is not None for token in "abc"] == [True, False, False]


def test_responses_count_in_the_limit_of_bytes(monkeypatch):
    monkeypatch.setattr(token_index, "MOST_OBJECTS", OBJECTS)
    counts = []
    for size in (0, 1000):
        scene = Scene(entries=10**6, size=200_000)
        for number in range(500):
            entry = scene.entry(f"{number:0500}", f"user-{number}")
            scene.keep(entry)
            assert entry.session is not None
            scene.cache.keep_response(entry.token, entry.session, b"r" * size)
            assert scene.cache.stats().bytes <= 200_000
        counts.append(scene.cache.stats().entries)
    assert counts[1] < counts[0] * 0.7


def test_a_response_that_is_used_often_becomes_that_of_an_object(scene):
    kept(scene, "often")
    kept(scene, "once")
    fill(scene, 20)
    assert scene.cache.find_response("once") == b"once"
    for _ in range(64):
        assert scene.cache.find_response("often") == b"often"
    assert (packed(scene, "often"), packed(scene, "once")) == (False, True)
    assert len(scene.cache._tokens.objects) == OBJECTS


def test_a_removed_key_takes_packed_entries_along_and_rebuilt_ones_can_be_kept(scene):
    scene.keep(scene.entry("mine"))
    fill(scene, 20)
    assert packed(scene, "mine")
    scene.cache.forget_tokens()
    assert scene.cache.entry("mine") is None
    assert scene.cache.stats().entries == 0
    entry = scene.entry("mine")
    entry.era = scene.cache.era
    scene.keep(entry)
    for number in range(20):
        other = scene.entry(f"later-{number}", "later")
        other.era = scene.cache.era
        scene.now += 0.0001
        scene.keep(other)
    assert packed(scene, "mine")
    rebuilt = scene.cache.entry("mine")
    assert rebuilt is not None
    scene.keep(rebuilt)
    assert scene.cache.find("mine") is rebuilt.session
