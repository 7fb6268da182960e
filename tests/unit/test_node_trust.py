"""``NodeTrust``: heartbeats, journals, forks and the statistics of the near cache."""

from typing import Any

import pytest

from clusterpass.model.statistics import NOTHING_PENDING
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.followed_sessions import Followed
from clusterpass.sessions.memory.node_trust import NodeTrust

from .driven_flows import KEYSPACE, NOW, SESSION_ID, access_token, drive, life, live, stored
from .journal_scene import ALL, Scene as JournalScene, answer, told
from .lease_scene import FRESH, NODES, beat, five_leases
from .near_cache_scene import NODE, Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


def followed(scene: Scene, woken: list[int]) -> Followed:
    keys = KEYSPACE.keys_of("alice")
    return Followed("alice", keys, SESSION_ID, "s", lambda: woken.append(1))


def test_a_forked_child_knows_nothing_of_its_parent(scene: Scene) -> None:
    woken: list[int] = []
    scene.keep(scene.entry())
    one = followed(scene, woken)
    scene.cache.followers.add(one)
    scene.cutoff.raise_to(5)
    woken.clear()
    scene.cache.begin_anew()
    assert scene.cache.entry("token") is None
    assert scene.cache.find("token") is None
    assert scene.cache.stats().entries == 0
    assert len(scene.cache.followers) == 0
    assert scene.cache.leases.state(NODE) is None
    assert scene.cutoff.is_due()


def test_a_raised_cutoff_ends_every_lease_and_wakes_every_follower(scene: Scene) -> None:
    woken: list[int] = []
    scene.keep(scene.entry())
    scene.cache.followers.add(followed(scene, woken))
    assert scene.cache.find("token") is not None
    scene.cutoff.raise_to(5)
    assert scene.cache.find("token") is None
    assert woken == [1]


def test_a_beat_that_nobody_sent_tells_nothing(scene: Scene) -> None:
    told: list[tuple[object, ...]] = []
    scene.cache.on_time = lambda *all_told: told.append(all_told)
    number = scene.cache.beat_sent(NODE)
    scene.cache.time_told(NODE, number + 1, 5)
    assert told == []
    scene.cache.time_told(NODE, number, 5)
    assert told == [(NODE, 5, scene.now, frozenset({NODE}))]
    assert not scene.cache.beat_answered(NODE, number + 1, 0, 99)
    assert scene.cutoff.milliseconds == 0
    scene.cache.beat_answered(NODE, number, 0, 99)
    assert scene.cutoff.milliseconds == 99


def test_a_gap_is_told_for_each_node_that_may_push_unheard(scene: Scene) -> None:
    told: list[int] = []
    scene.cache.on_gap = lambda: told.append(1)
    primaries = frozenset({NODE, "b"})
    scene.cache.set_primaries(primaries)
    assert len(told) == 1, "a node owns slots, and does not push yet"
    scene.cache.set_primaries(primaries)
    scene.cache.connected("b")
    assert len(told) == 1
    scene.cache.lost("b")
    scene.cache.lost("b")
    assert len(told) == 2, "a connection was lost"
    scene.cache.set_primaries(frozenset({"b", "c"}))
    assert len(told) == 4, "one took over from another, whose connection was still open"
    scene.cache.lost(NODE)
    assert len(told) == 4


def test_the_first_map_is_no_gap() -> None:
    told: list[int] = []
    cache = Scene().cache
    cache.begin_anew()
    cache.on_gap = lambda: told.append(1)
    cache.set_primaries(frozenset({NODE, "b"}))
    assert told == []


def test_how_old_evidence_may_be_is_what_the_journals_say(scene: Scene) -> None:
    journals = JournalScene()
    for hear in ("heads_heard", "heads_agreed"):
        leases = five_leases()
        trust: NodeTrust = Scene().cache
        trust.leases.set_evidence_bound(9.0)
        trust.journal = journals.journal
        journals.take(ALL, answer(0, milliseconds=125))
        getattr(trust, hear)(NODE if hear == "heads_heard" else 1.0, 1)
        assert trust.leases.evidence_bound == 0.125
        assert leases.evidence_bound == 0.25


