"""The logout flow: by access token, by refresh token, and refusals before any call."""

from dataclasses import replace

import pytest

from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    InvalidToken,
    SessionUnknown,
    TokenMalformed,
    TokenMissing,
    TokenSignatureInvalid,
)
from clusterpass.model.values import Ended
from clusterpass.sessions.revocations import confirm
from clusterpass.tokens.keyring import KeyRing

from .driven_flows import (
    NOW,
    REFRESH,
    SESSION_ID,
    TOMBSTONE,
    WRITTEN,
    access_token,
    drive,
    end_of_one,
    life,
    live,
    refresh_token,
    refuse_at_once,
    ring,
    stored,
    told_to_end,
)


@pytest.mark.parametrize(("reply", "count"), [(b"ENDED", 1), (b"ALREADY", 0), (b"UNKNOWN", 0)])
@pytest.mark.parametrize("durable", [True, False])
def test_logout_by_access_token(reply: bytes, count: int, durable: bool) -> None:
    own = life()
    ended, (call,) = drive(own.logout(access_token()), end_of_one(reply), durable=durable)
    assert ended == Ended(count, durable)
    assert call.script.name == "end_session"
    assert told_to_end(own, call) == (SESSION_ID, 1, b"", b"")
    assert [event.kind for event in own.told] == ["logged_out"] * count


def test_a_logout_tells_the_address_for_the_history() -> None:
    own = life()
    _, (call,) = drive(own.logout(access_token(), address="192.0.2.7"), end_of_one(b"ENDED"))
    assert told_to_end(own, call) == (SESSION_ID, 1, bytes([192, 0, 2, 7]), b"")
    assert [event.address for event in own.told] == ["192.0.2.7"]


def test_logout_by_an_expired_access_token() -> None:
    old = access_token(issued_at=NOW - 10**6, expires_at=NOW - 10**5)
    ended, _ = drive(life().logout(old), end_of_one(b"ENDED"))
    assert ended.count == 1


def test_logout_by_refresh_token() -> None:
    ended, (call,) = drive(life().logout(REFRESH.encode()), end_of_one(b"ENDED"))
    assert ended == Ended(1, True)
    assert (call.script.name, call.keys) == ("end_session", WRITTEN)


def test_logout_by_a_refresh_token_that_was_not_made_here() -> None:
    text = replace(REFRESH, tag=bytes(16)).encode()
    assert refuse_at_once(InvalidRefreshToken, life().logout(text)).reason == "mismatch"


def test_with_public_keys_a_refresh_token_proves_its_secret_first() -> None:
    own = life(keys=KeyRing.from_jwks(ring().public_jwks()))
    ended, (read, end) = drive(own.logout(REFRESH.encode()), stored(live()), end_of_one(b"ENDED"))
    assert ended == Ended(1, True)
    assert (read.script.name, end.script.name) == ("verify", "end_session")
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(own.logout(refresh_token(rotation=2)), stored(live()))
    assert caught.value.reason == "mismatch"
    for record in (None, TOMBSTONE):
        ended, _ = drive(own.logout(REFRESH.encode()), stored(record), end_of_one(b"ALREADY"))
        assert ended.count == 0


def test_logout_refuses_before_it_asks() -> None:
    foreign = KeyRing.generate("EdDSA", kid=ring().signing_key.kid)
    own = life()
    refuse_at_once(TokenMissing, own.logout(""))
    refuse_at_once(TokenMalformed, own.logout("x"))
    refuse_at_once(TokenMalformed, own.logout(None))  # type: ignore[arg-type]
    refuse_at_once(TokenSignatureInvalid, own.logout(access_token(keys=foreign)))
    refuse_at_once(SessionUnknown, own.logout(access_token(session_id="x")))
    refuse_at_once(InvalidRefreshToken, own.logout("cpr_x"))


def test_dead_sessions_are_remembered_until_their_tokens_have_expired() -> None:
    for access, leeway in ((10, 0), (900, 5), (86_400, 5)):
        own = life(access_lifetime=access, expiry_leeway=leeway, idle_lifetime=0)
        assert own.tombstone_seconds >= access + leeway


def test_a_logout_forgives_as_much_of_a_wrong_clock_as_is_configured() -> None:
    own = life(clock_leeway=5)
    drive(own.logout(access_token(issued_at=NOW + 4)), end_of_one(b"ENDED"))
    with pytest.raises(InvalidToken):
        next(own.logout(access_token(issued_at=NOW + 20)))


def test_of_repeatable_calls_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "_MOST_FIRST_TIMES", 2)
    own = life()
    for number in (1, 2, 3):
        flow = own.flows.end.revoke_all(
            "alice", keep=None, device_type=None, reason="", operation_id=f"{number:016x}"
        )
        drive(flow, [b"OK", NOW * 1000 + number, []])
    remembered = own.flows.end._confirm._first_times
    assert [at for _, at in remembered.values()] == [NOW * 1000 + 2, NOW * 1000 + 3]
