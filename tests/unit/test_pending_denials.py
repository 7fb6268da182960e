"""Denials of revocations that are not confirmed, from the revocation to its end."""

import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.clock import Clock
from clusterpass.model.errors import RevocationPending, StoreUnavailable
from clusterpass.protocol.replies import StoredBan
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory import denials as denials_module, pending_revocations
from clusterpass.sessions.memory.clocks import Clocks
from clusterpass.sessions.memory.denial import Denial, Sweep
from clusterpass.sessions.memory.denials import Denials
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import (
    NOW,
    SESSION_ID,
    access_token,
    drive,
    end_of_one,
    first_call,
    life,
    live,
    stored,
)
from .test_denials import AHEAD, KEY, KNOWN, NOW as MILLISECONDS, ONE, REVOKED, shown

BEFORE = live(created_milliseconds=NOW * 1000 + 123)
OTHER_ID = b"o" * 16


@pytest.fixture
def denials() -> Denials:
    return Denials(threading.RLock, lambda: 5.0)


def revoke_unconfirmed(own, ended=(SESSION_ID,)):
    """Revoke all sessions of alice; the store has ended ``ended``, but no replica confirms it."""
    flow = own.revoke_all("alice")
    call = first_call(flow)
    with pytest.raises(RevocationPending) as caught:
        flow.send(Answer(call.read([b"OK", NOW * 1000 + 999, list(ended)]), False, "node", False))
    return caught.value


def retry(own, ended, *, is_confirmed):
    (waiting,) = own.flows.memory.pending.all()
    flow = waiting.attempt()
    call = next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(
            Answer(
                call.read([b"OK", NOW * 1000 + 999, list(ended)]),
                is_confirmed,
                "node",
                is_confirmed,
            )
        )
    return end.value.value


def test_what_nobody_retries_as_the_manager_is_being_closed_is_not_in_force():
    own = life()
    own.flows.memory.pending.refuse()
    assert not revoke_unconfirmed(own).is_retried
    assert not own.flows.memory.pending
    session, _ = drive(own.verify(access_token()), stored(BEFORE))
    assert session.subject == "alice"


@pytest.mark.parametrize("is_named", [False, True])
def test_what_was_confirmed_stays_ended_where_the_store_has_lost_it(is_named):
    own = life()
    if is_named:
        drive(own.revoke("alice", encode_session_id(SESSION_ID)), end_of_one(b"ENDED"))
    else:
        drive(own.revoke_all("alice"), [b"OK", NOW * 1000 + 999, [SESSION_ID]])
    found = own.flows.memory.denials.of_session(SESSION_ID)
    assert found is not None
    assert not found.is_pending
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(BEFORE))
    assert own.flows.memory.denials.rollbacks == 1


def test_other_ends_never_evict_what_is_pending(monkeypatch):
    monkeypatch.setattr(denials_module, "MOST_SESSIONS", 5)
    own = life()
    revoke_unconfirmed(own)
    memory = own.flows.memory
    for number in range(20):
        memory.deny(b"key", b"%016d" % number, Denial("revoked", NOW))
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(BEFORE))
    found = memory.denials.of_session(SESSION_ID)
    assert found is not None
    assert found.is_pending


def test_what_nobody_retries_is_released_with_the_sessions_that_it_ended(monkeypatch):
    monkeypatch.setattr(pending_revocations, "MOST_PENDING", 0)
    own = life()
    assert not revoke_unconfirmed(own).is_retried
    assert own.flows.memory.denials.of_session(SESSION_ID) is None
    session, _ = drive(own.verify(access_token()), stored(BEFORE))
    assert session.subject == "alice"


@pytest.mark.parametrize("status", [b"ALREADY", b"UNKNOWN"])
def test_a_session_that_had_ended_before_is_not_denied_for_what_came_later(status):
    """The store tells what it ended by."""
    own = life()
    flow = own.revoke("alice", encode_session_id(SESSION_ID))
    first_call(flow)
    with pytest.raises(RevocationPending):
        flow.throw(StoreUnavailable(reason="timeout"))
    assert own.flows.memory.denials.of_session(SESSION_ID) is not None
    (waiting,) = own.flows.memory.pending.all()
    assert drive(waiting.attempt(), end_of_one(status))[0]
    assert own.flows.memory.denials.of_session(SESSION_ID) is None


