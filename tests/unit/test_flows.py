"""The flows, driven by hand: what they ask the store, and what they make of its answers."""

import json
from collections.abc import Generator, Mapping
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from clusterpass.config import Config
from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    InvalidToken,
    RefreshTokenReused,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
    TokenNotYetValid,
    TokenSignatureInvalid,
)
from clusterpass.model.clock import Clock
from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    InvalidInput,
    RevocationPending,
    SessionNotFound,
    StoreUnavailable,
)
from clusterpass.model.policy import SessionPolicy
from clusterpass.model.values import (
    Ended,
    Session,
    SessionEvent,
    TokenPair,
)
from clusterpass.protocol.calls.housekeeping import NO_OPERATION
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.protocol.records import HAS_DETAILS, LiveRecord, Tombstone, UnreadableRecord
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.sessions.flows import Flows
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.tokens.identifiers import decode_session_id, encode_session_id
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshToken, RefreshTokens, parse_refresh_token
from clusterpass.tokens.verifier import TokenVerifier

steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = 1_800_000_000
ISSUER = "https://auth.example"
SESSION_ID = bytes(range(16))
SECRET = b"x" * 32
KEYSPACE = Keyspace()
TOMBSTONE = Tombstone("revoked", NOW - 5, NOW + 900)


@cache
def ring() -> KeyRing:
    return KeyRing.generate("EdDSA")


def refresh_token(subject: str = "alice", rotation: int = 3, keys: KeyRing | None = None) -> str:
    """The token of that rotation of a session, as this key ring makes it."""
    made = RefreshTokens(keys or ring(), lambda count: SECRET[:count])
    token = made.first(subject, SESSION_ID)
    for _ in range(rotation):
        token = made.successor(token)
    return token.encode()


REFRESH = parse_refresh_token(refresh_token())


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


class Life:
    """The flows by the names of the verbs."""

    def __init__(self, now: float, values: dict[str, Any]) -> None:
        self.told: list[SessionEvent] = []
        self.flows = Flows(
            config(**values),
            KEYSPACE,
            deadline=3,
            tell=self.told.append,
            clock=Clock(wall=lambda: now),
            random_bytes=Counter(),
        )
        values = self.flows.context.config
        self.verifier = TokenVerifier(
            values.keys, issuer=values.issuer, audience=values.audience, clock=lambda: now
        )
        self.tombstone_seconds = self.flows.context.tombstone_seconds
        self.verify = self.flows.verify.verify
        self.refresh = self.flows.refresh.refresh
        self.logout = self.flows.end.logout
        self.sessions = self.flows.subject.sessions

    def login(self, subject: Any, **options: Any) -> Any:
        return self.flows.login.login(subject, cast("Any", options))

    def revoke(self, subject: Any, session_id: Any, reason: str = "") -> Any:
        return self.flows.end.revoke(subject, session_id, reason=reason)

    def revoke_all(self, subject: Any, keep: Any = None) -> Any:
        return self.flows.end.revoke_all(subject, keep=keep, device_type=None, reason="")


def life(now: float = NOW, **values: Any) -> Life:
    return Life(now, values)


administration = life


def live(**values: Any) -> LiveRecord:
    base: dict[str, Any] = {
        "created_milliseconds": NOW * 1000 + 123,
        "absolute_end": NOW + 86_400,
        "refreshed_at": NOW,
        "idle_seconds": 3600,
        "rotation": 0,
        "refresh_digest": REFRESH.digest,
        "device": "",
    }
    return LiveRecord(**{**base, **values})


def drive(flow: Generator[Any, Any, Any], *raw: Any, durable: bool = True) -> tuple[Any, list[Any]]:
    """The result of ``flow``, and its calls, when the store answers ``raw``."""
    asked: list[ScriptCall[Any]] = []
    try:
        call = _past_the_cutoff(flow, next(flow))
        for answer in raw:
            asked.append(call)
            call = _past_the_cutoff(flow, flow.send(Answer(call.read(answer), durable)))
    except StopIteration as end:
        assert len(asked) == len(raw), "fewer calls than answers"
        return end.value, asked
    raise AssertionError(f"asked once more: {call.script.name}")


