"""The flow that reads a session by its id, and the ends that the process remembers."""

import json
from math import inf
from typing import Any

import pytest

from clusterpass import (
    Actor,
    InvalidInput,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    StoreUnavailable,
)
from clusterpass.protocol.records import HAS_DETAILS, Tombstone
from clusterpass.sessions.memory.denial import Denial
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import (
    KEY,
    NOW,
    READ,
    SESSION_ID,
    TOMBSTONE,
    Life,
    access_token,
    drive,
    end_of_one,
    first_call,
    life,
    live,
    refuse_at_once,
    stored,
)

NAME = encode_session_id(SESSION_ID)
ACTOR = encode_session_id(b"r" * 16)
IMPERSONATION = json.dumps({"act": ["root", ACTOR, "help"]}).encode()
ELEVATION = NOW.to_bytes(4, "big") + (NOW + 300).to_bytes(4, "big") + b"3\0otp"


def get(own: Life, subject: Any = "alice", session_id: Any = NAME) -> Any:
    return own.flows.get.get(subject, session_id)


def denial_of(own: Life) -> Denial | None:
    return own.flows.memory.denials.of_session(SESSION_ID)


def test_a_session_is_read_by_its_id_and_its_use_is_not_noted() -> None:
    own = life()
    raw = stored(live(device="Sofa", refreshed_at=NOW - 3000))
    raw[3] = ELEVATION
    session, (call,) = drive(get(own), raw)
    assert (call.script.name, call.keys, call.arguments) == ("verify", READ, (SESSION_ID,))
    assert (session.subject, session.session_id, session.device) == ("alice", NAME, "Sofa")
    assert (session.acr, session.act) == ("1", None), "no token was presented after the step-up"


@pytest.mark.parametrize(
    ("record", "error", "reason"),
    [
        (TOMBSTONE, SessionRevoked, "revoked"),
        (Tombstone("idle", NOW - 5, NOW + 9), SessionExpired, "idle"),
        (live(absolute_end=NOW), SessionExpired, "expired"),
    ],
)
def test_an_end_that_the_store_tells_is_remembered(record: Any, error: Any, reason: str) -> None:
    own = life()
    with pytest.raises(error):
        drive(get(own), stored(record))
    denial = denial_of(own)
    assert denial is not None
    assert denial.reason == reason
    with pytest.raises(error):
        flow = get(own)
        first_call(flow)
        flow.throw(StoreUnavailable())


def test_nobody_remembers_a_session_that_is_not_known() -> None:
    own = life()
    with pytest.raises(SessionUnknown):
        drive(get(own), stored(None))
    assert denial_of(own) is None


def test_an_outage_is_an_outage_where_no_end_is_known() -> None:
    flow = get(life())
    first_call(flow)
    with pytest.raises(StoreUnavailable):
        flow.throw(StoreUnavailable())


def test_what_cannot_be_read() -> None:
    refuse_at_once(InvalidInput, get(life(), subject=""))
    for session_id in ("", "x", None, SESSION_ID):
        refuse_at_once(SessionUnknown, get(life(), session_id=session_id))


def test_an_impersonation_is_read_with_its_actor() -> None:
    raw = stored(live(flags=HAS_DETAILS), IMPERSONATION)
    session, (_, asked) = drive(get(life()), raw, stored(live()))
    assert session.act == Actor("root", ACTOR, "help")
    assert asked.keys[0] == b"cp:{root}"
    with pytest.raises(SessionRevoked) as caught:
        drive(get(life()), raw, stored(Tombstone("banned", NOW - 7, NOW + 9, "secret")))
    error = caught.value
    note = "the impersonation has ended"
    assert (error.reason, error.note, error.ended_at) == ("revoked", note, NOW - 7)


def test_who_was_read_is_not_due_until_something_happens() -> None:
    own = life()
    followed = own.flows.get.followed("alice", NAME, lambda: None)
    assert followed.is_due
    drive(own.flows.get.read(followed), stored(live()))
    assert not followed.is_due
    followed.touch()
    assert followed.is_due


def test_an_impersonation_is_followed_for_no_longer_than_what_is_known_of_its_actor() -> None:
    own = life()
    followed = own.flows.get.followed("alice", NAME, lambda: None)
    assert followed.actor_lease.until == inf
    flow = own.flows.get.read(followed)
    drive(flow, stored(live(flags=HAS_DETAILS), IMPERSONATION), stored(live()))
    assert followed.actor_lease.until == -inf, "no node tells when the actor is gone"


def test_during_an_outage_an_actor_who_is_known_to_be_gone_ends_an_impersonation() -> None:
    raw = stored(live(flags=HAS_DETAILS), IMPERSONATION)
    for denial in (None, Denial("revoked", NOW - 7)):
        own = life()
        if denial is not None:
            own.flows.memory.denials.add(b"r" * 16, denial)
        flow = get(own)
        call = first_call(flow)
        answer: Any = type("Answer", (), {"reply": call.read(raw), "node": None})()
        flow.send(answer)
        with pytest.raises(StoreUnavailable if denial is None else SessionRevoked) as caught:
            flow.throw(StoreUnavailable())
        if denial is not None:
            assert getattr(caught.value, "ended_at", 0) == NOW - 7


def test_a_store_that_lost_the_end_of_a_session_is_told_again() -> None:
    own = life()
    own.flows.memory.denials.add(SESSION_ID, Denial("revoked", NOW - 5, "by Ann"))
    with pytest.raises(SessionRevoked) as caught:
        drive(get(own), stored(live()))
    error = caught.value
    assert (error.reason, error.note, error.ended_at) == ("revoked", "by Ann", NOW - 5)
    assert own.flows.stats().rollbacks == 1
    assert own.flows.stats().pending.waiting == 1


@pytest.mark.parametrize(
    ("status", "is_denied"), [(b"ENDED", True), (b"ALREADY", False), (b"UNKNOWN", False)]
)
def test_what_a_logout_ended_is_denied_from_then_on(status: bytes, is_denied: bool) -> None:
    own = life()
    drive(own.logout(access_token()), end_of_one(status))
    denial = denial_of(own)
    assert (denial is not None) == is_denied
    if denial is not None:
        assert (denial.reason, denial.ended_at, denial.is_pending) == ("logged_out", NOW, False)


def test_the_note_of_a_revocation_is_denied_as_a_tombstone_holds_it() -> None:
    own = life()
    drive(own.revoke("alice", NAME, reason="é" * 40), end_of_one(b"ENDED"))
    denial = denial_of(own)
    assert denial is not None
    assert (denial.reason, denial.note) == ("revoked", "é" * 27)


def test_all_that_a_revocation_ended_is_denied() -> None:
    own = life()
    other = b"o" * 16
    drive(own.revoke_all("alice"), [b"OK", NOW * 1000 + 500, [SESSION_ID, other]])
    denials = own.flows.memory.denials
    for each in (SESSION_ID, other):
        denial = denials.of_session(each)
        assert denial is not None
        assert (denial.reason, denial.ended_at, denial.is_pending) == ("revoked", NOW, False)
    assert denials.concerns(KEY, b"x" * 16), "also what the store does not name"
