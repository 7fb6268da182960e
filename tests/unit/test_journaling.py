"""An ending that its own shard cannot confirm is written into journals, waited for, and trimmed."""

import sys
import threading
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.clock import Clock, steady_seconds
from clusterpass.model.errors import OperationMismatch, RevocationPending, StoreDenied
from clusterpass.model.values import Ended
from clusterpass.sessions.flows import Flows
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import (
    KEYSPACE,
    NOW,
    SESSION_ID,
    Life,
    access_token,
    config,
    drive,
    life,
    live,
    stored,
)
from .journaled_flows import (
    AWAY,
    J1,
    J2,
    J3,
    NODES,
    OPERATION,
    OWNER,
    REST,
    TIME,
    Store,
    appends,
    end,
    meet,
    retry,
    with_journals,
)

KEY = KEYSPACE.sessions("alice")
VERBS = pytest.mark.parametrize("verb", ["end_session", "end_all", "ban"])
DENIED = StoreDenied(reason="noperm")


# The acknowledgement


@VERBS
def test_what_its_own_shard_confirms_is_in_no_journal(verb):
    own, store = with_journals(), Store(is_confirmed=True)
    ended = store.run(end(own, verb))
    assert store.names() == [verb]
    assert getattr(ended, "durable", True)
    assert not getattr(ended, "journaled", False)
    assert len(own.flows.memory.pending) == 0
    assert own.flows.memory.journal.ahead == {}
    assert own.flows.counters.endings == {"confirmed": 1}


@VERBS
@pytest.mark.parametrize("is_away", [False, True])
def test_else_two_journals_hold_it_and_everybody_has_to_have_asked_again(verb, is_away):
    own, store = with_journals(), Store(is_away=is_away)
    ended = store.run(end(own, verb))
    if verb != "ban":
        assert ended == Ended(0 if is_away else 1, True, journaled=True)
    first, second = store.entries()
    assert first == second
    assert (first.verb, first.subject, first.operation) == (verb, "alice", OPERATION)
    assert store.names() == [verb, *appends(J1, J2), REST]
    assert own.flows.counters.endings == {"journaled": 1}
    assert [known.make().arguments for known in own.flows.memory.journal.ahead[KEY]] == [
        first.call(KEYSPACE, own.flows.context.keeping()).arguments
    ]


@pytest.mark.parametrize("verb", ["end_all", "ban"])
def test_the_time_of_the_first_execution_is_noted_where_it_is_known(verb):
    for is_away, milliseconds in ((False, TIME), (True, None)):
        store = Store(is_away=is_away)
        store.run(end(with_journals(), verb))
        assert {entry.milliseconds for entry in store.entries()} == {milliseconds}


def test_an_entry_outlives_every_session_that_it_could_end():
    year = 366 * 86_400
    for values, seconds in (({}, year), ({"absolute_lifetime": 2 * year}, 2 * year)):
        store = Store()
        store.run(end(with_journals(**values)))
        assert {entry.expires_at for entry in store.entries()} == {NOW + seconds}
    store = Store()
    store.run(end(with_journals(), "ban"))
    assert store.entries()[0].expires_at == NOW + 10 * year, "a ban for good"


@VERBS
def test_its_own_shard_is_asked_once_and_not_for_long_where_journals_can_confirm(verb):
    store = Store()
    store.run(end(with_journals(), verb))
    assert (store.asked[0].insists, store.asked[0].deadline) == (False, 0.5)
    store = Store()
    with pytest.raises(RevocationPending):
        store.run(end(life(), verb))
    assert (store.asked[0].insists, store.asked[0].deadline) == (True, None)
    assert store.names() == [verb], "no journals are known"


def test_how_long_it_waits_is_what_the_journals_say():
    own, store = with_journals(), Store()
    own.flows.memory.near.leases.set_evidence_bound(0.4)
    store.run(end(own))
    assert store.names()[-1] == 0.4


@pytest.mark.parametrize("away", [AWAY, "unconfirmed", "FULL"], ids=["away", "unconfirmed", "full"])
@pytest.mark.parametrize("slot", [J1, J2, J3])
def test_one_journal_may_be_missing(slot, away):
    own, store = with_journals(), Store(journals={slot: away})
    assert store.run(end(own)).journaled
    asked = {J1: (J1, J2, J3), J2: (J1, J2, J3), J3: (J1, J2)}[slot]
    assert store.names() == ["end_session", *appends(*asked), REST]