def _past_the_cutoff(flow: Generator[Any, Any, Any], call: ScriptCall[Any]) -> ScriptCall[Any]:
    """The first call that is none for the cutoff, nor a note of use: those have their own tests."""
    while call.script.name in {"read_not_before", "touch"}:
        call = flow.send(Answer(call.read(0), False))
    return call


def first_call(flow: Generator[Any, Any, Any]) -> ScriptCall[Any]:
    return _past_the_cutoff(flow, next(flow))


def refuse_at_once(kind: type[ClusterPassError], flow: Generator[Any, Any, Any]) -> Any:
    """The error that ``flow`` raises before it asks anything."""
    with pytest.raises(ClusterPassError) as caught:
        next(flow)
    assert type(caught.value) is kind
    return caught.value


def opened(record: LiveRecord, now: int = NOW) -> list[Any]:
    return [b"OK", stored(record, now=now), [], [], []]


def stored(
    record: LiveRecord | Tombstone | None, details: bytes = b"", now: int = NOW
) -> list[Any]:
    value = b"" if record is None else record.pack()
    return [now * 1000 + 999, value, details, b"", b"", b"", 0, b""]


def rotated(status: str, record: LiveRecord | Tombstone | None = None, **more: Any) -> list[Any]:
    return [status.encode(), stored(record, **more), 0]


KEY = KEYSPACE.sessions("alice")
READ = (KEY, KEYSPACE.activity("alice"))
WRITTEN = (*READ, KEYSPACE.online(slot_of(KEY)))


def housekeeping(own: Life, subject: str = "alice") -> bytes:
    """The first argument of each script that writes."""
    return own.flows.context.keeping().pack(subject)


def told_to_end(own: Life, call: ScriptCall[Any]) -> tuple[Any, ...]:
    """The arguments of a script that ends sessions, once its operation id is seen to be one."""
    packed = call.arguments[0]
    assert isinstance(packed, bytes)
    operation = packed[15:23]
    assert operation != NO_OPERATION
    assert packed == own.flows.context.keeping().pack("alice", operation)
    return call.arguments[1:]


def end_of_one(status: bytes) -> list[Any]:
    return [NOW * 1000, status]


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
    pair, (call,) = drive(own.login("alice", device="phone"), opened(live()))
    assert isinstance(pair, TokenPair)
    refresh = parse_refresh_token(pair.refresh_token)
    assert call.script.name == "login"
    assert call.keys == WRITTEN
    assert call.arguments[:10] == (
        housekeeping(own),
        refresh.session_id,
        refresh.digest,
        86_400,
        3600,
        0,
        b"phone",
        b"",
        50,
        0,
    )
    assert (refresh.subject, refresh.rotation) == ("alice", 0)
    assert decode_session_id(pair.session_id) == refresh.session_id
    assert (pair.subject, pair.expires_in, pair.durable) == ("alice", pair.expires_in, True)
    assert 855 <= pair.expires_in <= 900
    assert pair.token_type == "Bearer"
    claims = own.verifier.verify(pair.access_token)
    assert (claims.subject, claims.session_id) == ("alice", pair.session_id)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + pair.expires_in)
    assert (claims.auth_time, claims.acr, claims.amr, claims.act) == (NOW, "1", (), None)
    assert [event.kind for event in own.told] == ["login"]


def test_login_sends_no_secret_to_the_store() -> None:
    pair, (call,) = drive(life().login("alice"), opened(live()))
    secret = parse_refresh_token(pair.refresh_token).secret
    sent = b"|".join(
        str(part).encode() if isinstance(part, int) else part for part in call.arguments
    )
    assert secret not in sent
    assert secret[:16] not in sent
    assert pair.refresh_token not in repr(call)


def test_each_login_has_its_own_id_and_secret() -> None:
    own = life()
    pairs = [drive(own.login("alice"), opened(live()))[0] for _ in range(3)]
    assert len({pair.session_id for pair in pairs}) == 3
    assert len({parse_refresh_token(pair.refresh_token).secret for pair in pairs}) == 3
    assert len({pair.access_token for pair in pairs}) == 3


