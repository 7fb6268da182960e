"""The near cache: entries, leases, invalidation and limits, on the test's own clocks."""

import itertools
import threading
from math import inf

import pytest

from clusterpass.sessions.memory.followed_sessions import Followed
from clusterpass.sessions.memory.node_state import NEVER, Lease

from .near_cache_scene import BOUND, NODE, WALL, Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_was_kept_is_served_until_its_key_changes(scene):
    entry = scene.entry()
    scene.keep(entry)
    session = scene.cache.find("token")
    assert session is entry.session
    scene.cache.pushed(NODE, [b"cp:{bob}", b"cp:{alice}:user"])
    assert scene.cache.find("token") is session
    scene.cache.pushed(NODE, [b"cp:{alice}"])
    assert scene.cache.find("token") is None
    assert scene.cache.entry("token") is entry, "its signature is still good"
    scene.keep(entry)
    assert scene.cache.find("token") is entry.session


EVENTS = {
    "pushed": lambda cache: cache.pushed(NODE, [b"cp:{alice}"]),
    "changed here": lambda cache: cache.changed(b"cp:{alice}"),
    "flushed": lambda cache: cache.pushed(NODE, None),
    "lost": lambda cache: cache.lost(NODE),
    "connected anew": lambda cache: cache.connected(NODE),
    "another epoch": lambda cache: cache.leases.end_all(),
    "left": lambda cache: cache.set_primaries(frozenset({"b"})),
    "forked": lambda cache: cache.begin_anew(),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
@pytest.mark.parametrize("moment", ["before the answer", "after it was kept"])
def test_a_change_at_any_moment_of_a_load_is_not_missed(scene, event, moment):
    entry = scene.entry()
    loading = scene.cache.begin(entry.key)
    if moment == "before the answer":
        event(scene.cache)
    scene.cache.keep(entry, scene.loaded(), loading, NODE)
    if moment == "after it was kept":
        event(scene.cache)
    scene.cache.end(loading)
    scene.beat()
    scene.beat()
    assert scene.cache.find("token") is None


def test_a_change_before_a_load_is_announced_does_not_matter(scene):
    scene.cache.pushed(NODE, [b"cp:{alice}"])
    scene.keep(scene.entry())
    assert scene.cache.find("token")


def test_the_answer_of_a_node_without_a_lease_is_not_served(scene):
    scene.keep(scene.entry(), node="somebody else")
    assert scene.cache.find("token") is None
    scene.keep(scene.entry("other"), node=None)  # asked in mid-migration
    assert scene.cache.find("other") is None


def test_what_no_node_announces_is_not_served_later_but_is_good_for_who_waits(scene):
    entry = scene.entry()
    loading = scene.cache.begin(entry.key)
    scene.cache.unheard(entry.key)
    scene.cache.keep(entry, scene.loaded(), loading, NODE)
    scene.cache.end(loading)
    assert scene.cache.find("token") is None
    assert scene.cache.shared("token", scene.now) is entry.session
    assert scene.cache.seconds_since_seen(entry) == 0.0, "it was seen alive"
    scene.cache.changed(entry.key)
    assert scene.cache.shared("token", scene.now) is None


def test_an_older_answer_does_not_displace_what_is_served(scene):
    entry = scene.entry()
    late = scene.cache.begin(entry.key)
    scene.cache.pushed(NODE, [entry.key])
    scene.keep(entry)
    newer = entry.session
    scene.cache.keep(entry, scene.loaded(), late, NODE)
    assert scene.cache.find("token") is newer


def test_nothing_is_served_when_the_lease_is_over(scene):
    scene.keep(scene.entry())
    scene.now += BOUND
    assert scene.cache.find("token") is None
    scene.beat()
    scene.beat()
    assert scene.cache.find("token"), "the node was silent, but nothing has changed"


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"fresh_until": WALL + 5}, 5),
        ({"note_at": WALL + 3}, 3),
        ({"ahead": WALL - 10.0 + 895}, 5),  # the store's clock is ahead
    ],
)
def test_each_deadline_holds(scene, values, seconds):
    scene.keep(scene.entry(), scene.loaded(**values))
    for left, served in ((0.1, True), (-0.1, False)):
        scene.now = 10.0 + seconds - left
        scene.beat()
        scene.beat()
        assert bool(scene.cache.find("token")) is served


def test_a_token_that_has_expired_by_this_machines_clock_is_not_served(scene):
    scene.wall = WALL + 895.0
    scene.keep(scene.entry())  # by the store's clock it has 900 s left
    scene.now += 5.1
    scene.beat()
    scene.beat()
    assert scene.cache.find("token") is None


def test_two_tokens_of_a_subject_go_together_and_others_stay(scene):
    for token, subject in (("1", "alice"), ("2", "alice"), ("3", "alice"), ("4", "bob")):
        scene.keep(scene.entry(token, subject))
    scene.cache.changed(b"cp:{alice}")
    assert [bool(scene.cache.find(token)) for token in "1234"] == [False, False, False, True]