def test_without_journals_there_is_nothing_to_know(scene: Scene) -> None:
    assert not scene.cache.knows(NODE, (1, b"m", 250, 3))
    assert not scene.cache.has_gaps()


def test_a_node_that_refuses_what_a_judgement_needs_is_believed() -> None:
    scene, _ = cluster()
    scene.cache.unjudged("a")
    assert [scene.cache.leases.doubts(node, 99.0) for node in "abc"] == [False, True, True]


def cluster() -> tuple[Scene, JournalScene]:
    """What is believed of three primaries, each with a journal of which all is known."""
    scene, journals = Scene(), JournalScene()
    scene.cache.leases._has_epochs = True
    scene.cache.journal = journals.journal
    scene.cache.begin_anew()
    scene.cache.set_primaries(frozenset("abc"), frozenset("abc"))
    for node in "abc":
        scene.cache.connected(node)
        journals.take(ALL, answer(1), node)
        heartbeat(scene, node, told=told(1))
    return scene, journals


def heartbeat(scene: Scene, node: str, **values: Any) -> None:
    number = scene.cache.beat_sent(node)
    values = {"cutoff": 0, "told": None, "own_epoch": 3} | values
    scene.cache.beat_answered(
        node, number, 5, values["cutoff"], values["told"], own_epoch=values["own_epoch"]
    )


def test_a_heartbeat_tells_whether_all_endings_are_known() -> None:
    scene, _ = cluster()
    leases = scene.cache.leases
    assert leases.heads_at == 10.0
    scene.now = 20.0
    for node in "abc":
        heartbeat(scene, node)
        heartbeat(scene, node, told=told(2))
    assert leases.heads_at == 10.0, "no journal told that nothing is new"
    for node in "ab":
        heartbeat(scene, node, told=told(1))
    assert leases.heads_at == 20.0


def test_what_was_asked_for_on_purpose_tells_it_too() -> None:
    scene, _ = cluster()
    leases = scene.cache.leases
    scene.cache.heads_heard("a", 15.0)
    assert leases.heads_at == 10.0
    scene.cache.heads_heard("b", 16.0)
    assert leases.heads_at == 15.0
    scene.cache.heads_agreed(17.0, 4)
    assert leases.heads_at == 15.0, "by nodes that were behind"
    scene.cache.heads_agreed(17.0, 5)
    assert leases.heads_at == 17.0


@pytest.mark.parametrize("event", ["connected", "lost"])
def test_after_a_connection_was_lost_a_journal_is_read_as_a_whole(event: str) -> None:
    scene, journals = cluster()
    assert scene.cache.knows("a", told(1))
    assert journals.journal.read_from("a") != ALL
    getattr(scene.cache, event)("a")
    assert not scene.cache.knows("a", told(1))
    assert journals.journal.read_from("a") == ALL
    assert scene.cache.knows("b", told(1))


def test_after_a_pause_a_node_that_was_replaced_meanwhile_is_a_new_acquaintance() -> None:
    scene, _ = cluster()
    scene.now = 20.0
    assert scene.cache.seconds_unsettled("a") == 0
    scene.cache.rested()
    assert scene.cache.seconds_unsettled("a") == scene.cache.leases.evidence_bound
    heartbeat(scene, "a")
    assert scene.cache.seconds_unsettled("a") == 0, "it is the one that it was"
    scene.cache.rested()
    heartbeat(scene, "a", own_epoch=7)
    assert scene.cache.seconds_unsettled("a") == scene.cache.leases.evidence_bound


def test_who_wants_all_changes_has_them_pushed() -> None:
    scene = Scene()
    cache = scene.cache
    assert not cache.is_followed
    cache.want_all_pushes()
    assert cache.wants_all
    assert cache.is_followed
    assert cache.prefixes == (b"cp:{", b"cp:not-before:{")