def test_login_carries_claims_and_a_long_device_beside_the_record() -> None:
    own = life(policy=SessionPolicy.single_session())
    flow = own.login("alice", device="d" * 22, claims={"role": "é"})
    pair, (call,) = drive(flow, opened(live(flags=HAS_DETAILS)), durable=False)
    assert call.arguments[5:7] == (HAS_DETAILS, b"")
    assert json.loads(call.arguments[7]) == {"claims": {"role": "é"}, "device": "d" * 22}
    assert call.arguments[8] == 1
    assert own.verifier.verify(pair.access_token).claims == {"role": "é"}
    assert pair.durable is False


@pytest.mark.parametrize(
    ("device", "is_short"), [("d" * 21, True), ("é" * 10, True), ("é" * 11, False)]
)
def test_device_goes_where_it_fits(device: str, is_short: bool) -> None:
    _, (call,) = drive(life().login("alice", device=device), opened(live()))
    assert call.arguments[6] == (device.encode() if is_short else b"")
    assert (call.arguments[7] == b"") == is_short


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
    refuse_at_once(ConfigurationError, life(keys=public).login("alice"))
    refuse_at_once(ConfigurationError, life(keys=public).refresh(REFRESH.encode()))
    session, _ = drive(life(keys=public).verify(access_token()), stored(live()))
    assert session.subject == "alice"


