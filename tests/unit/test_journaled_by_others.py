"""Endings that another process has journaled and left: who finds them carries them out for good."""

from dataclasses import replace

import pytest

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.journal_entry import JournalEntry

from .driven_flows import KEYSPACE, NOW, SESSION_ID, Life
from .journaled_flows import (
    AWAY,
    J1,
    J2,
    J3,
    OPERATION,
    REST,
    TIME,
    Store,
    appends,
    end,
    retry,
    trims,
    with_journals,
)

KEY = KEYSPACE.sessions("alice")
ALL_TRIMMED, ALL_WRITTEN = trims(J1, J2, J3), appends(J1, J2, J3)


def of_all(milliseconds: int | None = None) -> JournalEntry:
    return JournalEntry.of_end_all(
        OPERATION,
        "alice",
        keep=None,
        device_type=None,
        note="stolen",
        milliseconds=milliseconds,
        expires_at=NOW + 100,
    )


def of_one() -> JournalEntry:
    return JournalEntry.of_end_session(
        OPERATION,
        "alice",
        session_id=SESSION_ID,
        reason="revoked",
        address=b"",
        note="stolen",
        expires_at=NOW + 100,
    )


def left(entry: JournalEntry) -> Life:
    """A manager that has found ``entry`` in a journal, and to whom it is handed over."""
    own = with_journals()
    journal = own.flows.memory.journal
    journal.learn(entry)
    known = journal.find(entry.id)
    assert known is not None
    journal.on_left(known)
    return own


def test_it_is_queued_once():
    own = left(of_all())
    journal = own.flows.memory.journal
    journal.on_left(journal.find(of_all().id))
    stats = own.flows.memory.pending.stats()
    assert (stats.waiting, stats.journaled) == (0, 1)
    (pending,) = own.flows.memory.pending.all()
    assert (pending.kind, pending.operation) == ("journaled ending", OPERATION)
    assert pending.slot == KEYSPACE.keys_of("alice").slot


def test_whoever_has_journaled_it_does_not_queue_it_twice():
    own, store = with_journals(), Store()
    store.run(end(own))
    (entry,) = set(store.entries())
    journal = own.flows.memory.journal
    journal.on_left(journal.find(entry.id))
    assert len(own.flows.memory.pending) == 1


def test_it_is_trimmed_once_its_own_shard_has_confirmed_it():
    own, store = left(of_all(TIME)), Store(is_confirmed=True)
    assert retry(own, store)
    assert store.asked[0].arguments[-1] == TIME
    assert (store.asked[0].insists, store.asked[0].deadline) == (False, 1.0)
    assert store.names() == ["end_all", *ALL_TRIMMED]
    assert own.flows.memory.journal.ahead == {}


def test_until_then_the_time_is_noted_and_it_stays():
    own, store = left(of_all()), Store()
    assert not retry(own, store)
    assert {entry.milliseconds for entry in store.entries()} == {TIME}
    assert {entry.id for entry in store.entries()} == {of_all().id}
    assert store.names() == ["end_all", *ALL_WRITTEN]
    assert [known.make().arguments[-1] for known in own.flows.memory.journal.ahead[KEY]] == [TIME]
    assert not retry(own, store)
    assert store.names() == ["end_all"]


def test_the_end_of_one_session_needs_no_time():
    own, store = left(of_one()), Store()
    assert not retry(own, store)
    assert store.names() == ["end_session"]


def test_a_journal_that_is_away_gets_no_time():
    own, store = left(of_all()), Store(journals={J1: AWAY, J2: "FULL"})
    assert not retry(own, store)
    assert store.names() == ["end_all", *ALL_WRITTEN]


def test_what_another_process_has_trimmed_is_settled():
    own, store = left(of_all()), Store()
    own.flows.memory.journal.forget([of_all().id])
    assert retry(own, store)
    assert store.names() == []


def test_what_has_expired_is_trimmed_without_asking_its_shard():
    own, store = left(replace(of_all(), expires_at=NOW)), Store(is_away=True)
    assert retry(own, store)
    assert store.names() == ALL_TRIMMED
    assert own.flows.memory.journal.ahead == {}


def test_a_shard_that_is_away_is_asked_again_later():
    own, store = left(of_all()), Store(is_away=True)
    with pytest.raises(StoreUnavailable):
        retry(own, store)
    assert store.names() == ["end_all"]
    assert len(own.flows.memory.journal) == 1
    assert len(own.flows.memory.pending) == 1


