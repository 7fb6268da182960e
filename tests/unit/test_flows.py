"""The flows, driven by hand: what they ask the store, and what they make of its answers."""

import json
from collections.abc import Generator, Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusterpass.config import Config, SessionPolicy
from clusterpass.errors import (
    ClusterPassError,
    ConfigurationError,
    InvalidInput,
    InvalidRefreshToken,
    InvalidToken,
    SessionExpired,
    SessionNotFound,
    SessionRevoked,
    SessionUnknown,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
    TokenSignatureInvalid,
)
from clusterpass.models import Ended, Session, TokenPair
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, Tombstone, UnreadableRecord
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.sessions.administration import Administration
from clusterpass.sessions.lifecycle import Lifecycle
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.identifiers import decode_session_id, encode_session_id
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshToken, parse_refresh_token

steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = 1_800_000_000
ISSUER = "https://auth.example"
SESSION_ID = bytes(range(16))
SECRET = b"x" * 32
KEYSPACE = Keyspace()
REFRESH = RefreshToken("alice", SESSION_ID, 3, SECRET)
TOMBSTONE = Tombstone("revoked", NOW - 5, NOW + 900)


@cache
def ring() -> KeyRing:
    return KeyRing.generate("EdDSA")


def config(**values: Any) -> Config:
    base = {"issuer": ISSUER, "keys": ring(), "access_lifetime": 900, "idle_lifetime": 3600}
    return Config(**{**base, "absolute_lifetime": 86_400, **values})


