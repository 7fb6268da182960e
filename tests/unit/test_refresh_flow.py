"""The refresh flow: calls of the store, reuse, repetition, step-ups and ends."""

import json
from dataclasses import replace
from typing import Any

import pytest

from clusterpass.model.authentication_errors import InvalidRefreshToken, RefreshTokenReused
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.events import SessionEvent
from clusterpass.model.reasons import explain_end
from clusterpass.protocol.keyspace import slot_of
from clusterpass.protocol.records import HAS_DETAILS, Tombstone
from clusterpass.protocol.script import Answer
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.memory.denial import Denial
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import RefreshToken, RefreshTokens, parse_refresh_token
from clusterpass.tokens.refresh_secrets import new_refresh_secret, read_refresh_secrets

from .driven_flows import (
    ISSUER,
    KEYSPACE,
    NOW,
    REFRESH,
    REFRESH_SECRETS,
    SECRET,
    SESSION_ID,
    TOMBSTONE,
    WRITTEN,
    access_token,
    config,
    drive,
    end_of_one,
    first_call,
    housekeeping,
    life,
    live,
    refresh_token,
    refuse_at_once,
    ring,
    rotated,
    stored,
)

NAME = encode_session_id(SESSION_ID)


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
    text = replace(REFRESH, tag=bytes(16)).encode()
    assert refuse_at_once(InvalidRefreshToken, life().refresh(text)).reason == "mismatch"


def test_a_token_of_an_unknown_secret_is_refused_once_no_copy_has_that() -> None:
    """The store may have it, from before the configuration did."""
    flow = life().refresh(refresh_token(secrets=(new_refresh_secret(),)))
    call = next(flow)
    for _ in range(2):
        assert call.script.name == "read_secrets"
        call = flow.send(Answer(call.read([]), False))
    with pytest.raises(InvalidRefreshToken) as caught:
        flow.send(Answer(call.read([]), False))
    assert caught.value.reason == "mismatch"


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


def test_keys_of_a_call_belong_to_the_subject_of_the_token_alone() -> None:
    """A refresh token that names another subject asks under that subject's keys."""
    for subject in ("bob", "{alice}", "alice}:user"):
        call = first_call(life().refresh(refresh_token(subject)))
        assert call.keys[0] == KEYSPACE.sessions(subject)
        assert len({slot_of(key) for key in call.keys}) == 1
        assert KEYSPACE.sessions("alice") not in call.keys


@pytest.mark.parametrize(
    ("address", "packed"), [("127.0.0.1", b"\x7f\x00\x00\x01"), ("unix", b""), (None, b"")]
)
def test_a_refresh_tells_from_where_it_came(address: str | None, packed: bytes) -> None:
    own = life()
    flow = own.refresh(REFRESH.encode(), address=address)
    _, (call,) = drive(flow, rotated("OK", live(rotation=4)))
    assert call.arguments[7] == packed
    assert own.told == [SessionEvent("refresh", "alice", NOW, (NAME,), address=address)]


def test_a_reuse_tells_all_that_is_known_of_it() -> None:
    own = life()
    flow = own.refresh(REFRESH.encode(), address="::1")
    with pytest.raises(RefreshTokenReused) as caught:
        drive(flow, rotated("REUSED", Tombstone("reused", NOW - 5, NOW + 9, "recent")))
    assert (caught.value.reason, caught.value.ended_at) == ("recent", NOW - 5)
    assert own.told == [
        SessionEvent("reused", "alice", NOW, (NAME,), address="::1", reason="recent")
    ]


def test_the_end_of_a_session_is_told_with_its_note() -> None:
    own = life()
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(
            own.refresh(REFRESH.encode()),
            rotated("ENDED", Tombstone("replaced", NOW - 5, NOW + 9, "Sofa")),
        )
    error = caught.value
    assert (error.reason, error.note, error.ended_at) == ("replaced", "Sofa", NOW - 5)
    assert str(error) == explain_end("replaced", "Sofa")
    assert own.told == []


def test_a_token_from_before_a_step_up_is_superseded() -> None:
    own = life()
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(own.refresh(REFRESH.encode()), rotated("SUPERSEDED", live()))
    assert caught.value.reason == "superseded"
    assert own.told == []


def test_an_end_that_is_known_refuses_before_anything_is_asked() -> None:
    own = life()
    own.flows.memory.denials.add(SESSION_ID, Denial("revoked", NOW - 5, "by Ann"))
    error = refuse_at_once(InvalidRefreshToken, own.refresh(REFRESH.encode()))
    assert (error.reason, error.note, error.ended_at) == ("revoked", "by Ann", NOW - 5)