def test_a_journal_that_has_failed_is_asked_last_until_it_confirms_again():
    own, store = with_journals(), Store(journals={J1: AWAY})
    store.run(end(own))
    store.names()
    store.run(end(own))
    assert store.names() == ["end_session", *appends(J2, J3), REST]
    store.journals = {J2: AWAY}
    store.run(end(own))
    assert store.names() == ["end_session", *appends(J2, J3, J1), REST]
    store.run(end(own))
    assert store.names() == ["end_session", *appends(J1, J3), REST]


def test_the_journal_on_the_shard_of_the_subject_is_asked_last():
    """That shard has just failed to confirm the ending itself."""
    own, store = with_journals(), Store()
    slot = KEYSPACE.keys_of("alice").slot
    owners = {slot: "x", J1: "x", J2: "y", J3: "z"}
    own.flows.context.memory.pending.owner_of = owners.get
    store.run(end(own))
    assert store.names() == ["end_session", *appends(J2, J3), REST]
    owners.clear()  # it is not known who owns what
    store.run(end(own))
    assert store.names() == ["end_session", *appends(J1, J2), REST]


@VERBS
@pytest.mark.parametrize("away", [AWAY, "unconfirmed", "FULL"])
def test_with_fewer_than_two_it_is_pending(verb, away):
    own, store = with_journals(), Store(journals={J1: away, J3: away})
    with pytest.raises(RevocationPending) as pending:
        store.run(end(own, verb))
    assert pending.value.reason == "unconfirmed"
    assert pending.value.operation_id == OPERATION.hex()
    assert pending.value.is_retried
    assert store.names() == [verb, *appends(J1, J2, J3)], "nothing to wait for"
    assert own.flows.memory.pending.stats().waiting == 1
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(live()))
    assert own.flows.counters.endings == {"pending": 1}


def test_why_it_is_pending_is_what_its_own_shard_says():
    with pytest.raises(RevocationPending) as pending:
        Store(is_away=True, journals={J1: AWAY, J2: AWAY}).run(end(with_journals()))
    assert pending.value.reason == "timeout"


def test_two_confirmations_by_one_node_are_one():
    """Its loss would take both journals."""
    store = Store(nodes={J1: "one", J2: "one", J3: "three"})
    assert store.run(end(with_journals())).journaled
    assert store.names() == ["end_session", *appends(J1, J2, J3), REST]
    store = Store(nodes={J1: "one", J2: "one", J3: "one"})
    with pytest.raises(RevocationPending):
        store.run(end(with_journals()))


def test_a_confirmation_by_nobody_known_does_not_count():
    """A node that imports the slot of a journal may have no replica of its own."""
    store = Store(nodes={**NODES, J2: None})
    assert store.run(end(with_journals())).journaled
    assert store.names() == ["end_session", *appends(J1, J2, J3), REST]


@VERBS
@pytest.mark.parametrize("slot", [J1, J2])
def test_an_operation_id_that_a_journal_knows_otherwise_is_refused(verb, slot):
    own, store = with_journals(), Store(is_away=True, journals={slot: "MISMATCH"})
    with pytest.raises(OperationMismatch):
        store.run(end(own, verb))
    assert len(own.flows.memory.pending) == 0
    assert own.flows.memory.journal.ahead == {}
    assert not own.flows.memory.denials.concerns(KEY, SESSION_ID)


@VERBS
def test_an_operation_id_that_is_known_of_another_request_is_written_nowhere(verb):
    own, store = with_journals(), Store(is_away=True)
    first = own.flows.subject.ban(
        "alice", scope="x", reason="", for_seconds=None, level=1, operation_id=OPERATION.hex()
    )
    store.run(first)
    (entry,) = set(store.entries())
    other = with_journals()
    other.flows.memory.journal.learn(entry)
    store.names()
    with pytest.raises(OperationMismatch):
        store.run(end(other, verb))
    assert store.names() == [verb], "a journal that has lost the entry would take it"
    assert [each.entry for each in other.flows.memory.journal.ahead[KEY]] == [entry]


@VERBS
def test_an_operation_id_that_its_own_shard_knows_otherwise_is_in_no_journal(verb):
    own, store = with_journals(), Store(status=b"MISMATCH")
    with pytest.raises(OperationMismatch):
        store.run(end(own, verb))
    assert store.names() == [verb]


def test_a_refusal_of_the_credentials_is_told():
    with pytest.raises(StoreDenied):
        Store(journals={J1: DENIED}).run(end(with_journals()))


@pytest.mark.parametrize("verb", ["end_all", "ban"])
def test_a_repeated_call_does_not_take_the_time_out_of_the_entry(verb):
    """The owner has left since; a repetition of the ending has to spare what was opened later."""
    own, store = with_journals(), Store()
    store.run(end(own, verb))
    (entry,) = set(store.entries())
    assert entry.milliseconds == TIME
    store.is_away = True
    store.run(end(own, verb))
    assert own.flows.memory.journal.encoded() == {entry.id: entry.encode()}
    (known,) = own.flows.memory.journal.ahead[KEY]
    assert known.make().arguments[-1] == TIME


