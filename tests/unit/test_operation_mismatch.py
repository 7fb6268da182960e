"""An operation id that belongs to another request: nothing of the refused one stays behind."""

import itertools
from collections.abc import Generator
from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import OperationMismatch, RevocationPending, StoreUnavailable
from clusterpass.protocol.replies import StoredBan
from clusterpass.protocol.script import Answer
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import (
    KEYSPACE,
    NOW,
    SESSION_ID,
    Life,
    access_token,
    drive,
    end_of_one,
    first_call,
    life,
    live,
    stored,
)

OPERATION = "0123456789abcdef"
KEY = KEYSPACE.sessions("alice")
LATER = live(created_milliseconds=NOW * 1000 + 999)
"""In the very moment of the store's answer."""
MISMATCH = {
    "revoke": end_of_one(b"MISMATCH"),
    "logout": end_of_one(b"MISMATCH"),
    "revoke_all": [b"MISMATCH", NOW * 1000, []],
    "revoke_all for a reason": [b"MISMATCH", NOW * 1000, []],
    "ban": [b"MISMATCH", NOW * 1000, [], b""],
    "ban from a scope": [b"MISMATCH", NOW * 1000, [], b""],
}
EVERY = pytest.mark.parametrize("verb", MISMATCH)


def start(own: Life, verb: str, operation_id: str = OPERATION) -> Generator[Any, Any, Any]:
    end, subject = own.flows.end, own.flows.subject
    session_id = encode_session_id(SESSION_ID)
    ban: dict[str, Any] = {"reason": "", "for_seconds": None, "level": 1}
    match verb:
        case "revoke":
            return end.revoke("alice", session_id, reason="", operation_id=operation_id)
        case "logout":
            return end.logout(access_token(), operation_id=operation_id)
        case "revoke_all" | "revoke_all for a reason":
            reason = verb.removeprefix("revoke_all")
            return end.revoke_all(
                "alice", keep=None, device_type=None, reason=reason, operation_id=operation_id
            )
        case "ban":
            return subject.ban("alice", scope="", operation_id=operation_id, **ban)
        case _:
            return subject.ban("alice", scope="chat", operation_id=operation_id, **ban)


def leave_pending(own: Life, verb: str, operation_id: str = OPERATION) -> None:
    """The store does not answer."""
    flow = start(own, verb, operation_id)
    first_call(flow)
    with pytest.raises(RevocationPending):
        flow.throw(StoreUnavailable())


def retry(own: Life, reply: list[Any], number: int = 0, *, is_confirmed: bool = True) -> bool:
    """One more attempt of a pending revocation; whether that settled it."""
    flow = own.flows.memory.pending.all()[number].attempt()
    call = next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(Answer(call.read(reply), is_confirmed, "node", is_confirmed))
    return bool(end.value.value)


def is_accepted(own: Life) -> bool:
    try:
        session, _ = drive(own.verify(access_token()), stored(LATER))
    except SessionRevoked:
        return False
    return not session.bans


def knows_nothing(own: Life) -> bool:
    denials = own.flows.memory.denials
    return not denials.concerns(KEY, SESSION_ID) and denials.pending_bans(KEY) == ()


@EVERY
def test_a_refused_request_leaves_nothing_behind(verb: str) -> None:
    own = life()
    with pytest.raises(OperationMismatch):
        drive(start(own, verb), MISMATCH[verb])
    assert knows_nothing(own)
    assert len(own.flows.memory.pending) == 0
    assert own.told == []
    assert is_accepted(own)


@EVERY
def test_a_pending_request_that_is_refused_is_given_up(
    verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = life()
    leave_pending(own, verb)
    assert not knows_nothing(own)
    assert retry(own, MISMATCH[verb]), "settled"
    assert knows_nothing(own)
    assert is_accepted(own)
    assert "its operation id belongs to another request" in caplog.text
    assert own.told == []


@EVERY
def test_a_caller_that_repeats_a_pending_request_releases_it_when_refused(verb: str) -> None:
    own = life()
    leave_pending(own, verb)
    with pytest.raises(OperationMismatch):
        drive(start(own, verb), MISMATCH[verb])
    assert knows_nothing(own)
    assert is_accepted(own)


@pytest.mark.parametrize(("verb", "refused"), list(itertools.permutations(MISMATCH, 2)))
def test_a_refused_request_takes_nothing_from_another_with_its_id(verb: str, refused: str) -> None:
    """What waits under the same id in this process is not released with it."""
    own = life()
    leave_pending(own, verb)
    leave_pending(own, refused)
    assert retry(own, MISMATCH[refused], 1)
    assert len(own.flows.memory.pending) == 2, "the worker has not removed it yet"
    if verb == "ban from a scope":
        (ban,) = own.flows.memory.denials.pending_bans(KEY)
        assert ban == StoredBan("chat", 1, 0, "", NOW)
        return
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(live()))


def test_a_session_stays_denied_until_all_that_wait_for_it_are_refused() -> None:
    own = life()
    leave_pending(own, "revoke")
    leave_pending(own, "logout")
    for number, verb in enumerate(("revoke", "logout")):
        assert not knows_nothing(own)
        retry(own, MISMATCH[verb], number)
    assert knows_nothing(own)


@pytest.mark.parametrize("verb", ["revoke_all", "ban"])
def test_a_retry_is_the_same_request_when_the_store_has_told_its_time(verb: str) -> None:
    """``up_to`` and ``begins`` are filled in after the first execution."""
    own = life()
    reply = {
        "revoke_all": [b"OK", NOW * 1000, [SESSION_ID]],
        "ban": [b"OK", NOW * 1000, [SESSION_ID], b""],
    }[verb]
    flow = start(own, verb)
    first = first_call(flow)
    with pytest.raises(RevocationPending):
        flow.send(Answer(first.read(reply), False, "node", False))
    second = next(own.flows.memory.pending.all()[0].attempt())
    assert second.arguments[0] == first.arguments[0]
    assert (first.arguments[-1], second.arguments[-1]) == (b"", NOW * 1000)


@pytest.mark.parametrize("script", ["set_claims", "unban"])
def test_a_change_that_makes_its_own_id_is_refused_too(script: str) -> None:
    own = life()
    subject = own.flows.subject
    if script == "unban":
        with pytest.raises(OperationMismatch):
            drive(subject.unban("alice", scope=""), 2)
    else:
        with pytest.raises(OperationMismatch):
            drive(subject.set_claims("alice", {"a": 1}), [b"MISMATCH", 1, 0])
    assert own.told == []