def test_a_retry_that_finds_fewer_sessions_after_a_rollback_settles_all():
    own = life()
    revoke_unconfirmed(own, (SESSION_ID, OTHER_ID))
    assert retry(own, (SESSION_ID,), is_confirmed=True)
    for session_id in (SESSION_ID, OTHER_ID):
        found = own.flows.memory.denials.of_session(session_id)
        assert found is not None
        assert not found.is_pending


def test_what_is_pending_never_leaves_to_make_room_and_does_not_count(denials, monkeypatch):
    monkeypatch.setattr(denials_module, "MOST_SESSIONS", 3)
    unconfirmed = [b"p%015d" % number for number in range(10)]
    for session_id in unconfirmed:
        denials.add(session_id, replace(REVOKED, is_pending=True))
    others = [b"o%015d" % number for number in range(50)]
    for session_id in others:
        denials.add(session_id, REVOKED)
    for session_id in unconfirmed:
        assert denials.judge(KEY, session_id, shown(), 6.0)
        assert denials.without_store(KEY, session_id, shown().record, AHEAD)
        assert denials.concerns(KEY, session_id)
    assert [each for each in others if denials.of_session(each)] == others[-3:]


def test_what_was_pending_counts_once_it_is_settled(denials, monkeypatch):
    monkeypatch.setattr(denials_module, "MOST_SESSIONS", 3)
    ids = [bytes([number]) * 16 for number in range(5)]
    for session_id in ids:
        denials.add(session_id, replace(REVOKED, is_pending=True))
    denials.lift(ids[4], b"request")
    for session_id in ids[:4]:
        denials.add(session_id, REVOKED)
    assert [denials.of_session(each) for each in ids] == [None, KNOWN, KNOWN, KNOWN, None]


def test_a_thread_that_looks_while_a_denial_is_settled_finds_it(denials):
    """A reader without the lock, between any two instructions of the one that settles."""
    denials.add(ONE, replace(REVOKED, is_pending=True))
    missed = 0

    def look(*_: object) -> Any:
        nonlocal missed
        missed += denials.of_session(ONE) is None
        return look

    before = sys.gettrace()
    sys.settrace(look)
    denials.add(ONE, REVOKED)
    sys.settrace(before)
    assert not missed
    assert denials.of_session(ONE) == KNOWN


def test_pending_sweeps_stay_however_many_there_are(denials, monkeypatch):
    monkeypatch.setattr(denials_module, "MOST_SUBJECTS", 3)
    carried_out = Sweep(replace(REVOKED, is_pending=True), until=MILLISECONDS)
    for number in range(40):
        ban = StoredBan(f"scope-{number}", 1, 0, "spam", 1)
        denials.sweep(KEY, b"%d" % number, Sweep(REVOKED, bans=(ban,)))
        denials.sweep(b"of-%d" % number, b"operation", carried_out)
    for number in range(10):
        denials.sweep(b"%d" % number, b"operation", Sweep(REVOKED, until=MILLISECONDS))
    assert len(denials.pending_bans(KEY)) == 40
    for number in range(40):
        assert denials.judge(b"of-%d" % number, ONE, shown(), 6.0)
        denials.forget_sweep(KEY, b"%d" % number)
        denials.sweep(b"of-%d" % number, b"operation", Sweep(REVOKED, until=MILLISECONDS))
    assert not denials.concerns(KEY, ONE)
    kept = [number for number in range(40) if denials.concerns(b"of-%d" % number, ONE)]
    assert kept == [37, 38, 39], "the bound holds for what is settled"