@pytest.mark.parametrize("reason", ["expired", "idle"])
def test_an_end_by_itself_is_left_to_the_store(reason: Any) -> None:
    own = life()
    own.flows.memory.denials.add(SESSION_ID, Denial(reason, NOW - 5))
    assert first_call(own.refresh(REFRESH.encode())).script.name == "rotate"


def test_a_session_that_the_store_ended_is_remembered_as_over() -> None:
    own = life()
    with pytest.raises(InvalidRefreshToken):
        drive(
            own.refresh(REFRESH.encode()),
            rotated("ENDED", Tombstone("banned", NOW - 5, NOW + 9, "spam")),
        )
    denial = own.flows.memory.denials.of_session(SESSION_ID)
    assert denial is not None
    assert (denial.reason, denial.ended_at, denial.note) == ("banned", NOW - 5, "spam")


def test_a_repetition_gets_the_successor_of_the_key_that_made_it() -> None:
    own = life()
    raw = rotated("AGAIN", live(rotation=4))
    pair, (call,) = drive(own.refresh(REFRESH.encode()), raw, durable=False)
    assert parse_refresh_token(pair.refresh_token).digest == call.arguments[4]
    assert (pair.durable, pair.session_id, pair.subject) == (False, NAME, "alice")


IMPERSONATION = json.dumps({"act": ["root", encode_session_id(b"r" * 16), "help"]}).encode()


def test_a_refresh_of_an_impersonation_asks_about_its_actor() -> None:
    raw = rotated("OK", live(rotation=4, flags=HAS_DETAILS), details=IMPERSONATION)
    own = life()
    pair, (_, asked) = drive(own.refresh(REFRESH.encode()), raw, stored(live()))
    assert asked.arguments == (b"r" * 16,)
    claims = own.verifier.verify(pair.access_token)
    assert claims.act is not None
    assert (claims.act.subject, claims.act.session_id) == ("root", encode_session_id(b"r" * 16))


@pytest.mark.parametrize(
    ("record", "ended_at"),
    [
        (None, NOW),
        (Tombstone("banned", NOW - 7, NOW + 9, "secret"), NOW - 7),
        (live(absolute_end=NOW - 5), NOW - 5),
    ],
)
def test_an_impersonation_ends_with_its_actor_and_does_not_say_why(
    record: Any, ended_at: int
) -> None:
    own = life()
    raw = rotated("OK", live(rotation=4, flags=HAS_DETAILS), details=IMPERSONATION)
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(own.refresh(REFRESH.encode()), raw, stored(record))
    error = caught.value
    note = "the impersonation has ended"
    assert (error.reason, error.note, error.ended_at) == ("revoked", note, ended_at)
    assert own.told == []


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_cutoff_that_becomes_known_during_the_call_counts(ahead: int) -> None:
    own, record = life(), live(rotation=4)
    flow = own.refresh(REFRESH.encode())
    call = first_call(flow)
    own.flows.memory.cutoff.raise_to(record.created_milliseconds + ahead)
    answer: Answer[Any] = Answer(call.read(rotated("OK", record)), True)
    if not ahead:
        with pytest.raises(StopIteration):
            flow.send(answer)
        return
    with pytest.raises(InvalidRefreshToken) as caught:
        flow.send(answer)
    assert (caught.value.reason, caught.value.ended_at) == ("revoked", NOW)
    assert own.told == []


def test_a_store_that_lost_a_revocation_exchanges_no_token() -> None:
    own = life()
    drive(own.revoke_all("alice"), [b"OK", NOW * 1000 + 500, []])
    own.told.clear()
    with pytest.raises(InvalidRefreshToken) as caught:
        drive(own.refresh(REFRESH.encode()), rotated("OK", live(rotation=4)))
    assert (caught.value.reason, caught.value.ended_at) == ("revoked", NOW)
    assert own.flows.stats().rollbacks == 1
    assert own.flows.stats().pending.waiting == 1, "the session is ended again"
    (repair,) = own.flows.memory.pending.all()
    drive(repair.attempt(), end_of_one(b"ENDED"))
    assert own.told == [], "its end was told when it ended"


def test_a_token_of_an_earlier_release_is_accepted_by_the_keys_that_came_since() -> None:
    own, added = life(), KeyRing.generate("EdDSA")
    earlier = RefreshTokens(
        read_refresh_secrets(REFRESH_SECRETS),
        lambda count: b"x" * count,
        issuer=ISSUER,
        audience=ISSUER,
        older_keys=added.all(),
        for_previous=True,
    )
    token = earlier.first("alice", SESSION_ID).encode()
    refuse_at_once(InvalidRefreshToken, own.refresh(token))
    own.flows.replace_keys(ring(), KeyRing([*ring().all(), *added.all()]))
    assert first_call(own.refresh(token)).script.name == "rotate"
