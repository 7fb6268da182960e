"""Cutoffs in the journals: whoever knows one enforces it, and nobody carries it out."""

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending
from clusterpass.model.values import RevokedBefore
from clusterpass.protocol.calls.journal import ReadFrom
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.memory.evidence import EVIDENCE_SECONDS

from .driven_flows import NOW, access_token, drive, life, live, stored
from .journal_scene import ALL, Scene, answer, entry
from .journaled_flows import (
    AWAY,
    J1,
    J2,
    J3,
    REST,
    TIME,
    Store,
    appends,
    retry,
    trims,
    with_journals,
)

K1, K2, K3 = SLOTS_WITH_CUTOFF
YEAR = 366 * 86_400


def cutoff(name: str = "1", time: int = TIME) -> JournalEntry:
    operation = name.encode().ljust(8, b".")
    return JournalEntry.of_revoke_before(operation, milliseconds=time, expires_at=NOW + 1)


def raised(*slots: int) -> list[tuple[str, int]]:
    return [("raise", slot) for slot in slots]


# In memory


def test_a_cutoff_is_told_and_goes_in_front_of_nothing():
    scene, told = Scene(), []
    scene.journal.on_cutoff = told.append
    scene.take(ALL, answer(5, cutoff()))
    scene.take(ALL, answer(9, cutoff()), "b")
    assert told == [TIME]
    assert scene.journal.ahead == {}
    assert scene.changed == []
    assert len(scene.journal) == 1
    assert scene.journal.encoded() == {cutoff().id: cutoff().encode()}
    assert scene.look(1e9) == [], "nobody can carry it out"
    scene.take(ReadFrom(5), answer(6, trimmed=(cutoff(),)))
    assert scene.journal.encoded() == {}


def test_the_child_of_a_fork_is_told_anew():
    scene, told = Scene(), []
    scene.journal.on_cutoff = told.append
    scene.journal.learn(cutoff())
    scene.journal.begin_anew()
    scene.take(ALL, answer(5, cutoff()))
    assert told == [TIME, TIME]


def test_which_cutoffs_are_older():
    scene = Scene()
    old, same, new = cutoff("1", TIME - 1), cutoff("2"), cutoff("3", TIME + 1)
    for each in (old, same, new, entry("4", time=TIME - 5), entry("5")):
        scene.journal.learn(each)
    assert scene.journal.older_cutoffs(TIME) == [old.id]
    assert scene.journal.older_cutoffs(TIME - 1) == []
    assert set(scene.journal.older_cutoffs(TIME + 2)) == {old.id, same.id, new.id}


def test_a_manager_enforces_what_the_journals_hold():
    own = life()
    memory = own.flows.memory
    memory.journal.learn(cutoff("1", NOW * 1000 + 122))
    assert memory.cutoff.is_due(), "a copy may hold a later one"
    drive(own.verify(access_token()), stored(live()))
    memory.journal.learn(cutoff("2", NOW * 1000 + 500))
    assert memory.cutoff.milliseconds == NOW * 1000 + 500
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(live()))
    memory.journal.learn(cutoff("3", NOW * 1000))
    memory.journal.forget([cutoff("2").id])
    assert memory.cutoff.milliseconds == NOW * 1000 + 500, "it never falls"


# The cutoff of a caller


