"""Entries that are not in use are packed; what leaves, and what one insertion may cost."""

import gc
import itertools
import sys
import threading
from math import inf
from types import FrameType, MappingProxyType
from typing import Any

import pytest

from clusterpass.model.bans import Ban
from clusterpass.model.frozen import FrozenDict, FrozenList, frozen
from clusterpass.model.values import NO_CLAIMS, Actor, Session
from clusterpass.sessions.memory import token_index
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.leases import ALWAYS, NEVER, Lease
from clusterpass.sessions.memory.packed_entry import pack_entry, unpack_entry
from clusterpass.sessions.memory.packed_tokens import PackedTokens

from .test_near_cache import BOUND, EVENTS, NODE, WALL, Scene

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


RICH = Session(
    "alice",
    "s",
    "Ännas phone",
    1,
    2,
    3,
    frozen({"roles": ["a", {"b": [1.5, None, True, 2**80]}], "scope": "read"}),
    "phone",
    4,
    5,
    "mfa",
    ("pwd", "otp"),
    Actor("bob", "t", "help"),
    (Ban("chat", 3, None, "spam", 9), Ban("", 1, 99, "", 8)),
    False,
    True,
)


@pytest.mark.parametrize("session", [RICH, Session("alice", "s", None, 0, 0, 0), None])
@pytest.mark.parametrize("lease", [NEVER, ALWAYS, Lease("a", 7)], ids=["never", "always", "7"])
def test_what_is_packed_comes_back_as_it_was(scene, session, lease):
    entry = scene.entry("secret")
    entry.session, entry.lease = session, lease
    if session is not None:
        raw = [b"raw", None, 5, [b"a", [1]]]
        entry.loaded = CachedSession(session, raw, 1.25, 2, 3, inf)
    entry.deadline, entry.used_at, entry.is_doubtful = 12.5, -inf, True
    contents = pack_entry(entry)
    assert b"secret" not in contents
    back = unpack_entry("secret", entry.key, contents, {7: lease}.get)
    same = set(CachedToken.__slots__) - {"looked_at", "place", "size", "call"}
    assert {name: getattr(back, name) for name in same} == {
        name: getattr(entry, name) for name in same
    }
    assert back.lease is lease
    if back.session is not None:
        assert back.loaded is not None
        assert back.session is back.loaded.session
        assert type(back.session.claims) is MappingProxyType


def test_claims_that_come_back_cannot_be_changed(scene):
    entry = scene.entry()
    entry.session = RICH
    back = unpack_entry("token", entry.key, pack_entry(entry), {}.get).session
    assert back is not None
    assert isinstance(back.claims["roles"], FrozenList)
    assert isinstance(back.claims["roles"][1], FrozenDict)
    entry.session = Session("alice", "s", None, 0, 0, 0)
    again = unpack_entry("token", entry.key, pack_entry(entry), {}.get).session
    assert again is not None
    assert again.claims is NO_CLAIMS


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
    for token in [
        *index.objects,
        *(each for entries in index._packed._entries for each in entries),
    ]:
        entry = index.rebuilt(token)
        assert entry is not None
        index._remove(entry)
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


# --- What one call may cost ----------------------------------------------------------------------


class Steps:
    """Counts the instructions of the interpreter that this thread carries out."""

    def __enter__(self) -> "Steps":
        self.count = 0
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self._trace


def costs(
    monkeypatch, entries: int, *, used: bool = False, subject: str = "", objects: int = 64
) -> dict[str, int]:
    """Return the most instructions that each call takes in a full cache of that many entries."""
    monkeypatch.setattr(token_index, "MOST_OBJECTS", objects)
    scene = Scene(entries=entries)
    made = [scene.entry(f"t-{number}", subject or f"u-{number}") for number in range(entries + 200)]
    for entry in made[:entries]:
        scene.now += 0.0001
        scene.keep(entry)
    scene.beat()
    scene.beat()
    most = {"keep": 0, "find": 0, "find packed": 0, "changed": 0}
    for number, entry in enumerate(made[entries:]):
        if used:  # no object may be passed over for long, though all were used
            scene.now += 0.0001
            for token in list(scene.cache._tokens.objects):
                scene.cache.find(token)
        for name, call in (
            ("keep", lambda entry=entry: scene.keep(entry)),
            ("find", lambda entry=entry: scene.cache.find(entry.token)),
            ("find packed", lambda at=entries - 200 - number: scene.cache.find(f"t-{at}")),
            ("changed", lambda entry=entry: scene.cache.changed(entry.key)),
        ):
            scene.now += 0.0001
            with Steps() as steps:
                call()
            most[name] = max(most[name], steps.count)
    assert scene.cache.stats().evictions >= 200
    return most


@pytest.mark.parametrize("used", [False, True])
def test_no_call_takes_longer_in_a_larger_cache(monkeypatch, used):
    small, large = costs(monkeypatch, 500, used=used), costs(monkeypatch, 16_000, used=used)
    assert small["find"] < 100
    for name, most in small.items():
        assert large[name] <= most * 1.2 + 50, name


def test_no_call_takes_longer_with_more_objects_that_were_all_used(monkeypatch):
    few, many = costs(monkeypatch, 800, used=True), costs(monkeypatch, 800, used=True, objects=400)
    for name, most in few.items():
        assert many[name] <= most * 1.2 + 50, name


def test_a_change_takes_as_long_for_a_subject_with_many_tokens(monkeypatch):
    few, many = costs(monkeypatch, 500, subject="a"), costs(monkeypatch, 8_000, subject="a")
    for name, most in few.items():
        assert many[name] <= most * 1.2 + 50, name


def test_no_dictionary_grows_with_the_cache_and_the_collector_tracks_none():
    index = PackedTokens(100_000)
    for number in range(100_000):
        index.put(f"t-{number}", b"k-%d" % (number // 3), WALL + 900, b"contents", WALL)
        if number % 5 == 0:
            index.changed(b"k-%d" % (number // 4))
    for dictionary in (*index._entries, *index._keys):
        assert len(dictionary) < 300
        assert not gc.is_tracked(dictionary)


def test_expired_entries_are_found_without_looking_at_all(monkeypatch):
    """An expired token leaves when its dictionary is met, and no other dictionary is looked at."""
    index = PackedTokens(10_000)
    for number in range(10_000):
        index.put(f"t-{number}", b"key", WALL + 900 + number % 2, b"", WALL)
    with Steps() as steps:
        assert index.make_room(WALL + 900.5) == 0
    assert steps.count < 10_000
    assert 9_700 < len(index) < 10_000
    while len(index) > 5_000:
        assert index.make_room(WALL + 900.5) == 0
    assert index.make_room(WALL + 900.5) == 1, "those that are left have not expired"