class Counter:
    """Bytes that are never the same twice."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return bytes([self.calls]) * count


def life(now: float = NOW, **values: Any) -> Lifecycle:
    return Lifecycle(config(**values), KEYSPACE, clock=lambda: now, random_bytes=Counter())


def administration() -> Administration:
    return Administration(KEYSPACE, tombstone_seconds=960)


def live(**values: Any) -> LiveRecord:
    base: dict[str, Any] = {
        "created_milliseconds": NOW * 1000 + 123,
        "absolute_end": NOW + 86_400,
        "refreshed_at": NOW,
        "idle_seconds": 3600,
        "rotation": 0,
        "refresh_digest": REFRESH.digest,
        "device": "",
        "has_details": False,
    }
    return LiveRecord(**{**base, **values})


def drive(flow: Generator[Any, Any, Any], *raw: Any, durable: bool = True) -> tuple[Any, list[Any]]:
    """The result of ``flow``, and its calls, when the store answers ``raw``."""
    asked: list[ScriptCall[Any]] = []
    try:
        call = next(flow)
        for answer in raw:
            asked.append(call)
            call = flow.send(Answer(call.read(answer), durable))
    except StopIteration as end:
        assert len(asked) == len(raw), "fewer calls than answers"
        return end.value, asked
    raise AssertionError(f"asked once more: {call.script.name}")


def refuse_at_once(kind: type[ClusterPassError], flow: Generator[Any, Any, Any]) -> Any:
    """The error that ``flow`` raises before it asks anything."""
    with pytest.raises(ClusterPassError) as caught:
        next(flow)
    assert type(caught.value) is kind
    return caught.value


def opened(record: LiveRecord, replaced: int = 0, now: int = NOW) -> list[Any]:
    return [b"OK", now * 1000 + 999, record.pack(), replaced]


def stored(
    record: LiveRecord | Tombstone | None, details: bytes = b"", now: int = NOW
) -> list[Any]:
    return [now * 1000 + 999, b"" if record is None else record.pack(), details]


def rotated(status: str, record: LiveRecord | Tombstone | None = None, **more: Any) -> list[Any]:
    return [status.encode(), *stored(record, **more)]


def access_token(
    subject: str = "alice",
    session_id: str | None = None,
    *,
    issued_at: int = NOW,
    expires_at: int = NOW + 900,
    claims: Mapping[str, Any] | None = None,
    keys: KeyRing | None = None,
) -> str:
    maker = TokenIssuer(
        (keys or ring()).signing_key, issuer=ISSUER, audience=ISSUER, random_bytes=Counter()
    )
    return maker.issue(
        subject,
        encode_session_id(SESSION_ID) if session_id is None else session_id,
        issued_at=issued_at,
        expires_at=expires_at,
        claims=claims or {},
    )


# --- Login ---------------------------------------------------------------------------------------


def test_login_asks_once_and_hands_out_a_pair() -> None:
    own = life()
    pair, (call,) = drive(own.login("alice", device="phone", claims=None), opened(live()))
    assert isinstance(pair, TokenPair)
    refresh = parse_refresh_token(pair.refresh_token)
    assert call.script.name == "login"
    assert call.keys == (KEYSPACE.sessions("alice"),)
    assert call.arguments == (
        refresh.session_id,
        refresh.digest,
        86_400,
        3600,
        b"phone",
        b"",
        50,
        own.tombstone_seconds,
    )
    assert (refresh.subject, refresh.rotation) == ("alice", 0)
    assert decode_session_id(pair.session_id) == refresh.session_id
    assert (pair.subject, pair.expires_in, pair.durable) == ("alice", 900, True)
    assert pair.token_type == "Bearer"
    claims = own.verifier.verify(pair.access_token)
    assert (claims.subject, claims.session_id) == ("alice", pair.session_id)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + 900)


def test_login_sends_no_secret_to_the_store() -> None:
    pair, (call,) = drive(life().login("alice", device=None, claims=None), opened(live()))
    secret = parse_refresh_token(pair.refresh_token).secret
    sent = b"|".join(
        str(part).encode() if isinstance(part, int) else part for part in call.arguments
    )
    assert secret not in sent
    assert secret[:16] not in sent
    assert pair.refresh_token not in repr(call)


def test_each_login_has_its_own_id_and_secret() -> None:
    own = life()
    pairs = [
        drive(own.login("alice", device=None, claims=None), opened(live()))[0] for _ in range(3)
    ]
    assert len({pair.session_id for pair in pairs}) == 3
    assert len({parse_refresh_token(pair.refresh_token).secret for pair in pairs}) == 3
    assert len({pair.access_token for pair in pairs}) == 3


def test_login_carries_claims_and_a_long_device_beside_the_record() -> None:
    own = life(policy=SessionPolicy.single_session())
    flow = own.login("alice", device="d" * 25, claims={"role": "é"})
    pair, (call,) = drive(flow, opened(live(has_details=True)), durable=False)
    assert call.arguments[4] == b""
    assert json.loads(call.arguments[5]) == {"claims": {"role": "é"}, "device": "d" * 25}
    assert call.arguments[6] == 1
    assert own.verifier.verify(pair.access_token).claims == {"role": "é"}
    assert pair.durable is False


@pytest.mark.parametrize(
    ("device", "is_short"), [("d" * 24, True), ("é" * 12, True), ("é" * 13, False)]
)
def test_device_goes_where_it_fits(device: str, is_short: bool) -> None:
    _, (call,) = drive(life().login("alice", device=device, claims=None), opened(live()))
    assert call.arguments[4] == (device.encode() if is_short else b"")
    assert (call.arguments[5] == b"") == is_short


@pytest.mark.parametrize(
    ("subject", "device", "claims"),
    [
        ("", None, None),
        (None, None, None),
        (5, None, None),
        ("a\n", None, None),
        ("\ud800", None, None),
        ("a" * 256, None, None),
        ("alice", "", None),
        ("alice", "d" * 129, None),
        ("alice", 5, None),
        ("alice", "\0", None),
        ("alice", None, {"sub": "admin"}),
        ("alice", None, {"exp": 9_999_999_999}),
        ("alice", None, {5: 1}),
        ("alice", None, ["role"]),
        ("alice", None, {"a": object()}),
        ("alice", None, {"a": float("nan")}),
        ("alice", None, {"a": "x" * 5000}),
        ("alice", None, {"a": "\ud800"}),
        ("alice", None, {"a": 10**30}),
        ("alice", None, []),
        ("alice", None, ""),
        ("alice", None, 0),
        ("alice", None, False),
    ],
)
def test_login_refuses_bad_input_before_it_asks(subject: Any, device: Any, claims: Any) -> None:
    refuse_at_once(InvalidInput, life().login(subject, device=device, claims=claims))


def test_login_and_refresh_need_a_private_key_before_they_ask() -> None:
    public = KeyRing.from_jwks(ring().public_jwks())
    refuse_at_once(ConfigurationError, life(keys=public).login("alice", device=None, claims=None))
    refuse_at_once(ConfigurationError, life(keys=public).refresh(REFRESH.encode()))
    session, _ = drive(life(keys=public).verify(access_token()), stored(live()))
    assert session.subject == "alice"


def test_claims_that_change_while_the_store_is_asked_do_not_reach_the_token() -> None:
    own = life()
    claims: dict[str, Any] = {"roles": ["user"]}
    flow = own.login("alice", device=None, claims=claims)
    call = next(flow)
    claims["roles"].append("admin")
    claims["more"] = True
    with pytest.raises(StopIteration) as end:
        flow.send(Answer(call.read(opened(live(has_details=True))), True))
    assert own.verifier.verify(end.value.value.access_token).claims == {"roles": ["user"]}


@settings(steady, max_examples=60)
@given(
    access=st.integers(10, 86_400),
    absolute=st.integers(1, 200_000),
    idle=st.none() | st.integers(1, 200_000),
    since_refresh=st.integers(0, 5),
)
def test_access_token_never_outlives_the_session(
    access: int, absolute: int, idle: int | None, since_refresh: int
) -> None:
    own = life(access_lifetime=access, idle_lifetime=0)
    record = live(
        absolute_end=NOW + absolute,
        idle_seconds=0 if idle is None else idle + since_refresh,
        refreshed_at=NOW - since_refresh,
    )
    for flow, answer in (
        (own.login("alice", device=None, claims=None), opened(record)),
        (own.refresh(REFRESH.encode()), rotated("OK", record)),
    ):
        pair, _ = drive(flow, answer)
        claims = own.verifier.verify(pair.access_token)
        assert claims.expires_at <= record.ends_at
        assert claims.expires_at == min(NOW + access, record.ends_at)
        assert pair.expires_in == claims.expires_at - NOW > 0


def test_times_of_a_token_come_from_the_clock_of_the_store() -> None:
    own = life(now=NOW + 200)
    record = live(refreshed_at=NOW + 180, absolute_end=NOW + 9999)
    flow = own.login("alice", device=None, claims=None)
    pair, _ = drive(flow, opened(record, now=NOW + 180))
    claims = own.verifier.verify(pair.access_token)
    assert (claims.issued_at, claims.expires_at) == (NOW + 180, NOW + 1080)


# --- Verify --------------------------------------------------------------------------------------


def test_verify_asks_once_and_describes_the_session() -> None:
    record = live(device="phone", refreshed_at=NOW - 60)
    flow = life().verify(access_token(claims={"role": "user"}))
    session, (call,) = drive(flow, stored(record))
    assert call.script.name == "verify"
    assert not call.script.writes
    assert call.keys == (KEYSPACE.sessions("alice"),)
    assert call.arguments == (SESSION_ID,)
    assert session == Session(
        subject="alice",
        session_id=encode_session_id(SESSION_ID),
        device="phone",
        created_at=NOW,
        refreshed_at=NOW - 60,
        expires_at=NOW - 60 + 3600,
        claims={"role": "user"},
    )
    with pytest.raises(TypeError):
        session.claims["role"] = "admin"


def test_verify_without_device_and_with_a_long_one() -> None:
    session, _ = drive(life().verify(access_token()), stored(live()))
    assert session.device is None
    assert session.claims == {}
    details = json.dumps({"device": "d" * 100}).encode()
    session, _ = drive(life().verify(access_token()), stored(live(has_details=True), details))
    assert session.device == "d" * 100


def test_verify_of_an_unknown_session() -> None:
    with pytest.raises(SessionUnknown):
        drive(life().verify(access_token()), stored(None))


@pytest.mark.parametrize("reason", ["logged_out", "replaced", "revoked"])
def test_verify_of_an_ended_session(reason: Any) -> None:
    grave = Tombstone(reason, NOW - 7, NOW + 900)
    with pytest.raises(SessionRevoked) as caught:
        drive(life().verify(access_token()), stored(grave))
    assert (caught.value.reason, caught.value.ended_at) == (reason, NOW - 7)


@pytest.mark.parametrize(
    ("record", "is_over"),
    [
        (live(absolute_end=NOW + 1), False),
        (live(absolute_end=NOW), True),
        (live(absolute_end=NOW - 1), True),
        (live(refreshed_at=NOW - 3599), False),
        (live(refreshed_at=NOW - 3600), True),
        (live(refreshed_at=NOW - 10**6, idle_seconds=0), False),
        (live(refreshed_at=NOW, absolute_end=0), True),
    ],
)
def test_verify_of_a_session_at_its_end(record: LiveRecord, is_over: bool) -> None:
    if is_over:
        with pytest.raises(SessionExpired):
            drive(life().verify(access_token()), stored(record))
    else:
        drive(life().verify(access_token()), stored(record))


@pytest.mark.parametrize(("ahead", "is_over"), [(899, False), (900, True), (901, True)])
def test_verify_asks_the_clock_of_the_store_too(ahead: int, is_over: bool) -> None:
    flow = life().verify(access_token())
    if is_over:
        with pytest.raises(TokenExpired):
            drive(flow, stored(live(), now=NOW + ahead))
    else:
        drive(flow, stored(live(), now=NOW + ahead))


def test_verify_refuses_before_it_asks() -> None:
    foreign = KeyRing.generate("EdDSA", kid=ring().signing_key.kid)
    own = life()
    refuse_at_once(TokenMissing, own.verify(""))
    refuse_at_once(TokenMalformed, own.verify("x"))
    refuse_at_once(TokenMalformed, own.verify(None))  # type: ignore[arg-type]
    refuse_at_once(TokenExpired, own.verify(access_token(expires_at=NOW)))
    refuse_at_once(TokenSignatureInvalid, own.verify(access_token(keys=foreign)))
    for session_id in ("x", "A" * 21 + "B", "A" * 23):
        refuse_at_once(SessionUnknown, own.verify(access_token(session_id=session_id)))


def test_token_whose_subject_cannot_be_a_key_is_refused_as_a_token() -> None:
    for subject in ("\ud800", "a\udfff"):
        with pytest.raises(InvalidToken):
            next(life().verify(access_token(subject=subject)))
        with pytest.raises(InvalidToken):
            next(life().logout(access_token(subject=subject)))


@pytest.mark.parametrize("value", [b"\x02" + bytes(39), b"\x01", b"\xff", b"garbage"])
def test_record_of_another_release_is_no_fault_of_the_token(value: bytes) -> None:
    with pytest.raises(UnreadableRecord) as caught:
        drive(life().verify(access_token()), [NOW * 1000, value, b""])
    assert caught.value.status == 500


@pytest.mark.parametrize(
    "details",
    [b"{", b"[]", b"5", b"null", b'"x"', b"\xff", b'{"claims":5}', b'{"device":5}', b"[" * 100_000],
)
def test_details_that_cannot_be_read(details: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        drive(life().verify(access_token()), stored(live(has_details=True), details))


# --- Refresh -------------------------------------------------------------------------------------


def test_refresh_asks_once_and_hands_out_the_successor() -> None:
    own = life()
    details = json.dumps({"claims": {"role": "user"}}).encode()
    flow = own.refresh(REFRESH.encode())
    pair, (call,) = drive(flow, rotated("OK", live(rotation=4, has_details=True), details=details))
    successor = parse_refresh_token(pair.refresh_token)
    assert call.script.name == "rotate"
    assert call.keys == (KEYSPACE.sessions("alice"),)
    assert call.arguments == (SESSION_ID, REFRESH.digest, 3, successor.digest)
    assert (successor.subject, successor.session_id) == ("alice", SESSION_ID)
    assert successor.rotation == 4
    assert successor.secret != REFRESH.secret
    claims = own.verifier.verify(pair.access_token)
    assert claims.claims == {"role": "user"}
    assert claims.session_id == pair.session_id == encode_session_id(SESSION_ID)


@pytest.mark.parametrize(
    ("status", "record", "reason"),
    [
        ("UNKNOWN", None, "unknown_session"),
        ("EXPIRED", None, "expired"),
        ("USED", None, "used"),
        ("MISMATCH", None, "mismatch"),
        ("ENDED", TOMBSTONE, "revoked"),
        ("ENDED", Tombstone("replaced", 1, 2), "replaced"),
        ("ENDED", Tombstone("logged_out", 1, 2), "logged_out"),
    ],
)
def test_refresh_that_the_store_refuses(status: str, record: Any, reason: str) -> None:
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(life().refresh(REFRESH.encode()), rotated(status, record))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "token",
    ["", "x", "cpr_", "cpr_AAAA", None, 5, REFRESH.encode() + "=", REFRESH.encode()[:-1] + "!"],
)
def test_refresh_refuses_what_is_no_refresh_token_before_it_asks(token: Any) -> None:
    assert refuse_at_once(InvalidRefreshToken, life().refresh(token)).reason == "malformed"


def test_refresh_refuses_an_access_token_before_it_asks() -> None:
    error = refuse_at_once(InvalidRefreshToken, life().refresh(access_token()))
    assert error.reason == "malformed"


def test_last_rotation_number_ends_in_a_refusal_not_in_a_crash() -> None:
    last = RefreshToken("alice", SESSION_ID, 2**32 - 1, SECRET)
    with pytest.raises(InvalidRefreshToken):
        drive(life().refresh(last.encode()), rotated("MISMATCH"))


# --- Logout --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "count"), [(b"ENDED", 1), (b"ALREADY", 0), (b"UNKNOWN", 0)])
@pytest.mark.parametrize("durable", [True, False])
def test_logout_by_access_token(reply: bytes, count: int, durable: bool) -> None:
    own = life()
    ended, (call,) = drive(own.logout(access_token()), reply, durable=durable)
    assert ended == Ended(count, durable)
    assert call.script.name == "end_session"
    assert call.arguments == (SESSION_ID, 1, own.tombstone_seconds)


def test_logout_by_an_expired_access_token() -> None:
    old = access_token(issued_at=NOW - 10**6, expires_at=NOW - 10**5)
    ended, _ = drive(life().logout(old), b"ENDED")
    assert ended.count == 1


def test_logout_by_refresh_token_proves_the_secret_first() -> None:
    ended, (read, end) = drive(life().logout(REFRESH.encode()), stored(live()), b"ENDED")
    assert ended == Ended(1, True)
    assert (read.script.name, end.script.name) == ("verify", "end_session")
    assert read.keys == end.keys == (KEYSPACE.sessions("alice"),)


def test_logout_by_refresh_token_with_a_wrong_secret_ends_nothing() -> None:
    forged = RefreshToken("alice", SESSION_ID, 3, b"y" * 32)
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(life().logout(forged.encode()), stored(live()))
    assert caught.value.reason == "mismatch"


@pytest.mark.parametrize("record", [None, TOMBSTONE])
def test_logout_by_refresh_token_of_a_dead_session(record: Any) -> None:
    ended, _ = drive(life().logout(REFRESH.encode()), stored(record), b"ALREADY")
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


# --- Administration ------------------------------------------------------------------------------


def entries(count: int) -> dict[bytes, LiveRecord]:
    return {
        bytes([number]) * 16: live(created_milliseconds=NOW * 1000 + number)
        for number in range(count)
    }


def flat(pairs: Mapping[bytes, bytes]) -> list[bytes]:
    return [part for pair in pairs.items() for part in pair]


@pytest.mark.parametrize("shape", [flat, dict])
def test_sessions_lists_the_living_newest_first(shape: Any) -> None:
    records: dict[bytes, bytes] = {name: record.pack() for name, record in entries(4).items()}
    records[b"t" * 16] = TOMBSTONE.pack()
    records[b"e" * 16] = live(absolute_end=NOW).pack()
    details = {b"\x02" * 16 + b"d": json.dumps({"claims": {"a": 1}, "device": "d" * 50}).encode()}
    flow = administration().sessions("alice")
    found, (call,) = drive(flow, [NOW * 1000, shape({**records, **details})])
    assert not call.script.writes
    assert [decode_session_id(session.session_id) for session in found] == [
        bytes([number]) * 16 for number in (3, 2, 1, 0)
    ]
    assert {session.subject for session in found} == {"alice"}
    assert (found[1].device, found[1].claims) == ("d" * 50, {"a": 1})
    assert (found[0].device, found[0].claims) == (None, {})


def test_sessions_of_nobody() -> None:
    assert drive(administration().sessions("alice"), [NOW * 1000, []])[0] == []


def test_sessions_made_at_the_same_moment_have_one_order() -> None:
    same = live(created_milliseconds=5).pack()
    names = [bytes([number]) * 16 for number in (3, 1, 2)]
    orders = set()
    for turn in range(3):
        records = flat(dict.fromkeys(names[turn:] + names[:turn], same))
        found, _ = drive(administration().sessions("alice"), [NOW * 1000, records])
        orders.add(tuple(session.session_id for session in found))
    assert len(orders) == 1


@pytest.mark.parametrize(("reply", "count"), [(b"ENDED", 1), (b"ALREADY", 0)])
def test_revoke(reply: bytes, count: int) -> None:
    flow = administration().revoke("alice", encode_session_id(SESSION_ID))
    ended, (call,) = drive(flow, reply)
    assert ended == Ended(count, True)
    assert call.script.name == "end_session"
    assert call.keys[0] == KEYSPACE.sessions("alice")
    assert call.arguments == (SESSION_ID, 3, 960)


def test_revoke_of_an_unknown_session() -> None:
    with pytest.raises(SessionNotFound):
        drive(administration().revoke("alice", encode_session_id(SESSION_ID)), b"UNKNOWN")


@pytest.mark.parametrize("session_id", ["", "x", "A" * 21 + "B", "A" * 23, None, 5, SESSION_ID])
def test_revoke_refuses_what_is_no_session_id_before_it_asks(session_id: Any) -> None:
    refuse_at_once(SessionNotFound, administration().revoke("alice", session_id))
    if session_id is not None:
        refuse_at_once(SessionNotFound, administration().revoke_all("alice", keep=session_id))


@pytest.mark.parametrize("subject", ["", None, 5, "a\n", "\ud800", "a" * 256])
def test_administration_refuses_a_bad_subject_before_it_asks(subject: Any) -> None:
    own = administration()
    refuse_at_once(InvalidInput, own.sessions(subject))
    refuse_at_once(InvalidInput, own.revoke(subject, encode_session_id(SESSION_ID)))
    refuse_at_once(InvalidInput, own.revoke_all(subject, keep=None))


def test_revoke_all() -> None:
    ended, (call,) = drive(administration().revoke_all("alice", keep=None), 7, durable=False)
    assert ended == Ended(7, False)
    assert call.script.name == "end_all"
    assert call.arguments == (b"", 3, 960)


def test_revoke_all_but_one() -> None:
    flow = administration().revoke_all("alice", keep=encode_session_id(SESSION_ID))
    _, (call,) = drive(flow, 2)
    assert call.arguments == (SESSION_ID, 3, 960)


def test_keys_of_a_call_belong_to_the_subject_of_the_token_alone() -> None:
    """A refresh token that names another subject asks under that subject's keys."""
    for subject in ("bob", "{alice}", "alice}:user"):
        forged = RefreshToken(subject, SESSION_ID, 3, SECRET).encode()
        call = next(life().refresh(forged))
        assert call.keys == (KEYSPACE.sessions(subject),)
        assert KEYSPACE.sessions("alice") not in call.keys


def test_text_of_a_session_id_is_what_tokens_carry() -> None:
    assert encode_session_id(SESSION_ID) == encode_base64url(SESSION_ID)