@pytest.mark.parametrize("time", [None, NOW - 5])
def test_a_cutoff_is_written_into_the_journals_too(time):
    """A server that was restarted may have an old copy, and reads only one."""
    own, store = with_journals(), Store()
    milliseconds = TIME if time is None else time * 1000
    told = store.run(own.flows.end.revoke_before(time))
    assert told == RevokedBefore(milliseconds // 1000, True)
    first, second = store.entries()
    assert first == second
    assert (first.verb, first.milliseconds) == ("revoke_before", milliseconds)
    assert first.expires_at == NOW + YEAR
    calls = [step for step in store.asked if isinstance(step, ScriptCall)]
    assert {(call.insists, call.deadline) for call in calls[:3]} == {(False, 1.0)}
    assert store.names() == [*raised(K1, K2, K3), *appends(J1, J2), REST]
    assert own.flows.memory.cutoff.milliseconds == milliseconds
    assert own.flows.memory.pending_cutoffs == len(own.flows.memory.pending) == 0


def test_it_outlives_every_session_that_is_open():
    own, store = with_journals(absolute_lifetime=2 * YEAR), Store()
    store.run(own.flows.end.revoke_before(None))
    assert store.entries()[0].expires_at == NOW + 2 * YEAR


def test_older_cutoffs_are_trimmed():
    own, store = with_journals(), Store()
    own.flows.memory.journal.learn(cutoff("1", TIME - 1))
    own.flows.memory.journal.learn(cutoff("2", TIME + 1))
    store.run(own.flows.end.revoke_before(None))
    assert [call.arguments for call in store.asked[-3:]] == [(cutoff("1").id,)] * 3
    assert store.names()[-4:] == [REST, *trims(J1, J2, J3)]
    assert {known[:8] for known in own.flows.memory.journal.encoded()} > {cutoff("2").operation}


def test_older_cutoffs_stay_where_the_new_one_is_not_journaled():
    own, store = with_journals(), Store(journals={J1: AWAY, J3: "FULL"})
    own.flows.memory.journal.learn(cutoff("1", TIME - 1))
    assert store.run(own.flows.end.revoke_before(None)).durable, "all copies have confirmed"
    assert store.names() == [*raised(K1, K2, K3), *appends(J1, J2, J3)]
    assert set(own.flows.memory.journal.encoded()) == {cutoff("1").id}


@pytest.mark.parametrize("away", [AWAY, "unconfirmed"])
@pytest.mark.parametrize("slots", [(K1,), (K3,), (K1, K2)])
def test_two_journals_confirm_it_where_copies_do_not(slots, away):
    own, store = with_journals(), Store(copies=dict.fromkeys(slots, away))
    memory = own.flows.memory
    assert store.run(own.flows.end.revoke_before(None)) == RevokedBefore(TIME // 1000, True)
    assert store.names() == [*raised(K1, K2, K3), *appends(J1, J2), REST]
    stats = memory.pending.stats()
    assert (stats.waiting, stats.journaled, memory.pending_cutoffs) == (0, 1, 1)
    assert not retry(own, store)
    assert store.names() == raised(*slots)
    store.copies = {}
    assert retry(own, store)
    assert store.names() == raised(*slots)
    assert (memory.pending_cutoffs, len(memory.journal)) == (0, 1), "the entry stays"


def test_where_neither_confirms_it_is_pending():
    own, store = with_journals(), Store(copies={K2: AWAY}, journals={J1: AWAY, J2: AWAY})
    with pytest.raises(RevocationPending) as pending:
        store.run(own.flows.end.revoke_before(None))
    assert pending.value.reason == "timeout"
    assert pending.value.is_retried
    assert own.flows.memory.pending.stats().waiting == 1
    assert own.flows.memory.cutoff.milliseconds == TIME


@pytest.mark.parametrize("time", [None, NOW - 5])
def test_a_time_that_no_copy_has_accepted_is_in_no_journal(time):
    own, store = with_journals(), Store(copies=dict.fromkeys(SLOTS_WITH_CUTOFF, AWAY))
    with pytest.raises(RevocationPending):
        store.run(own.flows.end.revoke_before(time))
    assert store.names() == raised(K1, K2, K3)


@pytest.mark.parametrize("time", [None, NOW - 5, NOW + 5])
def test_who_asked_for_a_cutoff_that_no_copy_has_accepted_enforces_it(time):
    """By the time that most clocks agree on; a time in the future never counts."""
    own, store = with_journals(), Store(copies=dict.fromkeys(SLOTS_WITH_CUTOFF, AWAY))
    memory = own.flows.memory
    for node in "abc":
        memory.clocks.told(node, NOW * 1000, own.flows.context.clock.steady(), frozenset("abc"))
    with pytest.raises(RevocationPending):
        store.run(own.flows.end.revoke_before(time))
    asked_for = NOW if time is None else min(time, NOW)
    assert memory.cutoff.milliseconds // 1000 == asked_for
    store.copies = {}
    store.asked.clear()
    assert retry(own, store)
    sent = [step for step in store.asked if isinstance(step, ScriptCall)]
    assert {step.arguments[0] // 1000 for step in sent} == {asked_for}, "of the copies, too"


def test_no_cutoff_is_enforced_by_a_clock_that_nobody_agrees_with():
    own, store = with_journals(), Store(copies=dict.fromkeys(SLOTS_WITH_CUTOFF, AWAY))
    with pytest.raises(RevocationPending):
        store.run(own.flows.end.revoke_before(None))
    assert own.flows.memory.cutoff.milliseconds == 0


def test_without_journals_the_copies_alone_confirm_it():
    own, store = life(), Store()
    assert store.run(own.flows.end.revoke_before(None)).durable
    sent = [step for step in store.asked if isinstance(step, ScriptCall)]
    assert {step.insists for step in sent} == {True}
    assert store.names() == [*raised(K1, K2, K3), EVIDENCE_SECONDS], "the primary was just met"
    store = Store(copies={K1: "unconfirmed"})
    with pytest.raises(RevocationPending):
        store.run(life().flows.end.revoke_before(None))


def test_each_cutoff_has_an_id_of_its_own():
    own, store = with_journals(), Store()
    store.run(own.flows.end.revoke_before(NOW - 9))
    store.run(own.flows.end.revoke_before(NOW - 5))
    assert len({each.id for each in store.entries()}) == 2