def test_claims_that_change_while_the_store_is_asked_do_not_reach_the_token() -> None:
    own = life()
    claims: dict[str, Any] = {"roles": ["user"]}
    flow = own.login("alice", device=None, claims=claims)
    call = first_call(flow)
    claims["roles"].append("admin")
    claims["more"] = True
    with pytest.raises(StopIteration) as end:
        flow.send(Answer(call.read(opened(live(flags=HAS_DETAILS))), True))
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
        (own.login("alice"), opened(record)),
        (own.refresh(REFRESH.encode()), rotated("OK", record)),
    ):
        pair, _ = drive(flow, answer)
        claims = own.verifier.verify(pair.access_token)
        assert claims.expires_at <= record.ends_at
        assert min(NOW + access - access // 20, record.ends_at) <= claims.expires_at
        assert claims.expires_at <= NOW + access
        assert pair.expires_in == claims.expires_at - NOW > 0


def test_times_of_a_token_come_from_the_clock_of_the_store() -> None:
    own = life(now=NOW + 200)
    record = live(refreshed_at=NOW + 180, absolute_end=NOW + 9999)
    flow = own.login("alice")
    pair, _ = drive(flow, opened(record, now=NOW + 180))
    claims = own.verifier.verify(pair.access_token)
    assert (claims.issued_at, claims.expires_at) == (NOW + 180, NOW + 180 + pair.expires_in)


# --- Verify --------------------------------------------------------------------------------------


def test_verify_asks_once_and_describes_the_session() -> None:
    record = live(device="phone", refreshed_at=NOW - 60)
    flow = life().verify(access_token(claims={"role": "old"}))
    details = json.dumps({"claims": {"role": "user"}}).encode()
    session, (call,) = drive(flow, stored(record, details))
    assert call.script.name == "verify"
    assert not call.script.writes
    assert call.keys == READ
    assert call.arguments == (SESSION_ID,)
    assert session == Session(
        subject="alice",
        session_id=encode_session_id(SESSION_ID),
        device="phone",
        created_at=NOW,
        refreshed_at=NOW - 60,
        expires_at=NOW - 60 + 3600,
        claims={"role": "user"},
        active_at=NOW - 60,
        auth_time=NOW,
        acr="1",
    )
    with pytest.raises(TypeError):
        session.claims["role"] = "admin"


def test_verify_without_device_and_with_a_long_one() -> None:
    session, _ = drive(life().verify(access_token()), stored(live()))
    assert session.device is None
    assert session.claims == {}
    details = json.dumps({"device": "d" * 100}).encode()
    session, _ = drive(life().verify(access_token()), stored(live(flags=HAS_DETAILS), details))
    assert session.device == "d" * 100


def test_verify_of_an_unknown_session() -> None:
    with pytest.raises(SessionUnknown):
        drive(life().verify(access_token()), stored(None))


@pytest.mark.parametrize("reason", ["logged_out", "replaced", "revoked", "banned", "reused"])
def test_verify_of_an_ended_session(reason: Any) -> None:
    grave = Tombstone(reason, NOW - 7, NOW + 900, "because")
    with pytest.raises(SessionRevoked) as caught:
        drive(life().verify(access_token()), stored(grave))
    assert (caught.value.reason, caught.value.ended_at) == (reason, NOW - 7)
    assert caught.value.note == "because"


@pytest.mark.parametrize(
    ("reason", "told"), [("expired", "session_expired"), ("idle", "session_idle")]
)
def test_verify_of_a_session_that_ended_by_itself(reason: Any, told: str) -> None:
    with pytest.raises(SessionExpired) as caught:
        drive(life().verify(access_token()), stored(Tombstone(reason, NOW - 7, NOW + 900)))
    assert (caught.value.reason, caught.value.ended_at) == (told, NOW - 7)


def test_verify_of_a_session_that_was_opened_before_the_cutoff() -> None:
    flow = life().verify(access_token())
    call = next(flow)
    assert call.script.name == "read_not_before"
    call = flow.send(Answer(call.read((NOW + 1) * 1000), False))
    with pytest.raises(SessionRevoked) as caught:
        flow.send(Answer(call.read(stored(live())), False))
    assert caught.value.reason == "revoked"


def test_cutoff_that_no_copy_tells_is_no_permission() -> None:
    flow = life().verify(access_token())
    asked = {next(flow).keys}
    for _ in range(2):
        asked.add(flow.throw(StoreUnavailable()).keys)
    assert len(asked) == 3
    with pytest.raises(StoreUnavailable):
        flow.throw(StoreUnavailable())


def test_use_is_noted_when_the_last_note_is_old() -> None:
    for idle, since, is_noted in (
        (3600, 179, False),
        (3600, 180, True),
        (0, 299, False),
        (0, 300, True),
    ):
        flow = life().verify(access_token())
        call = flow.send(Answer(next(flow).read(0), False))
        record = live(refreshed_at=NOW - since, idle_seconds=idle)
        try:
            call = flow.send(Answer(call.read(stored(record)), False))
        except StopIteration:
            assert not is_noted
        else:
            assert is_noted
            assert (call.script.name, call.confirm, call.keys) == ("touch", False, READ)
            with pytest.raises(StopIteration) as end:
                flow.throw(StoreUnavailable())
            assert end.value.value.subject == "alice"


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


@pytest.mark.parametrize("value", [b"\x03" + bytes(45), b"\x01", b"\xff", b"garbage"])
def test_record_of_another_release_is_no_fault_of_the_token(value: bytes) -> None:
    with pytest.raises(UnreadableRecord) as caught:
        drive(life().verify(access_token()), [NOW * 1000, value, b"", b"", b"", b"", 0, b""])
    assert caught.value.status == 500


@pytest.mark.parametrize(
    "details",
    [b"{", b"[]", b"5", b"null", b'"x"', b"\xff", b'{"claims":5}', b'{"device":5}', b"[" * 100_000],
)
def test_details_that_cannot_be_read(details: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        drive(life().verify(access_token()), stored(live(flags=HAS_DETAILS), details))


# --- Refresh -------------------------------------------------------------------------------------


def test_refresh_asks_once_and_hands_out_the_successor() -> None:
    own = life()
    details = json.dumps({"claims": {"role": "user"}}).encode()
    flow = own.refresh(REFRESH.encode())
    pair, (call,) = drive(flow, rotated("OK", live(rotation=4, flags=HAS_DETAILS), details=details))
    successor = parse_refresh_token(pair.refresh_token)
    assert call.script.name == "rotate"
    assert call.keys == WRITTEN
    assert call.arguments[:6] == (
        housekeeping(own),
        SESSION_ID,
        REFRESH.digest,
        3,
        successor.digest,
        30,
    )
    assert call.arguments[6][:16] == successor.digest
    assert len(call.arguments[6]) == 4 * 16
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
        ("ENDED", Tombstone("expired", 1, 2), "expired"),
        ("ENDED", Tombstone("idle", 1, 2), "idle"),
        ("REUSED", Tombstone("reused", 1, 2, "stale"), "stale"),
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


def test_refresh_refuses_what_was_not_made_here_before_it_asks() -> None:
    text = refresh_token(keys=KeyRing.generate("EdDSA"))
    assert refuse_at_once(InvalidRefreshToken, life().refresh(text)).reason == "mismatch"


def test_last_rotation_number_ends_in_a_refusal_not_in_a_crash() -> None:
    last = RefreshToken("alice", SESSION_ID, 2**32 - 1, SECRET, bytes(16))
    refuse_at_once(InvalidRefreshToken, life().refresh(last.encode()))


def test_reuse_is_told_to_listeners() -> None:
    own = life()
    with pytest.raises(RefreshTokenReused):
        drive(own.refresh(REFRESH.encode()), rotated("REUSED", Tombstone("reused", 1, 2, "recent")))
    assert [(event.kind, event.reason) for event in own.told] == [("reused", "recent")]


def test_without_a_grace_each_successor_is_another() -> None:
    own = life(refresh_grace=0)
    calls = [first_call(own.refresh(REFRESH.encode())) for _ in range(2)]
    assert {call.arguments[5:7] for call in calls} == {(0, b"")}
    assert len({call.arguments[4] for call in calls}) == 2


def test_grace_is_longer_than_a_call_may_take() -> None:
    with pytest.raises(ConfigurationError, match="deadline"):
        Flows(config(refresh_grace=5), KEYSPACE, deadline=5, tell=print)


# --- Logout --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "count"), [(b"ENDED", 1), (b"ALREADY", 0), (b"UNKNOWN", 0)])
@pytest.mark.parametrize("durable", [True, False])
def test_logout_by_access_token(reply: bytes, count: int, durable: bool) -> None:
    own = life()
    ended, (call,) = drive(own.logout(access_token()), end_of_one(reply), durable=durable)
    assert ended == Ended(count, durable)
    assert call.script.name == "end_session"
    assert told_to_end(own, call) == (SESSION_ID, 1, b"", b"")
    assert [event.kind for event in own.told] == ["logged_out"] * count


def test_logout_by_an_expired_access_token() -> None:
    old = access_token(issued_at=NOW - 10**6, expires_at=NOW - 10**5)
    ended, _ = drive(life().logout(old), end_of_one(b"ENDED"))
    assert ended.count == 1


def test_logout_by_refresh_token() -> None:
    ended, (call,) = drive(life().logout(REFRESH.encode()), end_of_one(b"ENDED"))
    assert ended == Ended(1, True)
    assert (call.script.name, call.keys) == ("end_session", WRITTEN)


def test_logout_by_a_refresh_token_that_was_not_made_here() -> None:
    text = refresh_token(keys=KeyRing.generate("EdDSA"))
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
    found, (call,) = drive(flow, [NOW * 1000, shape({**records, **details}), shape({})])
    assert not call.script.writes
    assert [decode_session_id(session.session_id) for session in found] == [
        bytes([number]) * 16 for number in (3, 2, 1, 0)
    ]
    assert {session.subject for session in found} == {"alice"}
    assert (found[1].device, found[1].claims) == ("d" * 50, {"a": 1})
    assert (found[0].device, found[0].claims) == (None, {})


def test_sessions_of_nobody() -> None:
    assert drive(administration().sessions("alice"), [NOW * 1000, [], []])[0] == []


def test_sessions_made_at_the_same_moment_have_one_order() -> None:
    same = live(created_milliseconds=5).pack()
    names = [bytes([number]) * 16 for number in (3, 1, 2)]
    orders = set()
    for turn in range(3):
        records = flat(dict.fromkeys(names[turn:] + names[:turn], same))
        found, _ = drive(administration().sessions("alice"), [NOW * 1000, records, []])
        orders.add(tuple(session.session_id for session in found))
    assert len(orders) == 1


@pytest.mark.parametrize(("reply", "count"), [(b"ENDED", 1), (b"ALREADY", 0)])
def test_revoke(reply: bytes, count: int) -> None:
    own = life()
    flow = own.revoke("alice", encode_session_id(SESSION_ID), reason="too old")
    ended, (call,) = drive(flow, end_of_one(reply))
    assert ended == Ended(count, True)
    assert call.script.name == "end_session"
    assert call.keys[0] == KEYSPACE.sessions("alice")
    assert told_to_end(own, call) == (SESSION_ID, 3, b"", b"too old")


def test_revoke_of_an_unknown_session() -> None:
    with pytest.raises(SessionNotFound):
        drive(
            administration().revoke("alice", encode_session_id(SESSION_ID)), end_of_one(b"UNKNOWN")
        )


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
    own = life()
    ended, (call,) = drive(
        own.revoke_all("alice", keep=None), [NOW * 1000, [SESSION_ID] * 7], durable=False
    )
    assert ended == Ended(7, False)
    assert call.script.name == "end_all"
    assert told_to_end(own, call) == (b"", 3, b"", b"", b"*", b"")
    assert [len(event.session_ids) for event in own.told] == [7]


def test_revoke_all_but_one() -> None:
    flow = administration().revoke_all("alice", keep=encode_session_id(SESSION_ID))
    _, (call,) = drive(flow, [NOW * 1000, []])
    assert call.arguments[1] == SESSION_ID


def test_keys_of_a_call_belong_to_the_subject_of_the_token_alone() -> None:
    """A refresh token that names another subject asks under that subject's keys."""
    for subject in ("bob", "{alice}", "alice}:user"):
        call = first_call(life().refresh(refresh_token(subject)))
        assert call.keys[0] == KEYSPACE.sessions(subject)
        assert len({slot_of(key) for key in call.keys}) == 1
        assert KEYSPACE.sessions("alice") not in call.keys


def test_text_of_a_session_id_is_what_tokens_carry() -> None:
    assert encode_session_id(SESSION_ID) == encode_base64url(SESSION_ID)


def test_the_configured_leeways_reach_the_verifier() -> None:
    own = life(expiry_leeway=5, clock_leeway=0)
    assert first_call(own.verify(access_token(expires_at=NOW - 4))).script.name == "verify"
    refuse_at_once(TokenExpired, own.verify(access_token(expires_at=NOW - 5)))
    assert first_call(own.verify(access_token(issued_at=NOW))).script.name == "verify"
    refuse_at_once(TokenNotYetValid, own.verify(access_token(issued_at=NOW + 1)))


def test_a_use_that_was_noted_is_not_noted_again_before_it_is_due() -> None:
    own = life(now=NOW + 1000, verification="cached")
    token = access_token(issued_at=NOW + 900, expires_at=NOW + 1800)
    noted = []
    for _ in range(2):
        flow = own.verify(token)
        call = next(flow)
        with pytest.raises(StopIteration) as end:
            while True:
                noted.append(call.script.name)
                if call.script.name == "verify":
                    answer = call.read(stored(live(), now=NOW + 1000))
                    if "touch" in noted:  # what the store answers from then on
                        answer[6] = NOW + 1000
                else:
                    answer = call.read(1 if call.script.name == "touch" else 0)
                call = flow.send(Answer(answer, False, "node"))
    assert end.value.value.active_at == NOW + 1000
    assert noted.count("touch") == 1
    entry = own.flows.memory.near.entry(token)
    assert entry is not None
    assert entry.loaded is not None
    assert entry.loaded.note_at == NOW + 1000 + 3600 // 20


# --- Pending sweeps ------------------------------------------------------------------------------

BEFORE = live(created_milliseconds=NOW * 1000 + 123)
LATER = live(created_milliseconds=NOW * 1000 + 999)
"""In the very moment of the store's answer."""


def listing(record: LiveRecord) -> list[Any]:
    return [NOW * 1000 + 999, [SESSION_ID, record.pack()], []]


def pending(flow: Generator[Any, Any, Any]) -> None:
    first_call(flow)
    with pytest.raises(RevocationPending):
        flow.throw(StoreUnavailable())


def test_who_waits_for_a_revocation_of_all_refuses_nobody_who_came_later() -> None:
    """Also while the store has not told when it carried it out."""
    own = life()
    pending(own.revoke_all("alice"))
    session, _ = drive(own.verify(access_token()), stored(LATER))
    assert session.subject == "alice"
    with pytest.raises(SessionRevoked):
        drive(own.verify(access_token()), stored(BEFORE))
    listed, _ = drive(own.sessions("alice"), listing(LATER))
    assert len(listed) == 1
    listed, _ = drive(own.sessions("alice"), listing(BEFORE))
    assert listed == []


def test_who_waits_for_a_ban_refuses_everybody() -> None:
    own = life()
    pending(own.flows.subject.ban("alice", reason="", for_seconds=None, scope="", level=1))
    for record in (BEFORE, LATER):
        with pytest.raises(SessionRevoked):
            drive(own.verify(access_token()), stored(record))
