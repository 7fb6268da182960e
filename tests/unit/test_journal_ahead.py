"""The journaled endings that a process knows: what is carried out in front, and who is told."""

from dataclasses import replace
from typing import Any

import pytest

from clusterpass.protocol.calls.journal import ReadFrom
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.journal_entry import JournalEntry

from .journal_scene import (
    ALL,
    KEY,
    KEYSPACE,
    MARK_BEFORE,
    TIME,
    WALL,
    Scene,
    answer,
    entry,
    told,
)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def carried_out(scene: Scene, key: bytes = KEY) -> list[tuple[Any, ...]]:
    return [known.make().arguments for known in scene.journal.ahead.get(key, ())]


def test_each_subject_has_the_calls_of_its_entries_in_front(scene):
    one, two, other = entry("1"), entry("2"), entry("3", "bob")
    for each in (one, two, other):
        scene.journal.learn(each)
    calls = [each.call(KEYSPACE, Housekeeping(975)).arguments for each in (one, two, other)]
    assert carried_out(scene) == calls[:2]
    assert carried_out(scene, KEYSPACE.sessions("bob")) == calls[2:]
    assert scene.changed == [KEY, KEY, KEYSPACE.sessions("bob")], "what is in memory is dropped"
    scene.journal.forget([one.id])
    assert carried_out(scene) == calls[1:2]
    scene.journal.forget([two.id, two.id, one.id])
    assert KEY not in scene.journal.ahead, "a subject without entries costs nothing"
    assert carried_out(scene, KEYSPACE.sessions("bob")) == calls[2:]


@pytest.mark.parametrize("time", [None, TIME])
def test_an_entry_that_is_known_already_changes_nothing(scene, time):
    known = entry("1", time=time)
    scene.take(ALL, answer(5, known))
    (first,) = scene.journal.ahead[KEY]
    scene.take(ALL, answer(9, known), "b")
    scene.journal.learn(known)
    (second,) = scene.journal.ahead[KEY]
    assert second is first, "or calls under way would be repeated"
    assert scene.changed == [KEY]


def test_an_entry_with_a_time_replaces_one_without(scene):
    scene.journal.learn(entry("1"))
    scene.journal.learn(entry("2"))
    scene.take(ALL, answer(5, entry("1", time=TIME)))
    assert scene.journal.find(entry("1").id).entry.milliseconds == TIME
    assert sorted(arguments[-1] for arguments in carried_out(scene) if arguments[-1] != b"") == [
        TIME
    ]
    assert len(carried_out(scene)) == 2


def test_an_entry_without_a_time_never_replaces_one_with(scene):
    """A session that was opened after the first execution would end."""
    scene.journal.learn(entry("1", time=TIME))
    changed = list(scene.changed)
    scene.take(ALL, answer(5, entry("1")))
    scene.journal.learn(entry("1"))
    assert [arguments[-1] for arguments in carried_out(scene)] == [TIME]
    assert scene.journal.encoded() == {entry("1").id: entry("1", time=TIME).encode()}
    assert scene.changed == changed


@pytest.mark.parametrize(
    "body",
    [
        b"?",
        b"5",
        b'["purge","alice",null,"x"]',
        b'["end_session","alice",null,"00","a_later_reason","",""]',
        b'["end_session","alice",null,5,"revoked","",""]',
        b'["end_all",5,null,"",null,""]',
    ],
)
def test_what_a_later_release_has_written_is_passed_over_but_kept_for_filling(scene, body):
    later, two = entry("1"), entry("2")
    encoded = later.encode()[:12] + body
    found = {later.id: encoded, two.id: two.encode()}
    assert scene.take(ALL, answer(5, entries=found)) is None
    assert [known.entry for known in scene.journal.ahead[KEY]] == [two]
    assert len(scene.journal) == 1
    assert scene.journal.find(later.id) is None
    assert scene.journal.encoded() == found, "a journal with gaps needs it as well"
    assert [known.entry for known in scene.look(10)] == [two]
    scene.take(ReadFrom(5), answer(6, trimmed=(later,)))
    assert scene.journal.encoded() == {two.id: two.encode()}


