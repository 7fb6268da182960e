"""Denials of revocations that are not confirmed, from the revocation to its end."""

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import RevocationPending
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory import denials, pending

from .driven_flows import NOW, SESSION_ID, access_token, drive, first_call, life, live, stored

BEFORE = live(created_milliseconds=NOW * 1000 + 123)
OTHER_ID = b"o" * 16


def revoke_unconfirmed(own, ended=(SESSION_ID,)):
    """Revoke all sessions of alice; the store has ended ``ended``, but no replica confirms it."""
    flow = own.revoke_all("alice")
    call = first_call(flow)
    with pytest.raises(RevocationPending) as caught:
        flow.send(Answer(call.read([NOW * 1000 + 999, list(ended)]), False, "node", False))
    return caught.value


def retry(own, ended, *, is_confirmed):
    (waiting,) = own.flows.memory.pending.all()
    flow = waiting.attempt()
    call = next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(
            Answer(call.read([NOW * 1000 + 999, list(ended)]), is_confirmed, "node", is_confirmed)
        )
    return end.value.value


def test_other_ends_never_evict_what_is_pending(monkeypatch):
    monkeypatch.setattr(denials, "MOST_SESSIONS", 5)
    own = life()
    revoke_unconfirmed(own)
    memory = own.flows.memory
    for number in range(20):
        memory.deny(b"key", b"%016d" % number, denials.Denial("revoked", NOW))
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
