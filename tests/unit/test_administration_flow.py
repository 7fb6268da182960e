"""The flows that list and revoke the sessions of a subject, and the requests that they send."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import InvalidInput, SessionNotFound
from clusterpass.model.values import Ended
from clusterpass.protocol.records import LiveRecord
from clusterpass.tokens.identifiers import decode_session_id, encode_session_id

from .driven_flows import (
    KEYSPACE,
    NOW,
    SESSION_ID,
    TOMBSTONE,
    access_token,
    administration,
    drive,
    end_of_one,
    life,
    live,
    refuse_at_once,
    stored,
    told_to_end,
)


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
        own.revoke_all("alice", keep=None),
        [b"OK", NOW * 1000, [bytes([number]) * 16 for number in range(7)]],
        durable=False,
    )
    assert ended == Ended(7, False)
    assert call.script.name == "end_all"
    assert told_to_end(own, call) == (b"", 3, b"", b"", b"*", b"")
    assert [len(event.session_ids) for event in own.told] == [7]


def test_revoke_all_but_one() -> None:
    flow = administration().revoke_all("alice", keep=encode_session_id(SESSION_ID))
    _, (call,) = drive(flow, [b"OK", NOW * 1000, []])
    assert call.arguments[1] == SESSION_ID


def test_what_a_revocation_has_spared_is_accepted_and_the_rest_is_not() -> None:
    own, before = life(), live(created_milliseconds=NOW * 1000 - 5)
    flow = own.revoke_all("alice", keep=encode_session_id(SESSION_ID))
    drive(flow, [b"OK", NOW * 1000, []])
    session, _ = drive(own.verify(access_token()), stored(before))
    assert session.session_id == encode_session_id(SESSION_ID)
    with pytest.raises(SessionRevoked):
        drive(
            own.verify(access_token(session_id=encode_session_id(b"o" * 16))),
            stored(before),
        )


@pytest.mark.parametrize("durable", [True, False])
def test_to_erase_a_subject_ends_all_its_sessions_first(durable: bool) -> None:
    own = life()
    ended, (end_all, erase) = drive(
        own.flows.data.erase("alice"), [b"OK", NOW * 1000, [SESSION_ID]], 1, durable=durable
    )
    assert ended == Ended(1, durable)
    assert (end_all.script.name, erase.script.name) == ("end_all", "erase")
    assert told_to_end(own, end_all) == (b"", 3, b"", b"", b"*", b"")
    assert erase.keys[0] == KEYSPACE.sessions("alice")