@pytest.mark.parametrize("verb", ["end_all", "ban"])
def test_a_repeated_call_has_the_time_of_the_first_one_when_no_journal_holds_it_any_more(verb):
    own, store = with_journals(), Store()
    store.run(end(own, verb))
    (entry,) = set(store.entries())
    own.flows.memory.journal.forget([entry.id])  # it was settled, and trimmed
    again = Store(is_away=True)
    again.run(end(own, verb))
    assert {entry.milliseconds for entry in again.entries()} == {TIME}


def test_which_journals_lack_an_entry_is_forgotten_with_the_entry():
    own, store = with_journals(), Store()
    store.run(end(own))
    (entry,) = set(store.entries())
    journal = own.flows.memory.journal
    assert journal.find(entry.id).missing == (J3,)
    journal.forget([entry.id])  # trimmed by another process
    journal.learn(entry)
    assert journal.find(entry.id).missing == ()


def test_threads_journal_endings_while_many_are_outstanding():
    """What is kept of an entry is found by its id: nothing looks through what others change."""
    flows = Flows(
        config(),
        KEYSPACE,
        deadline=3,
        tell=lambda _: None,
        lock=threading.RLock,
        clock=Clock(wall=lambda: NOW),
    )
    leases = flows.memory.near.leases
    leases.set_primaries(frozenset({OWNER, *NODES.values()}))
    leases.set_journals(frozenset(NODES.values()))
    failed = []

    def journal(thread: int) -> None:
        for number in range(100):
            session_id = encode_session_id(f"{thread:8}{number:8}".encode())
            store = Store()
            flow = flows.end.revoke(f"user{thread}", session_id, reason="")
            try:
                assert store.run(flow).journaled
            except RuntimeError as error:
                failed.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=journal, args=(each,)) for each in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(before)
    assert failed == []
    assert len(flows.memory.journal) == 1600


@VERBS
def test_what_is_journaled_is_in_force_here_at_once(verb):
    own, store = with_journals(), Store(is_away=True)
    store.run(end(own, verb))
    assert own.flows.memory.pending.stats().journaled == 1
    assert own.flows.memory.pending.stats().waiting == 0
    # Whoever asks about the subject carries it out first; no clock of this process judges.
    (ahead,) = own.flows.memory.journal.ahead[KEYSPACE.sessions("alice")]
    assert ahead.make().script.name == verb
    if verb == "end_session":
        with pytest.raises(SessionRevoked):
            drive(own.verify(access_token()), stored(live()))
    else:
        session, _ = drive(own.verify(access_token()), stored(live()))
        assert session.subject == "alice"


def test_a_repeated_call_is_queued_once():
    own, store = with_journals(), Store()
    for _ in range(2):
        store.run(end(own))
    assert len(own.flows.memory.pending) == 1
    assert len(own.flows.memory.journal) == 1


# The same end again


def logout(own: Life) -> Generator[Any, Any, Ended]:
    return own.logout(access_token())


@pytest.mark.parametrize("is_away", [False, True])
def test_repeated_logouts_of_one_token_are_one_entry(is_away):
    """Else who holds a token could fill the journals."""
    own, store = with_journals(), Store(is_away=is_away)
    asked = ["end_session", *appends(J1, J2), REST]
    for _ in range(50):
        assert store.run(logout(own)).journaled
        assert store.names() == asked, "confirmed anew, and waited for"
    assert len(own.flows.memory.journal) == 1
    assert len(own.flows.memory.journal.ahead[KEY]) == 1
    assert len(own.flows.memory.pending) == 1
    store.is_away, store.is_confirmed = False, True
    assert retry(own, store)
    assert len(own.flows.memory.journal) == 0
    assert own.flows.memory.denials._pending == {}


def test_simultaneous_logouts_of_one_token_are_one_entry():
    own, store, begun = with_journals(), Store(), []
    for _ in range(5):
        flow = logout(own)
        step = flow.send(None)
        while step.script.name != "journal_append":
            step = flow.send(store.answer(step))
        begun.append((flow, step))
    assert len({step.arguments[0] for _, step in begun}) == 1
    for flow, step in begun:
        assert store.run(flow, store.answer(step)).journaled
    assert len(own.flows.memory.journal) == 1
    assert own.flows.end._confirm._journaling._being_written == {}