@pytest.mark.parametrize("entry", [of_one(), of_all(), of_all(TIME)], ids=["one", "all", "time"])
def test_an_id_that_its_shard_knows_otherwise_does_not_undo_what_was_acknowledged(entry):
    """The owner was away when it was acknowledged, and could not refuse it."""
    own, store = left(entry), Store(is_confirmed=True, is_refused=True)
    assert retry(own, store)
    first, second = (call.arguments for call in store.asked[:2])
    assert second[0][15:23] != OPERATION
    assert (second[0][:15], second[0][23:]) == (first[0][:15], first[0][23:])
    assert second[1:] == first[1:]
    assert [call.arguments for call in store.asked[2:]] == [(entry.id,)] * 3
    assert store.names() == [entry.verb, entry.verb, *ALL_TRIMMED]
    again = Store(is_confirmed=True, is_refused=True)
    retry(left(entry), again)
    assert again.asked[1].arguments == second, "every process uses the same other id"


def test_an_id_that_was_refused_in_front_of_another_call_is_not_tried_again():
    own, store = left(of_all()), Store(is_confirmed=True, is_refused=True)
    (known,) = own.flows.memory.journal.ahead[KEY]
    known.refuse()
    assert retry(own, store)
    assert store.asked[0].arguments[0][15:23] == of_all().renamed().operation
    assert store.names() == ["end_all", *ALL_TRIMMED]


def two_requests() -> tuple[Life, JournalEntry]:
    """A manager that knows two requests under one id, of which the second is returned."""
    other = replace(of_all(), arguments=("", None, "another note"))
    own = left(of_all())
    own.flows.memory.journal.learn(other)
    return own, other


def test_two_requests_under_one_id_are_trimmed_once_both_are_carried_out_for_good():
    own, other = two_requests()
    store = Store(is_confirmed=True)
    assert retry(own, store)
    first, second = (call.arguments for call in store.asked[:2])
    keeping = own.flows.context.keeping()
    assert first == of_all().call(KEYSPACE, keeping).arguments
    assert second == other.call(KEYSPACE, keeping).arguments
    assert store.names() == ["end_all", "end_all", *ALL_TRIMMED]
    assert len(own.flows.memory.journal) == 0


def test_two_requests_under_one_id_stay_until_both_are_confirmed():
    own, _ = two_requests()
    store = Store()
    assert not retry(own, store)
    assert not any(name in ALL_TRIMMED for name in store.names())
    assert len(own.flows.memory.journal.ahead[KEY]) == 2


def test_what_becomes_known_while_it_is_carried_out_is_not_trimmed_with_it():
    own, other = left(of_all()), two_requests()[1]
    store = Store(is_confirmed=True)
    flow = own.flows.memory.pending.all()[0].attempt()
    step = flow.send(None)
    own.flows.memory.journal.learn(other)
    assert not store.run(flow, store.answer(step))
    assert store.names() == []
    assert retry(own, store)
    assert store.names() == ["end_all", "end_all", *ALL_TRIMMED]


def test_a_ban_for_which_there_is_no_room_is_reported(caplog):
    entry = JournalEntry.of_ban(
        OPERATION,
        "alice",
        scope="chat",
        level=1,
        seconds=0,
        reason="the secret reason",
        milliseconds=None,
        expires_at=NOW + 100,
    )
    own, store = left(entry), Store(status=b"FULL")
    assert not retry(own, store)
    assert caplog.text == "", "the owner may be replaced"
    store.is_confirmed = True
    assert retry(own, store)
    assert "a ban of 'alice' is not carried out" in caplog.text
    assert "secret" not in caplog.text
    assert own.flows.memory.pending.stats().rejected == 1
    assert len(own.flows.memory.journal) == 0


def test_under_its_other_id_too_it_stays_until_its_own_shard_confirms():
    own, store = left(of_all()), Store(is_refused=True)
    assert not retry(own, store)
    assert {entry.id for entry in store.entries()} == {of_all().id}, "journals know it by its own"
    assert {entry.milliseconds for entry in store.entries()} == {TIME}
    assert store.names() == ["end_all", "end_all", *ALL_WRITTEN]
    assert len(own.flows.memory.journal) == 1


def test_it_is_trimmed_only_once_its_owner_is_settled():
    """Others may believe the primary that the owner has replaced, which has not ended it."""
    own, store = left(of_all(TIME)), Store(is_confirmed=True)
    own.flows.memory.near.leases.lost("owner")
    assert retry(own, store)
    assert store.names() == ["end_all", "never_promoted", REST, *ALL_TRIMMED]
