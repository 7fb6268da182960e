"""The flow that exchanges another issuer's token: calls of the store, refusals and results."""

import hashlib
from typing import Any

import pytest

from clusterpass import (
    InvalidInput,
    InvalidRefreshToken,
    Session,
    SessionExpired,
    SessionRevoked,
    StepUpRequired,
    StoreUnavailable,
    SubjectBanned,
    TokenExpired,
)
from clusterpass.limits import CLOCK_TOLERANCE
from clusterpass.model.old_tokens import OldToken
from clusterpass.protocol.calls.fingerprints import NO_FINGERPRINT
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import Tombstone
from clusterpass.protocol.script import Answer
from clusterpass.sessions.memory.denial import Denial, Sweep
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import parse_refresh_token

from .driven_flows import (
    KEY,
    NOW,
    Life,
    drive,
    first_call,
    life,
    live,
    opened,
    refresh_tokens,
    stored,
)

ISSUED = NOW - 100
EXPIRES = NOW + 5000
OLD = OldToken(
    text="a.b.c",
    subject="7",
    kind="refresh",
    issued_at=ISSUED,
    expires_at=EXPIRES,
    claims={"plan": "free"},
)
NAMES = hashlib.sha256(b"exchange\0" + OLD.digest() + b"alice").digest()
OWN_ID, OPERATION = NAMES[:16], NAMES[16:24]
FIRST = refresh_tokens().first_of("alice", OWN_ID, OLD.digest())[0]
BANNED = b'{"":{"l":2,"u":0,"r":"spam","a":5},"chat":{"l":1,"u":0,"r":"","a":6}}'
MUTED = b'{"chat":{"l":1,"u":0,"r":"","a":6}}'


def exchange(own: Life, old: OldToken = OLD, **options: Any) -> Any:
    return own.flows.exchange.exchange(old, "alice", options)  # type: ignore[arg-type]


def record(**values: Any) -> Any:
    """The session that the store has opened with the old token."""
    first = {"created_milliseconds": ISSUED * 1000, "refresh_digest": FIRST.digest}
    return live(**{**first, **values})


def standing(
    generation: bytes = b"",
    bans: bytes = b"",
    operation: bytes = b"",
    own: bytes = b"",
    claims: bytes = b"",
    now: int = NOW,
) -> list[Any]:
    return [now * 1000, generation, bans, operation, own, claims]


def refused(flow: Any, *raw: Any) -> InvalidRefreshToken:
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(flow, *raw)
    return caught.value


def test_an_exchange_asks_once_under_names_that_the_token_decides() -> None:
    own = life()
    pair, (call,) = drive(exchange(own, device="phone"), opened(record()))
    assert call.script.name == "login"
    assert pair.session_id == encode_session_id(OWN_ID)
    assert parse_refresh_token(pair.refresh_token) == FIRST
    assert pair.durable
    keeping = own.flows.context.keeping()
    keeping.operation_until = EXPIRES + own.tombstone_seconds
    assert call.arguments[0] == keeping.pack("alice", OPERATION, NO_FINGERPRINT)
    assert call.arguments[1:3] == (OWN_ID, FIRST.digest)
    assert call.arguments[12] == ISSUED * 1000 - 1, "a revocation of that millisecond was later"
    assert call.arguments[17] == ISSUED * 1000
    assert [(event.kind, event.device, event.session_ids) for event in own.told] == [
        ("login", "phone", (pair.session_id,))
    ]


def test_what_is_kept_until_the_end_of_the_token_is_kept_until_the_last_second_there_is() -> None:
    own = life()
    last = OldToken(
        text="t", subject="7", kind="refresh", issued_at=0, expires_at=2**32 - 1, claims={}
    )
    call = first_call(exchange(own, last))
    keeping = own.flows.context.keeping()
    keeping.operation_until = 2**32 - 1
    packed = keeping.pack("alice")
    assert call.arguments[0][:15] == packed[:15]  # type: ignore[index]
    assert call.arguments[0][31:46] == packed[31:46]  # type: ignore[index]
    assert call.arguments[12] == 0, "there is no generation before the first"


def test_another_user_gets_another_session() -> None:
    call = first_call(life().flows.exchange.exchange(OLD, "bob", {}))
    assert call.arguments[1] != OWN_ID


@pytest.mark.parametrize(("status", "reason"), [("OVERTAKEN", "revoked"), ("SPENT", "exchanged")])
def test_what_the_store_refuses_is_no_refresh_token(status: str, reason: str) -> None:
    own = life()
    error = refused(exchange(own), [status.encode(), stored(None), [], [], []])
    assert error.reason == reason
    assert ("exchanged for a session" in error.message) == (reason == "exchanged")
    assert own.told == []


def test_a_ban_refuses_an_exchange_as_it_refuses_a_login() -> None:
    own = life()
    answer = [NOW * 1000, b"", b"", b"", b"", BANNED, 0, b""]
    with pytest.raises(SubjectBanned) as caught:
        drive(exchange(own), [b"BANNED", answer, [], [], []])
    assert caught.value.ban.reason == "spam"
    assert [(event.kind, event.reason) for event in own.told] == [("refused", "banned")]


