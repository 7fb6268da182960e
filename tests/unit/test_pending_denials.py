"""Denials of revocations that are not confirmed, from the revocation to its end."""

import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending
from clusterpass.protocol.replies import StoredBan
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory import denials as denials_module, pending
from clusterpass.sessions.memory.denials import Denial, Denials, Sweep

from .driven_flows import NOW, SESSION_ID, access_token, drive, first_call, life, live, stored
from .test_denials import HERE, KEY, KNOWN, NOW as MILLISECONDS, ONE, REVOKED, shown

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
    monkeypatch.setattr(pending, "MOST_PENDING", 0)
    own = life()
    assert not revoke_unconfirmed(own).is_retried
    assert own.flows.memory.denials.of_session(SESSION_ID) is None
    session, _ = drive(own.verify(access_token()), stored(BEFORE))
    assert session.subject == "alice"


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
        assert denials.without_store(KEY, session_id, shown().record, HERE)
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
    denials: Denials, behind: int, opened: int, is_denied: bool
) -> None:
    """Another server opened it, before it was asked for the end of all; then this one took over.

    ``behind``: milliseconds; ``opened``: milliseconds after all were to end.
    """
    asked_at, since = 100.0, 99.5
    denials.agreed = lambda steady: MILLISECONDS + (steady - since) * 1000
    pending = Denial("revoked", NOW, is_pending=True)
    denials.sweep(KEY, b"request", Sweep(pending, since=since))
    here = MILLISECONDS + int((asked_at - since) * 1000) - behind
    answered = shown(created=MILLISECONDS + opened, now=here)
    assert (denials.judge(KEY, ONE, answered, asked_at) is not None) == is_denied