class Judged:
    """A revocation of all sessions that is pending, and what three servers tell meanwhile.

    The clocks of the servers ``a``, ``b`` and ``c`` tell the true time, or what ``ahead`` says, in
    milliseconds.
    """

    def __init__(self, round_trip: float = 0.002, **ahead: int) -> None:
        self.steady = self.since = 99.5
        self.clocks = Clocks(Clock(steady=lambda: self.steady, wall=lambda: self.true() / 1000))
        self.denials = Denials(threading.RLock, lambda: self.steady)
        self.denials.most_ahead = self.clocks.most_ahead
        for node in "abc":
            sent_at, told = self.steady - round_trip, self.true(-round_trip / 2)
            self.clocks.told(node, told + ahead.get(node, 0), sent_at, frozenset("abc"))
        pending = Denial("revoked", NOW, is_pending=True)
        self.denials.sweep(KEY, b"request", Sweep(pending, since=self.since))

    def true(self, later: float = 0.0) -> int:
        """The true time in milliseconds, ``later`` seconds after now."""
        return MILLISECONDS + int((self.steady + later - self.since) * 1000)

    def is_denied(self, opened: int, ahead: int = 0, held: float = 0.0) -> bool:
        """Whether a session is, that was opened ``opened`` milliseconds after all were to end.

        ``ahead``: the clock of the server that answers; ``held``: seconds for which the request
        was, before it reached the server.
        """
        self.steady += 0.5
        asked_at = self.steady
        answered = shown(created=MILLISECONDS + opened, now=self.true(held) + ahead)
        self.steady += held
        return self.denials.judge(KEY, ONE, answered, asked_at) is not None


@pytest.mark.parametrize(
    ("behind", "opened", "is_denied"),
    [
        (0, -100, True),
        (0, 100, False),
        (900, 100, False),
        (5_000, -100, True),
        (5_000, -4_000, True),
        (9_000_000, -100, True),
    ],
)
def test_a_server_whose_clock_is_behind_does_not_hide_a_session_from_a_sweep(
    behind: int, opened: int, is_denied: bool
) -> None:
    """Another server opened it, before it was asked for the end of all; then this one took over."""
    assert Judged().is_denied(opened, ahead=-behind) == is_denied


@pytest.mark.parametrize("held", [0.7, 30.0])
@pytest.mark.parametrize("ahead", [0, 3_000])
def test_a_sweep_covers_no_later_session_because_a_request_was_held(
    held: float, ahead: int
) -> None:
    """``ahead``: by how many milliseconds the clock is that of the server that opened it."""
    judged = Judged(a=ahead, b=ahead, c=ahead)
    assert judged.is_denied(ahead - 1, ahead, held)
    assert not Judged(a=ahead, b=ahead, c=ahead).is_denied(ahead + 4, ahead, held)


def test_what_the_clock_of_the_server_may_have_been_counts() -> None:
    """The request was held for long enough to have been answered by one of two clocks."""
    assert Judged(b=3_000).is_denied(2_999, 0, held=3.5)
    assert not Judged(b=3_000).is_denied(2_999, 0, held=2.5), "it was not held for so long"
    assert not Judged(b=3_000).is_denied(3_004, 0, held=30.0)


def test_a_clock_that_has_jumped_since_is_believed() -> None:
    """No server told so yet; the reply shows by how much it is ahead at least."""
    assert Judged().is_denied(4_000, 4_000)
    assert not Judged().is_denied(4_004, 4_000)


def test_where_every_answer_was_slow_the_quickest_tells_most() -> None:
    judged = Judged(round_trip=0.9)
    assert judged.is_denied(400, held=0.9), "the clock may be ahead by that much"
    judged = Judged(round_trip=0.9)
    judged.clocks.told("a", judged.true(), judged.steady - 0.001, frozenset("abc"))
    judged.clocks.told("b", judged.true(), judged.steady - 0.001, frozenset("abc"))
    judged.clocks.told("c", judged.true(), judged.steady - 0.001, frozenset("abc"))
    for node in "abc":
        judged.clocks.told(node, judged.true(-0.45), judged.steady - 0.9, frozenset("abc"))
    assert not judged.is_denied(5, held=0.9)