def test_an_expired_token_is_not_sent() -> None:
    for now, is_sent in ((EXPIRES - 1, True), (EXPIRES, False)):
        flow = exchange(life(now))
        if is_sent:
            assert first_call(flow).script.name == "login"
            continue
        with pytest.raises(InvalidRefreshToken) as caught:
            first_call(flow)
        assert caught.value.reason == "expired"


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (Tombstone("logged_out", NOW - 7, NOW + 900, "bye"), "logged_out"),
        (Tombstone("expired", NOW - 7, NOW + 900), "session_expired"),
    ],
)
def test_a_session_that_has_ended_says_why(ended: Tombstone, reason: str) -> None:
    own = life()
    error = refused(exchange(own), opened(ended))  # type: ignore[arg-type]
    assert (error.reason, error.ended_at, error.note) == (reason, NOW - 7, ended.note)
    assert own.told == []


def test_a_cutoff_that_became_known_meanwhile_counts() -> None:
    own = life()
    flow = exchange(own)
    call = first_call(flow)
    own.flows.context.memory.cutoff.raise_to(ISSUED * 1000 + 1)
    with pytest.raises(InvalidRefreshToken) as caught:
        flow.send(Answer(call.read(opened(record())), True))
    assert caught.value.reason == "revoked"


def test_what_this_process_has_seen_end_stays_ended_and_is_ended_again() -> None:
    own = life()
    own.flows.context.memory.denials.add(OWN_ID, Denial("revoked", NOW - 3, "stolen"))
    error = refused(exchange(own), opened(record()))
    assert (error.reason, error.note, error.ended_at) == ("revoked", "stolen", NOW - 3)
    assert own.flows.context.memory.pending.stats().waiting == 1, "the store has lost it"


def test_it_is_presented_again_within_the_grace_of_a_refresh_token() -> None:
    second = refresh_tokens().successor(FIRST)
    grace = life().flows.context.config.refresh_grace
    for seconds, is_given in ((grace, True), (grace + 1, False)):
        own = life()
        answer = opened(record(refreshed_at=NOW - seconds, refresh_digest=second.digest))
        if is_given:
            pair, _ = drive(exchange(own), answer)
            assert parse_refresh_token(pair.refresh_token) == second
        else:
            error = refused(exchange(own), answer)
            assert error.reason == "exchanged"
            assert "exchanged for a session" in error.message


def test_the_first_token_is_given_as_long_as_it_is_the_current_one() -> None:
    pair, _ = drive(exchange(life()), opened(record(refreshed_at=NOW - 3000)))
    assert parse_refresh_token(pair.refresh_token) == FIRST


@pytest.mark.parametrize(("steps", "is_given"), [(4, True), (5, False)])
def test_how_many_refreshes_may_have_followed(steps: int, is_given: bool) -> None:
    tokens = refresh_tokens()
    token = FIRST
    for _ in range(steps):
        token = tokens.successor(token)
    answer = opened(record(refresh_digest=token.digest))
    if is_given:
        pair, _ = drive(exchange(life()), answer)
        assert parse_refresh_token(pair.refresh_token) == token
    else:
        assert refused(exchange(life()), answer).reason == "exchanged"


def test_who_logs_out_lets_no_session_be_opened() -> None:
    own = life()
    found, (call,) = drive(own.flows.exchange.spend(OLD, "alice"), opened(None))  # type: ignore[arg-type]
    assert found is None
    assert call.arguments[1:6] == (OWN_ID, b"", 0, 0, 0)
    assert call.arguments[8] == 1
    assert call.arguments[17] == ISSUED * 1000
    assert call.arguments[0][15:23] == OPERATION
    found, _ = drive(own.flows.exchange.spend(OLD, "alice"), opened(record()))
    assert found == FIRST
    found, _ = drive(
        own.flows.exchange.spend(OLD, "alice"),
        opened(Tombstone("logged_out", NOW, NOW + 9)),  # type: ignore[arg-type]
    )
    assert found is None


def test_a_logout_that_a_failover_could_undo_fails() -> None:
    flow = life().flows.exchange.spend(OLD, "alice")
    call = first_call(flow)
    with pytest.raises(StoreUnavailable) as caught:
        flow.send(Answer(call.read(opened(record())), False, is_confirmed=False))
    assert caught.value.reason == "unconfirmed"


def test_bad_subjects_are_not_sent() -> None:
    own = life()
    for flow in (
        own.flows.exchange.exchange(OLD, "", {}),
        own.flows.exchange.spend(OLD, ""),
        own.flows.exchange.verify(OLD, ""),
        own.flows.exchange.verify(OLD, "alice", level="9"),
    ):
        with pytest.raises(InvalidInput):
            next(flow)