def test_a_full_cache_is_within_its_limits():
    scene = Scene(entries=2)
    for token in ("a", "b"):
        scene.keep(scene.entry(token, token))
    assert (scene.cache.stats().entries, scene.cache.stats().evictions) == (2, 0)
    exact = Scene(size=scene.cache.stats().bytes)
    for token in ("a", "b"):
        exact.keep(exact.entry(token, token))
    assert (exact.cache.stats().entries, exact.cache.stats().evictions) == (2, 0)
    for each in (scene, exact):
        each.keep(each.entry("c", "c"))
        assert (each.cache.stats().entries, each.cache.stats().evictions) == (2, 1)


def test_somebody_leaves_although_everybody_was_used():
    scene = Scene(entries=3)
    for token in "abcdefgh":
        scene.keep(scene.entry(token, token))
        for each in "abcdefgh":
            scene.now += 0.001
            scene.cache.find(each)
        assert scene.cache.stats().entries <= 3


def test_a_flush_counts_as_one_invalidation(scene):
    scene.cache.pushed(NODE, None)
    assert scene.cache.stats().invalidations == 1


class Follows:
    """A caller who follows a session, about which a load is under way."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.woken = scene, []
        keys = scene.entry().keys
        self.followed = Followed("alice", keys, b"s" * 16, "s", lambda: self.woken.append(1))
        self.followed.is_due, self.followed.read_at = False, scene.now
        self.loading = scene.cache.begin(keys.sessions)

    def answer(self, node: str = NODE, *, actor: bool = False) -> Followed:
        if actor:
            self.scene.cache.hold_actor(self.followed, self.loading, node)
        else:
            self.scene.cache.follow(self.followed, self.scene.loaded(), self.loading, node)
        return self.followed

    def lease(self, *, actor: bool) -> Lease:
        return self.followed.actor_lease if actor else self.followed.entry.lease


@pytest.mark.parametrize("actor", [False, True])
def test_what_a_follower_has_read_is_held_until_it_changes(scene, actor):
    held = Follows(scene)
    followed = held.answer(actor=actor)
    assert held.lease(actor=actor) is scene.cache.leases.lease(NODE)
    assert (followed.is_due, followed.read_at) == (False, scene.now)
    changed = Follows(scene)
    scene.cache.changed(changed.followed.entry.key)
    followed = changed.answer(actor=actor)
    assert changed.lease(actor=actor) is NEVER
    assert followed.is_due, "it is read again"
    due = Follows(scene)
    due.followed.is_due = True
    assert due.answer(actor=actor).is_due, "it was touched meanwhile"
    assert Follows(scene).answer("b", actor=actor).is_due is False
    elsewhere = Follows(scene)
    elsewhere.answer("b", actor=actor)
    assert elsewhere.lease(actor=actor) is NEVER, "that node pushes nothing"


@pytest.mark.parametrize("actor", [False, True])
@pytest.mark.parametrize("refusal", ["", "NOPERM"])
def test_what_nobody_pushes_is_read_again_soon_unless_nobody_ever_will(scene, actor, refusal):
    scene.cache.refusal = refusal
    unheard = Follows(scene)
    scene.cache.unheard(unheard.followed.entry.key)
    followed = unheard.answer(actor=actor)
    assert unheard.lease(actor=actor) is NEVER
    assert followed.read_at == (scene.now if refusal else -inf)
    assert not followed.is_due


def test_entries_are_bounded_and_who_was_not_used_leaves(scene):
    scene = Scene(entries=3)
    for token in "abc":
        scene.keep(scene.entry(token, token))
        scene.now += 0.01
    assert scene.cache.find("a")
    scene.now += 0.01
    scene.keep(scene.entry("d", "d"))
    assert [bool(scene.cache.find(token)) for token in "abcd"] == [True, False, True, True]
    stats = scene.cache.stats()
    assert (stats.entries, stats.evictions) == (3, 1)


def test_bytes_are_bounded_and_counted_back():
    scene = Scene(size=10_000)
    for number in range(50):
        scene.keep(scene.entry(f"{number:0500}", f"user-{number}"))
        assert scene.cache.stats().bytes <= 10_000
    assert 2 <= scene.cache.stats().entries <= 6
    for number in range(50):
        scene.cache.changed(b"cp:{user-%d}" % number)
    scene.cache.begin_anew()
    assert (scene.cache.stats().entries, scene.cache.stats().bytes) == (0, 0)


def test_expired_tokens_make_room_by_themselves(scene):
    for number in range(10):
        scene.keep(scene.entry(f"old-{number}", f"old-{number}", expires_at=WALL + 10))
    scene.wall += 20
    for number in range(5):
        scene.keep(scene.entry(f"new-{number}", f"new-{number}"))
    assert scene.cache.stats().entries == 5


@pytest.mark.parametrize("token", [None, 5, b"token", [], {}, object()])
def test_what_is_no_token_is_not_found(scene, token):
    assert scene.cache.find(token) is None


def test_nothing_shows_a_token(scene):
    entry = scene.entry("eyJ-secret")
    scene.keep(entry)
    assert "secret" not in repr(entry) + repr(scene.cache) + repr(scene.cache.stats())


def test_a_push_of_the_cutoff_stops_everything_until_it_is_read(scene):
    scene.keep(scene.entry())
    scene.now += 0.01
    assert scene.cache.pushed(NODE, [b"cp:not-before:{x}"]) is True
    assert scene.cache.find("token") is None
    assert scene.cutoff.is_due()
    scene.beat()
    assert scene.cache.find("token"), "it was not raised"
    scene.cache.beat_answered(NODE, scene.cache.beat_sent(NODE), 0, 12345)
    assert scene.cutoff.milliseconds == 12345
    scene.beat()
    assert scene.cache.find("token") is None, "all that was read before is dropped"


def test_what_is_counted(scene):
    scene.keep(scene.entry())
    for _ in range(4):
        scene.cache.find("token")
    scene.cache.pushed(NODE, [b"cp:{alice}", b"cp:{bob}"])
    stats = scene.cache.stats()
    assert (stats.hits, stats.misses, stats.invalidations) == (4, 1, 2)
    assert stats.invalidations_per_second == 0.2
    scene.now += 11
    assert scene.cache.stats().invalidations_per_second == 0


def test_threads_never_find_what_was_changed_before_they_looked(scene):
    """Readers look while one thread keeps and changes; a version once changed is never found."""
    entry = scene.entry()
    changed, failures, stop = 0, [], threading.Event()
    sessions = {}

    def read() -> None:
        while not stop.is_set():
            floor = changed
            session = scene.cache.find("token")
            if session is not None and sessions[id(session)] < floor:
                failures.append((sessions[id(session)], floor))

    readers = [threading.Thread(target=read) for _ in range(4)]
    kept = []
    for number in itertools.count(1):
        loaded = scene.loaded()
        kept.append(loaded)  # so that no id is used twice
        sessions[id(loaded.session)] = number
        scene.keep(entry, loaded)
        if number == 1:
            for reader in readers:
                reader.start()
        if number == 3000:
            break
        scene.cache.changed(entry.key)
        changed = number + 1
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures


def test_nodes_are_told_in_the_order_of_their_names(scene):
    scene.cache.set_primaries(frozenset({("b", 9), "a", 10, ("b", 10)}))
    told = [node.address for node in scene.cache.node_stats()]
    assert told == sorted(told)
    assert set(told) == {"a", "10", "('b', 9)", "('b', 10)"}


def test_a_key_that_is_removed_takes_the_entries_with_it(scene):
    entry = scene.entry()
    scene.keep(entry)
    assert scene.cache.find("token") is entry.session
    assert scene.cache.era == 0
    scene.cache.forget_tokens()
    assert scene.cache.find("token") is None
    assert scene.cache.entry("token") is None, "nor is its signature good any more"
    assert scene.cache.era == 1


@pytest.mark.parametrize("way", ["loaded", "stateless"])
def test_a_load_that_began_before_a_key_was_removed_is_not_kept(scene, way):
    """Its signature was verified with the keys before."""
    entry = scene.entry()
    loading = scene.cache.begin(entry.key, entry.token)
    scene.cache.forget_tokens()
    if way == "loaded":
        scene.cache.keep(entry, scene.loaded(), loading, NODE)
    else:
        scene.cache.keep_stateless(entry, scene.loaded().session)
    scene.cache.end(loading)
    assert scene.cache.find("token") is None
    assert scene.cache.entry("token") is None
    later = scene.entry()
    later.era = scene.cache.era
    scene.keep(later)
    assert scene.cache.find("token") is later.session


def test_a_token_whose_load_is_over_makes_room_for_others(scene):
    small = Scene(entries=1)
    first, second = small.entry("first"), small.entry("second")
    loading = small.cache.begin(first.key, first.token)
    small.cache.keep(first, small.loaded(), loading, NODE)
    small.keep(second)
    assert small.cache.find("first") is not None, "it is being loaded"
    small.cache.end(loading)
    small.keep(small.entry("third"))
    assert small.cache.find("first") is None


def test_a_forked_child_waits_for_no_load_of_its_parent():
    small = Scene(entries=1)
    first, second = small.entry("first"), small.entry("second")
    small.cache.begin(first.key, first.token)
    small.cache.begin_anew()
    small.cache.set_primaries(frozenset({NODE}))
    small.cache.connected(NODE)
    small.beat()
    small.beat()
    small.keep(first)
    small.keep(second)
    assert small.cache.find("first") is None
    assert small.cache.find("second") is not None