def test_a_repeated_logout_confirms_the_entry_of_another_process():
    first, store = with_journals(), Store()
    store.run(logout(first))
    (entry,) = set(store.entries())
    own, later = with_journals(), Store()
    own.flows.memory.journal.learn(entry)
    assert later.run(logout(own)).journaled
    assert set(later.entries()) == {entry}
    assert own.flows.memory.journal.find(entry.id).missing == (J3,)
    (pending,) = own.flows.memory.pending.all()
    assert pending.once_for == entry.id


def test_what_two_journals_do_not_confirm_anew_is_pending_although_it_was_confirmed_before():
    """The entry may have been trimmed, or lost, since."""
    own, store = with_journals(), Store()
    store.run(logout(own))
    store.names()
    store.journals = {J1: AWAY, J3: "unconfirmed"}
    with pytest.raises(RevocationPending):
        store.run(logout(own))
    assert store.names() == ["end_session", *appends(J1, J2, J3)]


def test_another_session_or_another_way_to_end_it_is_another_entry():
    own, store = with_journals(), Store()
    for session_id, reason in ((SESSION_ID, "a"), (SESSION_ID, "b"), (bytes(16), "a")):
        store.run(own.flows.end.revoke("alice", encode_session_id(session_id), reason=reason))
    for _ in range(2):
        store.run(own.flows.end.revoke_all("alice", keep=None, device_type=None, reason="stolen"))
    assert len(own.flows.memory.journal) == 5


def test_an_entry_that_expires_much_earlier_is_not_taken_for_a_new_one():
    own, store = with_journals(), Store()
    store.run(logout(own))
    (entry,) = set(store.entries())
    own.flows.memory.journal.forget([entry.id])
    for earlier, size in ((86_400, 1), (86_401, 2)):
        own.flows.memory.journal.learn(replace(entry, expires_at=entry.expires_at - earlier))
        store.run(logout(own))
        assert len(own.flows.memory.journal) == size
        own.flows.memory.journal.forget(list(own.flows.memory.journal.encoded()))


def test_where_the_id_of_the_known_entry_is_taken_it_has_an_entry_of_its_own():
    own, store = with_journals(), Store()
    store.run(logout(own))
    (entry,) = set(store.entries())
    store.names()
    store.taken = {entry.id}
    assert store.run(logout(own)).journaled
    assert store.names() == ["end_session", *appends(J1, J1, J2), REST]
    assert len(own.flows.memory.journal) == 2


# An owner that was met a moment ago


def unsettled() -> Life:
    """A manager that has not met the owner, of which an answer is in doubt for 1000 seconds."""
    own = with_journals()
    leases = own.flows.memory.near.leases
    leases.set_evidence_bound(1000.0)
    leases.lost(OWNER)
    return own


def test_a_confirmation_of_a_new_owner_counts_later():
    """Somebody may still believe the primary that it has replaced."""
    own, store = unsettled(), Store(is_confirmed=True)
    store.run(end(own))
    assert store.names() == ["end_session", "never_promoted", 1000.0], "not met at all"
    meet(own, steady_seconds() - 100)
    store.run(end(own))
    name, question, seconds = store.names()
    assert (name, question) == ("end_session", "never_promoted")
    assert 0 < seconds <= 900
    meet(own, 0.0)
    store.run(end(own))
    assert store.names() == ["end_session"]


@VERBS
def test_a_primary_that_was_never_promoted_has_replaced_nobody(verb):
    own, store = unsettled(), Store(is_confirmed=True, never_promoted=1)
    ended = store.run(end(own, verb))
    assert getattr(ended, "durable", True)
    question = store.asked[1]
    assert (question.keys, question.slot) == ((KEY,), KEYSPACE.keys_of("alice").slot)
    assert question.deadline < 0.5, "or waiting would be quicker"
    assert not question.script.writes
    assert store.names() == [verb, "never_promoted"], "nobody waits"


@pytest.mark.parametrize(
    "told",
    [
        {"never_promoted": 0},
        {"never_promoted": AWAY},
        {"never_promoted": DENIED},
        {"never_promoted": 1, "told_by": "another"},
        {"never_promoted": 1, "told_by": None},
    ],
    ids=["promoted", "away", "denied", "another node", "nobody known"],
)
def test_where_that_is_not_certain_one_waits(told):
    own, store = unsettled(), Store(is_confirmed=True, **told)
    store.run(end(own))
    assert store.names() == ["end_session", "never_promoted", 1000.0]
    assert len(own.flows.memory.pending) == 0


def test_what_nobody_has_confirmed_asks_no_owner():
    store = Store()
    store.run(end(unsettled()))
    assert store.names() == ["end_session", *appends(J1, J2), 1000.0]
