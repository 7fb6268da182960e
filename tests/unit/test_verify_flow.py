"""The verify flow: calls of the store, refusals, clocks and notes of use."""

import hashlib
import json
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from clusterpass.model.authentication_errors import (
    InvalidToken,
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
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Session
from clusterpass.protocol.records import (
    HAS_DETAILS,
    OWN_USED,
    LiveRecord,
    Tombstone,
    UnreadableRecord,
)
from clusterpass.protocol.script import Answer
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.memory.denial import Denial
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.undelivered_token import UndeliveredToken

from .driven_flows import (
    KEYSPACE,
    NOW,
    READ,
    SESSION_ID,
    access_token,
    config,
    drive,
    first_call,
    life,
    live,
    refuse_at_once,
    ring,
    stored,
)


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
    calls = [next(flow)]
    calls += [flow.throw(StoreUnavailable()) for _ in range(3)]
    assert len({call.keys for call in calls}) == 3
    deadlines = [call.deadline for call in calls]
    assert deadlines == pytest.approx([0.3, 0.3, 0.3, 3.0], rel=0.1), "the last is patient"
    with pytest.raises(StoreUnavailable):
        flow.throw(StoreUnavailable())


def test_a_verify_that_has_waited_in_vain_has_a_fifth_of_the_deadline() -> None:
    flow = life().verify(access_token(), is_late=True)
    calls = [next(flow)]
    calls += [flow.throw(StoreUnavailable()) for _ in range(3)]
    assert [call.deadline for call in calls] == pytest.approx([0.072, 0.072, 0.072, 0.6], rel=0.1)
    flow = life().verify(access_token(), is_late=True)
    call = next(flow)
    call = flow.send(Answer(call.read(0), False))
    assert call.script.name == "verify"
    assert call.deadline == pytest.approx(0.6, rel=0.1)


def number_of(session_id: bytes) -> int:
    """What decides how early the uses of a session are noted, within a quarter of the interval."""
    return int.from_bytes(session_id[-4:], "big")


def test_use_is_noted_when_the_last_note_is_old() -> None:
    number = number_of(SESSION_ID)
    for idle, since, is_noted in (
        (3600, 180 - number % 45 - 1, False),
        (3600, 180 - number % 45, True),
        (0, 300 - number % 75 - 1, False),
        (0, 300 - number % 75, True),
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


@pytest.mark.parametrize(("ahead", "is_over"), [(299, False), (300, True), (301, True)])
def test_verify_asks_the_clock_of_the_store_too(ahead: int, is_over: bool) -> None:
    flow = life().verify(access_token(expires_at=NOW + 300))
    if is_over:
        with pytest.raises(TokenExpired):
            drive(flow, stored(live(), now=NOW + ahead))
    else:
        drive(flow, stored(live(), now=NOW + ahead))


@pytest.mark.parametrize(("ahead", "is_refused"), [(599, False), (601, True), (-601, True)])
def test_verify_accepts_and_ends_nothing_by_a_clock_in_doubt(ahead: int, is_refused: bool) -> None:
    own = life(access_lifetime=3600)
    flow = own.verify(access_token(expires_at=NOW + 3600))
    record = live(refreshed_at=NOW - 3100)
    if is_refused:
        with pytest.raises(StoreUnavailable) as caught:
            drive(flow, stored(record, now=NOW + ahead))
        assert caught.value.reason == "clock"
        assert own.flows.memory.denials.of_session(SESSION_ID) is None
    else:
        with pytest.raises(SessionExpired):
            drive(flow, stored(record, now=NOW + ahead))


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
    interval = 3600 // 20
    assert entry.loaded.note_at == NOW + 1000 + interval - number_of(SESSION_ID) % 45


def test_uses_that_were_noted_in_the_same_second_come_due_in_different_ones() -> None:
    own = life(now=NOW + 1, verification="cached")
    due: Counter[float] = Counter()
    for number in range(2000):
        session_id = encode_session_id(hashlib.sha256(b"%d" % number).digest()[:16])
        token = access_token(session_id=session_id)
        drive(own.verify(token), stored(live(idle_seconds=0), now=NOW + 1))
        entry = own.flows.memory.near.entry(token)
        assert entry is not None
        assert entry.loaded is not None
        due[entry.loaded.note_at - NOW] += 1
    assert max(due) == 300
    assert min(due) == 300 - 74
    assert max(due.values()) < 3 * 2000 / 75


@pytest.mark.parametrize("mode", ["cached", "strict"])
def test_the_request_that_made_a_token_leaves_its_first_use_to_the_next_one(mode: Any) -> None:
    own = life(verification=mode)
    near, token = own.flows.memory.near, access_token(rotation=1)
    near.set_primaries(frozenset({"node"}))
    near.connected("node")
    for _ in range(3):
        near.beat_answered("node", near.beat_sent("node"), 0, 0)
    called: list[str] = []

    def verify(presented: str) -> Session:
        called.clear()
        flow = own.verify(presented)
        try:
            call = next(flow)
            while True:
                called.append(call.script.name)
                reply = {"verify": stored(live(rotation=1)), "touch": 1 + OWN_USED}
                answer = call.read(reply.get(call.script.name, 0))
                call = flow.send(Answer(answer, False, "node"))
        except StopIteration as end:
            session: Session = end.value
            return session

    for _ in range(2):
        assert verify(UndeliveredToken(token)).subject == "alice"
        assert "touch" not in called
        assert near.find(token) is None, "who presents it has to be noted"
    entry = near.entry(token)
    assert entry is not None
    assert type(entry.token) is str
    verify(token)
    assert called[-2:] == ["verify", "touch"]
    assert (near.find(token) is None) is (mode == "strict")


def test_what_is_remembered_is_not_asked_about_once_the_token_has_expired() -> None:
    now = [float(NOW)]
    flows = Flows(
        config(verification="cached"),
        KEYSPACE,
        deadline=3,
        tell=lambda _: None,
        clock=Clock(wall=lambda: now[0]),
        random_bytes=bytes,
    )
    token = access_token(expires_at=NOW + 900)
    drive(flows.verify.verify(token), stored(live()))
    entry = flows.memory.near.entry(token)
    assert entry is not None
    assert entry.expires_at == NOW + 900
    now[0] = NOW + 899.999
    assert drive(flows.verify.verify(token), stored(live(), now=NOW + 899))[0]
    now[0] = NOW + 900
    refuse_at_once(TokenExpired, flows.verify.verify(token))


def test_what_the_store_says_again_is_served_from_memory_again() -> None:
    """A push tells that something has changed, which need not be what a session shows."""
    own = life(verification="cached")
    near, token = own.flows.memory.near, access_token()
    near.set_primaries(frozenset({"node"}))
    near.connected("node")
    for _ in range(3):
        near.beat_answered("node", near.beat_sent("node"), 0, 0)

    def verify() -> Session:
        flow = own.verify(token)
        call = next(flow)
        with pytest.raises(StopIteration) as end:
            while True:
                reply = stored(live()) if call.script.name == "verify" else 0
                call = flow.send(Answer(call.read(reply), False, "node"))
        session: Session = end.value.value
        return session

    session = verify()
    assert near.find(token) is session
    for _ in range(2):
        near.pushed("node", [READ[0]])
        assert near.find(token) is None
        assert verify() == session
        assert near.find(token) == session


def test_of_a_subject_whose_ends_the_store_has_lost_nothing_is_served_from_memory() -> None:
    own = life(verification="cached")
    near, other = own.flows.memory.near, access_token(session_id=encode_session_id(b"o" * 16))
    near.set_primaries(frozenset({"node"}))
    near.connected("node")
    for _ in range(3):
        near.beat_answered("node", near.beat_sent("node"), 0, 0)

    def verify(token: str) -> None:
        flow = own.verify(token)
        call = next(flow)
        with suppress(StopIteration):
            while True:
                reply = stored(live()) if call.script.name == "verify" else 0
                call = flow.send(Answer(call.read(reply), False, "node"))

    own.flows.memory.denials.add(SESSION_ID, Denial("revoked", NOW - 5))
    verify(other)
    assert near.find(other)
    with pytest.raises(SessionRevoked):
        verify(access_token())
    assert near.find(other) is None