def test_where_slots_have_moved_the_rest_goes_on_under_a_new_lease() -> None:
    scene = Scene()
    stays, moved, doubtful = (scene.entry(name, name) for name in ("a", "b", "c"))
    moved.keys = SubjectKeys(moved.key, b"", 7)  # type: ignore[misc]
    for entry in (stays, moved, doubtful):
        scene.keep(entry)
    scene.cache.changed(doubtful.key)
    scene.cache.mapped(0.0, {NODE: [7]})
    scene.beat()
    scene.beat()
    assert [scene.cache.is_served(entry) for entry in (stays, moved, doubtful)] == [
        True,
        False,
        False,
    ]
    assert scene.cache.find("a") is not None
    assert scene.cache.find("b") is None
    assert scene.cache.find("c") is None


def test_the_state_of_a_lease_is_described() -> None:
    leases = five_leases()
    found = leases.describe("a", 0.25)
    assert (found.address, found.is_connected, found.has_lease) == ("a", True, True)
    assert (found.lease_seconds, found.beat_age, found.epoch) == (0.75, 0.25, 5)
    assert not found.is_outdated
    over = leases.describe("a", 1.0)
    assert (over.is_connected, over.has_lease, over.lease_seconds) == (True, False, 0.0)
    leases.lost("a")
    lost = leases.describe("a", 0.25)
    assert (lost.is_connected, lost.has_lease, lost.lease_seconds) == (False, False, 0.0)
    assert (lost.beat_age, lost.epoch) == (None, 5)
    nobody = leases.describe("x", 0.25)
    assert (nobody.is_connected, nobody.beat_age, nobody.epoch) == (False, None, None)
    beat(leases, 0.5, *NODES[1:], epoch=6)
    assert leases.describe("a", 0.5).is_outdated
    assert not leases.describe("b", 0.5).is_outdated


def test_the_statistics_of_a_manager() -> None:
    own = life(verification="strict", staleness_bound=0.7, durability="fsync")
    drive(own.verify(access_token()), stored(live()))
    stats = own.flows.stats()
    assert (stats.verification, stats.staleness_bound) == ("strict", 0.7)
    assert (stats.durability, stats.refusal) == ("fsync", "")
    assert (stats.rollbacks, stats.grace_accepted, stats.nodes) == (0, 0, ())
    assert stats.pending == NOTHING_PENDING
    assert own.flows.context.keeping().operation_until == 0
    assert own.flows.context.keeping().time.milliseconds == NOW * 1000


def test_the_key_prefixes_of_a_manager_are_those_of_its_keys() -> None:
    near = life().flows.memory.near
    assert near._pushed_prefixes == (
        KEYSPACE.sessions_prefix(),
        KEYSPACE.not_before_prefix(),
    )


@pytest.mark.parametrize(
    ("began", "is_shared"), [(5.0, True), (10.0, True), (11.0, True), (11.1, False)]
)
def test_a_load_is_shared_for_as_long_as_the_bound(
    scene: Scene, began: float, is_shared: bool
) -> None:
    scene.keep(scene.entry())
    before = scene.cache.stats().hits
    found = scene.cache.shared("token", began)
    assert (found is not None) == is_shared
    assert scene.cache.stats().hits == before + is_shared


def test_what_may_have_changed_is_not_shared(scene: Scene) -> None:
    assert scene.cache.shared("token", 10.0) is None
    entry = scene.entry()
    scene.keep(entry)
    scene.cache.changed(entry.key)
    assert scene.cache.shared("token", 10.0) is None
    scene.keep(scene.entry("other"))
    scene.now += 10_000
    assert scene.cache.shared("other", scene.now - 9_999.5) is None, "its token has expired"
    scene.keep(scene.entry("third", expires_at=10**9))
    scene.cutoff.raise_to(2)
    assert scene.cache.shared("third", scene.now) is None


