"""Retries of what was journaled: trimmed when its own shard confirms, completed until then."""

from dataclasses import replace

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending, StoreUnavailable
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import JOURNAL_SLOTS
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.memory import pending_revocations
from clusterpass.sessions.revocations import journaling
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import KEYSPACE, SESSION_ID, Life, access_token, drive, life, live, stored
from .journaled_flows import (
    AWAY,
    J1,
    J2,
    J3,
    OPERATION,
    OWNER,
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
VERBS = pytest.mark.parametrize("verb", ["end_session", "end_all", "ban"])


def test_a_retry_that_its_own_shard_confirms_trims_the_entry():
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own))
    (entry,) = set(store.entries())
    store.names()
    store.is_away, store.is_confirmed = False, True
    assert retry(own, store)
    assert [call.arguments for call in store.asked[1:]] == [(entry.id,)] * 3
    assert store.names() == ["end_session", *trims(J1, J2, J3)]
    assert own.flows.memory.journal.ahead == {}
    assert len(own.flows.memory.pending) == 0


def test_a_journal_that_is_away_keeps_its_entry():
    own, store = with_journals(), Store()
    store.run(end(own))
    store.names()
    store.is_confirmed, store.journals = True, {J1: AWAY}
    assert retry(own, store)
    assert store.names() == ["end_session", *trims(J1, J2, J3)]


@pytest.mark.parametrize("verb", ["end_all", "ban"])
def test_a_retry_that_was_first_carried_out_notes_when(verb):
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own, verb))
    store.names()
    store.is_away = False
    assert not retry(own, store)
    assert {entry.milliseconds for entry in store.entries()} == {TIME}
    assert [call.confirm for call in store.asked[1:4]] == [False] * 3
    assert store.names() == [verb, *appends(J1, J2, J3, J3)], "and the third journal gets it too"
    (known,) = own.flows.memory.journal.ahead[KEY]
    assert known.make().arguments[-1] == TIME
    assert not retry(own, store)
    assert store.names() == [verb], "all is said"


def test_a_retry_completes_the_journals_that_did_not_confirm():
    own, store = with_journals(), Store(journals={J2: AWAY})
    store.run(end(own))
    store.names()
    assert not retry(own, store)
    assert store.names() == ["end_session", *appends(J2)], "the end of one session needs no time"
    store.journals = {}
    assert not retry(own, store)
    assert store.names() == ["end_session", *appends(J2)]
    assert not retry(own, store)
    assert store.names() == ["end_session"]


@VERBS
def test_a_pending_ending_is_journaled_by_a_retry(verb):
    own, store = with_journals(), Store(journals={J1: AWAY, J2: AWAY})
    with pytest.raises(RevocationPending):
        store.run(end(own, verb))
    store.names()
    store.journals = {}
    assert not retry(own, store)
    assert store.names() == [verb, *appends(J3, J1), REST]
    assert len(own.flows.memory.journal) == 1
    store.is_confirmed = True
    assert retry(own, store)
    assert store.names() == [verb, *trims(J1, J2, J3)]


@VERBS
def test_a_pending_ending_is_journaled_although_its_shard_is_away(verb):
    own, store = with_journals(), Store(is_away=True, journals={J1: AWAY, J2: AWAY})
    with pytest.raises(RevocationPending):
        store.run(end(own, verb))
    queue = own.flows.memory.pending
    assert (queue.stats().waiting, queue.stats().journaled) == (1, 0)
    store.journals = {}
    store.names()
    with pytest.raises(StoreUnavailable):
        retry(own, store)
    assert store.names() == [verb, *appends(J3, J1), REST]
    assert len(own.flows.memory.journal) == 1
    assert (queue.stats().waiting, queue.stats().journaled) == (0, 1), "others know it"
    with pytest.raises(StoreUnavailable):
        retry(own, store)
    assert store.names() == [verb], "it is written once"


def test_pending_logouts_of_one_token_become_one_entry():
    own, store = with_journals(), Store(journals=dict.fromkeys(JOURNAL_SLOTS, AWAY))
    for _ in range(3):
        with pytest.raises(RevocationPending):
            store.run(own.logout(access_token()))
    store.journals = {}
    queue = own.flows.memory.pending
    assert [retry(own, store, number) for number in (0, 1, 1)] == [False, True, True]
    assert len(own.flows.memory.journal) == 1
    assert (queue.stats().waiting, queue.stats().journaled) == (0, 1)
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(live()))