def test_an_old_access_token_stands_for_a_session() -> None:
    flow = life().flows.exchange.verify(OLD, "alice")
    session, (call,) = drive(flow, standing(bans=MUTED, claims=b'{"plan":"pro","x":1}'))
    assert call.script.name == "read_fields"
    assert call.keys == (KEY,)
    assert call.arguments == (b"g", b"b", b"o" + OPERATION + b"\0", OWN_ID, b"c")
    assert [ban.scope for ban in session.bans] == ["chat"]
    assert session == Session(
        subject="alice",
        session_id=encode_session_id(OWN_ID),
        device=None,
        created_at=ISSUED,
        refreshed_at=ISSUED,
        expires_at=EXPIRES,
        claims={"plan": "pro", "x": 1},
        active_at=NOW,
        auth_time=ISSUED,
        acr="1",
        bans=session.bans,
    )
    assert not session.is_stateless


def test_without_asking_the_token_speaks_for_itself() -> None:
    session, calls = drive(life().flows.exchange.verify(OLD, "alice", asks=False))
    assert calls == []
    assert session.is_stateless
    assert (session.active_at, session.claims, session.bans) == (NOW, {"plan": "free"}, ())


def test_it_is_accepted_until_it_expires() -> None:
    drive(life(EXPIRES - 1).flows.exchange.verify(OLD, "alice", asks=False))
    with pytest.raises(TokenExpired):
        next(life(EXPIRES).flows.exchange.verify(OLD, "alice", asks=False))


def test_what_is_asked_of_the_authentication_is_asked_of_it_too() -> None:
    own = life()
    drive(own.flows.exchange.verify(OLD, "alice", level="1", max_auth_age=100), standing())
    for wanted in ({"level": "2"}, {"max_auth_age": 99}):
        with pytest.raises(StepUpRequired):
            drive(own.flows.exchange.verify(OLD, "alice", **wanted), standing())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "kind", "reason", "ended_at"),
    [
        (standing(operation=b"x"), SessionRevoked, "logged_out", 0),
        (standing(f"{ISSUED * 1000}".encode()), SessionRevoked, "revoked", ISSUED),
        (standing(bans=BANNED), SessionRevoked, "banned", 5),
        (
            standing(operation=b"x", own=Tombstone("revoked", NOW - 5, NOW + 9).pack()),
            SessionRevoked,
            "revoked",
            NOW - 5,
        ),
        (
            standing(own=Tombstone("idle", NOW - 5, NOW + 9).pack()),
            SessionExpired,
            "session_idle",
            NOW - 5,
        ),
    ],
)
def test_it_ends_by_whatever_ends_sessions(
    answer: list[Any], kind: type[Exception], reason: str, ended_at: int
) -> None:
    with pytest.raises(kind) as caught:
        drive(life().flows.exchange.verify(OLD, "alice"), answer)
    error: Any = caught.value
    assert (error.reason, error.ended_at) == (reason, ended_at)


def test_what_ended_everything_before_it_was_issued_does_not_concern_it() -> None:
    earlier = f"{ISSUED * 1000 - 1}".encode()
    session, _ = drive(life().flows.exchange.verify(OLD, "alice"), standing(earlier))
    assert session.subject == "alice"
    drive(life().flows.exchange.verify(OLD, "alice"), standing(operation=b"x", own=record().pack()))


def test_a_cutoff_ends_it() -> None:
    own = life()
    own.flows.context.memory.cutoff.raise_to(ISSUED * 1000)
    drive(own.flows.exchange.verify(OLD, "alice"), standing())
    own.flows.context.memory.cutoff.raise_to(ISSUED * 1000 + 1)
    with pytest.raises(SessionRevoked):
        drive(own.flows.exchange.verify(OLD, "alice"), standing())


@pytest.mark.parametrize("is_stored", [False, True])
def test_what_this_process_knows_of_the_subject_counts(is_stored: bool) -> None:
    """A session that no store holds needs no repair."""
    own = life()
    memory = own.flows.context.memory
    memory.sweep(KEY, b"request", Sweep(Denial("revoked", NOW - 1, "all")), ISSUED * 1000)
    answer = standing(operation=b"x", own=record().pack()) if is_stored else standing()
    with pytest.raises(SessionRevoked) as caught:
        drive(own.flows.exchange.verify(OLD, "alice"), answer)
    assert (caught.value.reason, caught.value.note) == ("revoked", "all")
    assert memory.pending.stats().waiting == int(is_stored)


def test_a_server_whose_clock_is_wrong_is_not_believed() -> None:
    own = life()
    late = standing(now=NOW + 10_000)
    with pytest.raises(StoreUnavailable) as caught:
        drive(own.flows.exchange.verify(OLD, "alice"), late)
    assert caught.value.reason == "clock"
    assert CLOCK_TOLERANCE < 10_000
    assert Keyspace().sessions("alice") == KEY


def test_what_became_of_old_tokens_is_counted_by_issuer() -> None:
    flows = life().flows.old_tokens
    counting = flows.count("django", (1, 2, 3), last_seen_at=4, last_issued_at=5, lifetime=6)
    _, (call,) = drive(counting, 7)
    assert call.script.name == "count_old_tokens"
    assert call.arguments == (b"django", 1, 2, 3, 4, 5, 6)
    counted, (call,) = drive(flows.counted(), [b"django:accepted", b"8", b"django:later", b"9"])
    assert call.script.name == "read_old_token_counts"
    assert [(each.issuer, each.accepted, each.refused) for each in counted] == [("django", 8, 0)]