def test_the_first_time_of_an_entry_stands(scene):
    first, later = entry("1", time=TIME), entry("1", time=TIME + 5)
    scene.take(ALL, answer(5, first))
    scene.journal.learn(later)
    scene.take(ALL, answer(5, later), "b")
    assert [arguments[-1] for arguments in carried_out(scene)] == [TIME]
    assert scene.journal.encoded() == {first.id: first.encode()}
    assert scene.changed == [KEY]


@pytest.mark.parametrize("time", [None, TIME])
def test_an_entry_whose_id_the_store_knows_otherwise_is_carried_out_under_another(scene, time):
    one, two = entry("1", time=time), entry("2")
    scene.journal.learn(one)
    scene.journal.learn(two)
    refused, other = scene.journal.ahead[KEY]
    refused.refuse()
    renamed = one.renamed().call(KEYSPACE, Housekeeping(975)).arguments
    assert carried_out(scene) == [renamed, other.make().arguments]
    known = scene.journal.find(one.id)
    assert known is scene.journal.ahead[KEY][0]
    assert known is not refused, "or calls under way would not be repeated"
    assert known.entry == one, "it is trimmed under its own id"
    assert scene.journal.encoded() == {each.id: each.encode() for each in (one, two)}
    refused.refuse()
    assert scene.journal.find(one.id) is known, "of the calls under way one has been heard"
    scene.journal.learn(one)
    assert scene.journal.find(one.id) is known
    scene.journal.forget([one.id])
    assert carried_out(scene) == [other.make().arguments]


def another(time: int | None = None) -> JournalEntry:
    """Another request under the id of ``entry("1")``."""
    return replace(entry("1", time=time), arguments=("", None, "another note"))


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("time", [None, TIME])
def test_two_requests_under_one_id_are_both_carried_out(scene, is_first, time):
    """One was acknowledged, and the other refused; who reads the journals cannot tell which."""
    one, other = entry("1", time=time), another(time)
    assert one.id == other.id
    both = [one, other] if is_first else [other, one]
    for node, each in zip("abcab", (*both, both[1], *both), strict=True):
        scene.take(ALL, answer(5, each), node)
    assert [known.entry for known in scene.journal.ahead[KEY]] == both
    assert [known.entry for known in scene.journal.requests(one.id)] == both
    assert [scene.journal.find_same(each).entry for each in both] == both
    assert scene.journal.find_same(replace(one, arguments=("", "tv", ""))) is None
    assert len(scene.journal) == 1
    assert [known.entry for known in scene.look(10)] == both[:1], "one turn for both"


def test_of_two_requests_under_one_id_each_has_its_time_and_its_other_id(scene):
    for each in (entry("1"), another()):
        scene.journal.learn(each)
    for each in (another(TIME), entry("1", time=TIME + 5)):
        scene.journal.learn(each)
    assert {known.entry for known in scene.journal.ahead[KEY]} == {
        another(TIME),
        entry("1", time=TIME + 5),
    }
    (refused,) = (each for each in scene.journal.ahead[KEY] if each.entry == another(TIME))
    refused.refuse()
    calls = [entry("1", time=TIME + 5), another(TIME).renamed()]
    assert sorted(carried_out(scene)) == sorted(
        each.call(KEYSPACE, Housekeeping(975)).arguments for each in calls
    )
    assert len(scene.journal.requests(entry("1").id)) == 2


def test_of_two_requests_under_one_id_none_is_forgotten_because_a_journal_trimmed_one(scene):
    scene.take(ALL, answer(5, entry("1")))
    scene.take(ALL, answer(5, another()), "b")
    scene.take(ReadFrom(5), answer(6, trimmed=(entry("1"),)), "b")
    assert len(scene.journal.ahead[KEY]) == 2
    scene.journal.forget([entry("1").id])  # carried out for good, both
    assert scene.journal.ahead == {}
    assert scene.journal.requests(entry("1").id) == ()


def test_an_entry_that_was_trimmed_before_it_was_refused_stays_away(scene):
    scene.journal.learn(entry("1"))
    (known,) = scene.journal.ahead[KEY]
    scene.journal.forget([entry("1").id])
    known.refuse()
    assert scene.journal.ahead == {}
    assert len(scene.journal) == 0