def test_when_a_session_was_last_known_to_be_live(scene: Scene) -> None:
    entry = scene.entry()
    assert scene.cache.seconds_since_seen(entry) is None
    scene.keep(entry)
    scene.now += 0.25
    assert scene.cache.seconds_since_seen(entry) == 0.25
    assert scene.cache.is_served(entry)
    assert scene.cache.seconds_since_seen(entry) == 0.0, "it was served"
    hits = scene.cache.stats().hits
    scene.now += 100
    assert not scene.cache.is_served(entry)
    assert scene.cache.stats().hits == hits
    scene.cache.changed(entry.key)
    assert scene.cache.seconds_since_seen(entry) is None


def test_the_time_of_the_store_goes_on(scene: Scene) -> None:
    loaded = scene.loaded(ahead=500.0)
    assert scene.cache.store_seconds(loaded) == 510.0
    scene.now += 7
    assert (scene.cache.store_seconds(loaded), scene.cache.now()) == (517.0, 17.0)


def test_the_nodes_are_described_in_order(scene: Scene) -> None:
    scene.cache.set_primaries(frozenset({"c", NODE, "b"}))
    assert [each.address for each in scene.cache.node_stats()] == [NODE, "b", "c"]
    assert [each.is_connected for each in scene.cache.node_stats()] == [True, False, False]


def test_following_has_the_nodes_push_and_ends(scene: Scene) -> None:
    woken: list[int] = []
    one = followed(scene, woken)
    scene.cache.prefixes = ()
    scene.cache.begin_following(one)
    assert scene.cache.prefixes == (b"cp:{", b"cp:not-before:{")
    assert scene.cache.look_after_followers() == 1
    scene.cache.wake_followers()
    assert woken == [1]
    scene.cache.changed(KEYSPACE.sessions("alice"))
    assert woken == [1, 1]
    scene.cache.follow_actor(one, KEYSPACE.sessions("root"))
    scene.cache.changed(KEYSPACE.sessions("root"))
    assert woken == [1, 1, 1]
    scene.cache.end_following(one)
    scene.cache.changed(KEYSPACE.sessions("alice"))
    scene.cache.wake_followers()
    assert woken == [1, 1, 1]
    assert scene.cache.look_after_followers() == 0


def test_a_node_is_doubted_by_what_was_known_when_it_was_asked(scene: Scene) -> None:
    """However long ago: evidence counts that is younger than L by then, not by now."""
    leases = scene.cache.leases
    asked_at = scene.now
    assert leases.doubts(NODE, asked_at) == scene.cache.doubts(NODE)
    doubted = {
        (age, is_durable): scene.cache.doubts(NODE, age=age, is_durable=is_durable)
        for age in (0.0, 5.0, 1e9)
        for is_durable in (False, True)
    }
    assert doubted == {
        (age, is_durable): leases.doubts(NODE, asked_at - age, is_durable=is_durable)
        for age, is_durable in doubted
    }
    scene.now += 1e6
    assert scene.cache.doubts(NODE) is True, "nobody has told anything for a long time"
    assert scene.cache.doubts(NODE, age=1e6) is doubted[0.0, False], "as it was then"


def test_a_server_is_settled_a_moment_after_a_majority_has_named_it(scene: Scene) -> None:
    leases = scene.cache.leases
    scene.cache.rely_on_agreements()
    assert leases.seconds_unsettled(NODE, scene.now) == FRESH
    scene.cache.agreed(NODE, scene.now - 0.1, epoch=1)
    assert leases.seconds_unsettled(NODE, scene.now) == pytest.approx(FRESH), "as of the answer"
    scene.now += 0.2
    assert leases.seconds_unsettled(NODE, scene.now) == pytest.approx(FRESH - 0.2)
    scene.cache.agreed(NODE, scene.now, epoch=3)
    assert leases.seconds_unsettled(NODE, scene.now) == FRESH, "another was named meanwhile"
