"""The step-up and shorten flows: requests to the store, results, and events for listeners."""

from typing import Any

import pytest

from clusterpass import (
    ImpersonationRefused,
    InvalidInput,
    SessionEvent,
    SessionExpired,
    SessionNotFound,
    SessionRevoked,
    SessionUnknown,
)
from clusterpass.model.values import Session
from clusterpass.protocol.records import LiveRecord
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import parse_refresh_token

from .driven_flows import NOW, SESSION_ID, TOMBSTONE, drive, life, live, refuse_at_once, stored

NAME = encode_session_id(SESSION_ID)
STEP_UP = b"s" * 8


def session(**changed: Any) -> Session:
    values: dict[str, Any] = {"subject": "alice", "session_id": NAME, "device": None}
    times = {"created_at": NOW, "refreshed_at": NOW, "expires_at": NOW + 60}
    return Session(**{**values, **times, **changed})


def elevate(own: Any, of: Any = None, level: Any = "2", **changed: Any) -> Any:
    values: dict[str, Any] = {"for_seconds": 300, "amr": ("pwd", "otp"), "address": "127.0.0.1"}
    of = session() if of is None else of
    return own.flows.adjust.elevate(of, level, **{**values, **changed})


def elevated(status: bytes, record: Any, flags: int = 0) -> list[Any]:
    """The reply when the step-up began now, lasts 300 seconds, and issued rotation 7."""
    raw = stored(record)
    raw[3] = NOW.to_bytes(4, "big") + (NOW + 300).to_bytes(4, "big")
    raw[3] += bytes([0, flags]) + STEP_UP + (7).to_bytes(4, "big") + bytes(27) + b"2\0pwd otp"
    return [status, raw]


@pytest.mark.parametrize("ends_older", [False, True])
def test_a_step_up_hands_out_tokens_that_claim_it(ends_older: bool) -> None:
    own = life(step_up_ends_older_tokens=ends_older)
    pair, (call,) = drive(elevate(own), elevated(b"OK", live()), durable=False)
    token = parse_refresh_token(pair.refresh_token)
    assert call.arguments[1:6] == (SESSION_ID, 300, b"2\0pwd otp", b"\x7f\x00\x00\x01", b"2")
    assert call.arguments[7:] == (token.digest, int(ends_older), 0)
    assert len(call.arguments[6]) == 8
    assert (token.subject, token.session_id, token.rotation) == ("alice", SESSION_ID, 7)
    assert (pair.acr, pair.session_id, pair.durable) == ("2", NAME, False)
    assert pair.session_expires_in == 3600
    assert 1 <= pair.expires_in <= 300
    claims = own.verifier.verify(pair.access_token)
    assert (claims.acr, claims.amr, claims.auth_time) == ("2", ("pwd", "otp"), NOW)
    assert claims.step_up == encode_base64url(STEP_UP)
    assert own.told == [
        SessionEvent("elevated", "alice", NOW, session_ids=(NAME,), address="127.0.0.1", reason="2")
    ]


def test_a_change_of_the_password_ends_older_tokens_and_is_told_as_such() -> None:
    own = life(step_up_ends_older_tokens=False)
    _, (call,) = drive(elevate(own, password_changed=True), elevated(b"OK", live()))
    assert (call.arguments[5], call.arguments[8:]) == (b"", (1, 1))
    assert own.told == [
        SessionEvent("password_changed", "alice", NOW, session_ids=(NAME,), address="127.0.0.1")
    ]


def test_an_impersonation_is_not_stepped_up() -> None:
    own = life()
    with pytest.raises(ImpersonationRefused) as caught:
        drive(elevate(own), elevated(b"IMPERSONATED", live()))
    assert caught.value.reason == "impersonated"
    assert own.told == []


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (None, SessionUnknown),
        (TOMBSTONE, SessionRevoked),
        (live(absolute_end=NOW), SessionExpired),
    ],
)
def test_a_session_that_is_over_is_not_stepped_up(
    record: LiveRecord | None, error: type[Exception]
) -> None:
    own = life()
    with pytest.raises(error):
        drive(elevate(own), [b"ENDED", stored(record)])
    assert own.told == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"of": "alice"}, "session must be a Session"),
        ({"of": session(subject="")}, "subject"),
        ({"level": "9"}, "level must be one of 1, 2, 3"),
        ({"for_seconds": 0}, "for_seconds must be .* from 1 to 86400$"),
        ({"for_seconds": 86_401}, "for_seconds must be .* from 1 to 86400$"),
        ({"amr": "pwd"}, "amr must be"),
        ({"address": 5}, "address must be"),
    ],
)
def test_what_a_step_up_may_not_be(changed: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        next(elevate(life(), **changed))


def test_a_step_up_of_what_is_no_session_id() -> None:
    refuse_at_once(SessionUnknown, elevate(life(), session(session_id="x")))


def shorten(subject: Any = "alice", session_id: Any = NAME, **changed: Any) -> Any:
    values: dict[str, Any] = {"lifetime": None, "idle_lifetime": None, **changed}
    return life().flows.adjust.shorten(subject, session_id, **values)


@pytest.mark.parametrize(
    ("lifetime", "idle_lifetime", "sent"),
    [(1, None, (1, b"")), (2**31, None, (2**31, b"")), (None, 10, (b"", 10)), (60, 10, (60, 10))],
)
def test_a_shorter_lifetime_is_described(lifetime: Any, idle_lifetime: Any, sent: Any) -> None:
    flow = shorten(lifetime=lifetime, idle_lifetime=idle_lifetime)
    found, (call,) = drive(flow, stored(live(absolute_end=NOW + 50, device="Sofa")))
    assert call.arguments[1:] == (SESSION_ID, *sent)
    assert (found.subject, found.session_id, found.device) == ("alice", NAME, "Sofa")
    assert found.expires_at == NOW + 50


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (None, SessionNotFound),
        (TOMBSTONE, SessionRevoked),
        (live(absolute_end=NOW), SessionExpired),
    ],
)
def test_what_is_over_is_not_shortened(record: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        drive(shorten(lifetime=60), stored(record))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "give lifetime, idle_lifetime or both"),
        ({"lifetime": 0}, "^lifetime must be .* from 1 to 2147483648$"),
        ({"lifetime": 2**31 + 1}, "^lifetime must be .* from 1 to 2147483648$"),
        ({"idle_lifetime": 9}, "^idle_lifetime must be"),
        ({"idle_lifetime": 0}, "^idle_lifetime must be"),
        ({"subject": "", "lifetime": 60}, "subject"),
    ],
)
def test_what_a_shorter_lifetime_may_not_be(changed: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        next(shorten(**changed))


def test_what_is_no_session_id_is_not_shortened() -> None:
    refuse_at_once(SessionNotFound, shorten(session_id="x", lifetime=60))