def test_a_retry_that_two_journals_do_not_confirm_either_leaves_it_to_this_process():
    own, store = with_journals(), Store(journals={J1: AWAY, J2: AWAY})
    with pytest.raises(RevocationPending):
        store.run(end(own))
    assert not retry(own, store)
    stats = own.flows.memory.pending.stats()
    assert (stats.waiting, stats.journaled) == (1, 0)
    assert len(own.flows.memory.journal) == 0


def test_revocations_are_marked_as_journaled_by_their_operation():
    queue = life().flows.memory.pending

    def attempt():
        return True
        yield

    for operation in (b"1", b"2", b"1", b""):
        queue.add("ban", attempt, operation=operation)
    queue.note_journaled(b"1")
    queue.note_journaled(b"3")
    assert [each.is_journaled for each in queue.all()] == [True, False, True, False]
    assert (queue.stats().waiting, queue.stats().journaled) == (2, 2)


@VERBS
def test_beyond_a_bound_what_is_journaled_is_left_to_whoever_reads_the_journals(verb, monkeypatch):
    monkeypatch.setattr(pending_revocations, "MOST_PENDING", 0)
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own, verb))
    (entry,) = set(store.entries())
    queue, journal = own.flows.memory.pending, own.flows.memory.journal
    assert len(queue) == 0
    assert own.flows.memory.denials._pending == {}, "no retry would settle it"
    if verb == "end_session":
        with pytest.raises(SessionRevoked):
            drive(own.verify(access_token()), stored(live()))
    monkeypatch.undo()
    journal.on_left(journal.find(entry.id))
    store.is_away, store.is_confirmed = False, True
    assert retry(own, store)
    assert len(journal) == 0


@VERBS
def test_a_retry_too_leaves_it_to_whoever_reads_the_journals(verb, monkeypatch):
    own, store = with_journals(), Store(journals={J1: AWAY, J2: AWAY})
    with pytest.raises(RevocationPending):
        store.run(end(own, verb))
    monkeypatch.setattr(pending_revocations, "MOST_PENDING", 0)
    store.journals = {}
    assert retry(own, store)
    assert len(own.flows.memory.journal) == 1
    assert own.flows.memory.denials._pending == {}
    assert own.flows.memory.denials._sweeps == {}


def test_an_entry_is_trimmed_only_once_the_owner_is_settled():
    """Others may believe the primary that the owner has replaced, which has not ended it."""
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own))
    store.names()
    own.flows.memory.near.leases.lost(OWNER)
    store.is_away, store.is_confirmed = False, True
    assert retry(own, store)
    assert store.names() == ["end_session", "never_promoted", REST, *trims(J1, J2, J3)]


# Operation ids that belong to other requests


@pytest.mark.parametrize("slot", [J1, J2, J3])
def test_a_pending_ending_whose_id_a_journal_knows_otherwise_is_given_up(slot, caplog):
    own, store = with_journals(), Store(journals=dict.fromkeys(JOURNAL_SLOTS, AWAY))
    with pytest.raises(RevocationPending):
        store.run(end(own))
    store.journals[slot] = "MISMATCH"
    assert retry(own, store)
    assert len(own.flows.memory.pending) == 0
    assert not own.flows.memory.denials.concerns(KEY, SESSION_ID)
    assert "given up" in caplog.text


@VERBS
def test_a_retry_trims_the_id_only_with_all_requests_under_it(verb):
    """A journal had lost the entry, and took another request under the id, which was refused."""
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own, verb))
    (entry,) = set(store.entries())
    other = JournalEntry.of_ban(
        OPERATION,
        "alice",
        scope="chat",
        level=1,
        seconds=0,
        reason="",
        milliseconds=None,
        expires_at=entry.expires_at,
    )
    own.flows.memory.journal.learn(other)
    store.names()
    store.is_away, store.is_confirmed = False, True
    assert retry(own, store)
    assert store.names() == [verb, verb, "ban", *trims(J1, J2, J3)]
    assert own.flows.memory.journal.ahead == {}