def test_an_entry_keeps_its_turn_under_another_id(scene):
    scene.chance = 0.0
    scene.journal.learn(entry("1"))
    scene.now += 1.5
    scene.journal.ahead[KEY][0].refuse()
    (handed,) = scene.look(0.6)
    assert handed is scene.journal.find(entry("1").id)


def test_an_entry_whose_time_is_over_is_expired(scene):
    scene.journal.learn(replace(entry("1"), expires_at=WALL))
    scene.journal.learn(replace(entry("2"), expires_at=WALL + 1))
    assert scene.journal.is_expired(scene.journal.find(entry("1").id))
    assert not scene.journal.is_expired(scene.journal.find(entry("2").id))


# Entries that somebody has to carry out for good


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 2.0), (0.5, 4.0), (1.0, 6.0)])
def test_an_entry_is_handed_over_at_a_random_time_and_again_later(scene, chance, seconds):
    scene.chance = chance
    scene.journal.learn(entry("1"))
    assert scene.look(seconds - 0.6) == []
    assert [each.entry for each in scene.look(0.61)] == [entry("1")]
    assert scene.look(0) == []
    assert scene.look(seconds - 0.6) == [], "it is being carried out"
    assert [each.entry for each in scene.look(0.61)] == [entry("1")]


def test_nobody_looks_more_often_than_twice_a_second(scene):
    scene.chance = 0.0
    scene.journal.learn(entry("1"))
    assert scene.look(1.99) == []
    assert scene.look(0.02) == [], "due, but one has looked 0.02 s ago"
    assert len(scene.look(0.48)) == 1


def test_an_entry_that_gets_its_time_keeps_its_turn(scene):
    scene.chance = 0.0
    scene.journal.learn(entry("1"))
    scene.now += 1.5
    scene.journal.learn(entry("1", time=TIME))
    assert [each.entry for each in scene.look(0.6)] == [entry("1", time=TIME)]


def test_what_is_forgotten_is_not_handed_over(scene):
    scene.journal.learn(entry("1"))
    scene.journal.learn(entry("2"))
    scene.journal.forget([entry("1").id])
    assert [each.entry for each in scene.look(10)] == [entry("2")]


def test_many_entries_are_handed_over_in_parts(scene):
    for number in range(450):
        scene.journal.learn(entry(str(number)))
    found = [scene.look(10), scene.look(0.5), scene.look(0.5)]
    assert [len(each) for each in found] == [200, 200, 50]
    assert len({each.entry.id for part in found for each in part}) == 450


def test_entries_that_nobody_can_carry_out_leave_turns_to_the_others(scene):
    """The first shard may be away for hours, and the endings of another one wait behind."""
    for number in range(2000):
        scene.journal.learn(entry(str(number)))
    found = {each.entry.id for _ in range(20) for each in scene.look(0.5)}
    assert len(found) == 2000


def test_an_entry_that_comes_back_has_one_turn(scene):
    scene.journal.learn(entry("1"))
    scene.journal.forget([entry("1").id])
    scene.now += 0.1
    scene.journal.learn(entry("1"))
    assert [each.entry for each in scene.look(10)] == [entry("1")]


def test_whoever_takes_an_entry_may_forget_it_at_once(scene):
    for name in ("1", "2", "3"):
        scene.journal.learn(entry(name))
    scene.journal.on_left = lambda known: scene.journal.forget([known.entry.id])
    scene.look(10)
    assert len(scene.journal) == 0


def test_the_child_of_a_fork_reads_everything_anew(scene):
    ahead = scene.journal.ahead
    scene.take(ALL, answer(5, entry("1")))
    scene.take(ALL, answer(5, mark=MARK_BEFORE), "b")
    scene.take(ReadFrom(5), answer(6, entries={entry("9").id: b"of a later release"}))
    scene.look(0)
    scene.journal.begin_anew()
    assert len(scene.journal) == 0
    assert scene.journal.encoded() == {}
    assert scene.journal.ahead is ahead, "calls have got hold of it"
    assert ahead == {}
    assert scene.journal.read_from("a") == ALL
    assert not scene.journal.knows("a", told(5))
    assert not scene.journal.has_gaps()
    scene.take(ALL, answer(5, entry("1")))
    assert [each.entry for each in scene.look(10)] == [entry("1")]