@pytest.mark.parametrize("is_journaled", [True, False])
def test_a_ban_for_which_there_is_no_room_is_settled_and_reported(is_journaled, caplog):
    own, store = with_journals(), Store(is_away=True)
    flow = own.flows.subject.ban("alice", scope="x", reason="", for_seconds=None, level=1)
    if is_journaled:
        store.run(flow)
    else:
        store.journals = dict.fromkeys(JOURNAL_SLOTS, AWAY)
        with pytest.raises(RevocationPending):
            store.run(flow)
    store.is_away, store.is_confirmed, store.status = False, True, b"FULL"
    assert retry(own, store)
    assert caplog.text.count("a ban of 'alice' is not carried out") == 1
    assert own.flows.memory.pending.stats().rejected == 1
    assert own.flows.memory.journal.ahead == {}
    assert own.flows.memory.denials._sweeps == {}


def test_it_is_given_up_also_while_its_own_shard_is_away():
    own, store = with_journals(), Store(is_away=True, journals=dict.fromkeys(JOURNAL_SLOTS, AWAY))
    with pytest.raises(RevocationPending):
        store.run(end(own))
    store.journals = dict.fromkeys(JOURNAL_SLOTS, "MISMATCH")
    assert retry(own, store)
    assert len(own.flows.memory.pending) == 0


@VERBS
def test_an_acknowledged_ending_is_not_given_up_by_its_own_process(verb):
    """Its own shard was away when it was acknowledged, and could not refuse the id."""
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own, verb))
    (entry,) = set(store.entries())
    store.names()
    store.is_away, store.is_refused = False, True
    assert not retry(own, store)
    operations = [step.arguments[0][15:23] for step in store.asked if step.script.name == verb]
    assert operations[-1] == entry.renamed().operation
    if verb == "end_session":
        with pytest.raises(SessionRevoked):
            drive(own.verify(access_token()), stored(live()))
    store.names()
    store.is_confirmed = True
    assert retry(own, store)
    assert store.names()[-3:] == trims(J1, J2, J3)


def test_the_calls_of_retries_are_short():
    own, store = with_journals(), Store()
    store.run(end(own))
    store.asked.clear()
    retry(own, store)
    first, *_ = store.asked
    assert isinstance(first, ScriptCall)
    assert (first.insists, first.deadline) == (False, 1.0)


# Many at once


def many(size: int) -> tuple[Life, Store]:
    """A manager with as many journaled endings, and its store, whose shard is back."""
    own, store = with_journals(), Store(is_away=True)
    for number in range(size):
        session_id = encode_session_id(number.to_bytes(16, "big"))
        store.run(own.flows.end.revoke("alice", session_id, reason=""))
    store.names()
    store.is_away, store.is_confirmed = False, True
    return own, store


def test_entries_that_are_carried_out_one_after_the_other_are_trimmed_together(monkeypatch):
    monkeypatch.setattr(journaling, "_TRIM_WITHIN", 1000)
    own, store = many(10)
    known = list(own.flows.memory.journal.encoded())
    assert all(retry(own, store) for _ in range(9))
    assert store.names() == ["end_session"] * 9
    assert len(own.flows.memory.journal) == 10, "and carried out in front of calls until then"
    assert retry(own, store)
    assert [call.arguments for call in store.asked[1:]] == [tuple(known)] * 3
    assert store.names() == ["end_session", *trims(J1, J2, J3)]
    assert len(own.flows.memory.journal) == 0


def test_they_are_trimmed_in_time_and_in_parts(monkeypatch):
    own, store = many(10)
    monkeypatch.setattr(journaling, "_TRIM_WITHIN", 0)
    assert retry(own, store)
    assert store.names() == ["end_session", *trims(J1, J2, J3)]
    monkeypatch.setattr(journaling, "_TRIM_WITHIN", 1000)
    monkeypatch.setattr(journaling, "_MOST_TRIMMED_AT_ONCE", 4)
    assert all(retry(own, store) for _ in range(4))
    assert store.names() == [*["end_session"] * 4, *trims(J1, J2, J3)]
    assert len(own.flows.memory.journal) == 5


def test_what_becomes_known_before_they_are_trimmed_stays_with_its_id(monkeypatch):
    monkeypatch.setattr(journaling, "_TRIM_WITHIN", 1000)
    own, store = many(2)
    first, second = (known.entry for known in own.flows.memory.journal.ahead[KEY])
    assert retry(own, store)
    session_id, *rest = first.arguments
    own.flows.memory.journal.learn(replace(first, arguments=(session_id, *rest[:-1], "another")))
    assert retry(own, store)
    assert [call.arguments for call in store.asked[2:]] == [(second.id,)] * 3
    assert len(own.flows.memory.journal.requests(first.id)) == 2
