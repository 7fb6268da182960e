"""The flows about a whole subject: bans, live claims, history and generation."""

from typing import Any

import pytest

from clusterpass import (
    Applied,
    Ban,
    Ended,
    HistoryEntry,
    InvalidInput,
    OperationMismatch,
    SessionEvent,
    SubjectBanned,
    TooManyBans,
)
from clusterpass.model.values import NO_CLAIMS
from clusterpass.tokens.identifiers import encode_session_id
from tests import golden

from .driven_flows import NOW, SESSION_ID, drive, life, refuse_at_once, told_to_end

OTHER = b"r" * 16
BANS = (
    b'{"":{"l":2,"u":%d,"r":"spam","a":5},"chat":{"l":3,"u":0,"r":"rude","a":6},'
    b'"old":{"l":1,"u":%d,"r":"","a":7}}' % (NOW + 9, NOW)
)
IN_FORCE = (Ban("", 2, NOW + 9, "spam", 5), Ban("chat", 3, None, "rude", 6))


def ban(own: Any, **changed: Any) -> Any:
    values: dict[str, Any] = {"reason": "spam", "for_seconds": None, "scope": "", "level": 1}
    return own.flows.subject.ban("alice", **{**values, **changed})


def test_a_ban_tells_whom_it_ended() -> None:
    own = life()
    ended, (call,) = drive(ban(own), [b"OK", NOW * 1000, [SESSION_ID, OTHER], BANS])
    assert ended == Ended(2, True)
    assert told_to_end(own, call)[:4] == (b"", 1, 0, b"spam")
    ids = (encode_session_id(SESSION_ID), encode_session_id(OTHER))
    assert own.told == [SessionEvent("banned", "alice", NOW, session_ids=ids, reason="spam")]


def test_a_ban_from_a_scope_tells_from_what() -> None:
    own = life()
    flow = ban(own, scope="chat", level=7, for_seconds=60)
    ended, (call,) = drive(flow, [b"OK", NOW * 1000, [], BANS], durable=False)
    assert ended == Ended(0, False)
    assert told_to_end(own, call)[:4] == (b"chat", 7, 60, b"spam")
    assert own.told == [SessionEvent("banned", "alice", NOW, reason="chat spam")]


def test_a_ban_without_a_reason_tells_none() -> None:
    own = life()
    drive(ban(own, reason=""), [b"OK", NOW * 1000, [], BANS])
    assert [event.reason for event in own.told] == [None]


def test_a_ban_too_many_is_told_to_nobody() -> None:
    own = life()
    with pytest.raises(TooManyBans):
        drive(ban(own), [b"FULL", NOW * 1000, [], BANS])
    assert own.told == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"reason": "x" * 201}, "reason must"),
        ({"scope": "a b"}, "a scope must"),
        ({"scope": None}, "a scope must"),
        ({"level": 0}, "level must"),
        ({"level": 1001}, "level must"),
        ({"for_seconds": 0}, "for_seconds must be .* from 1 to 316224000"),
        ({"for_seconds": 316_224_001}, "for_seconds must be .* from 1 to 316224000"),
    ],
)
def test_what_a_ban_may_not_be(changed: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        next(ban(life(), **changed))


def test_every_verb_refuses_what_is_no_subject_before_it_asks() -> None:
    flows = life().flows.subject
    for subject in ("", None, "a\n"):
        values: Any = {"reason": "", "for_seconds": None, "scope": "", "level": 1}
        refuse_at_once(InvalidInput, flows.ban(subject, **values))
        refuse_at_once(InvalidInput, flows.unban(subject, scope=""))
        refuse_at_once(InvalidInput, flows.bans(subject))
        refuse_at_once(InvalidInput, flows.check_ban(subject, "chat", 1))
        refuse_at_once(InvalidInput, flows.history(subject))
        refuse_at_once(InvalidInput, flows.generation(subject))
        refuse_at_once(InvalidInput, flows.claims(subject))
        refuse_at_once(InvalidInput, flows.set_claims(subject, {}))


@pytest.mark.parametrize(
    ("scope", "reply", "reasons"),
    [("chat", 1, ["chat"]), ("chat", 0, []), ("", 1, [None])],
)
def test_a_lifted_ban_is_told_if_there_was_one(scope: str, reply: int, reasons: Any) -> None:
    own = life()
    applied, (call,) = drive(own.flows.subject.unban("alice", scope=scope), reply, durable=False)
    assert applied == Applied(reply, False)
    assert call.arguments[1:] == (scope.encode(), scope.encode())
    assert call.arguments[0][15:23] != bytes(8)
    expected = [SessionEvent("unbanned", "alice", NOW, reason=reason) for reason in reasons]
    assert own.told == expected


def test_an_id_of_another_request_lifts_nothing() -> None:
    own = life()
    with pytest.raises(OperationMismatch):
        drive(own.flows.subject.unban("alice", scope="chat"), 2)
    assert own.told == []


def test_a_ban_is_lifted_from_a_scope_that_can_be_one() -> None:
    refuse_at_once(InvalidInput, life().flows.subject.unban("alice", scope="a b"))


def test_bans_are_those_in_force() -> None:
    bans, (call,) = drive(life().flows.subject.bans("alice"), [NOW * 1000, BANS])
    assert bans == IN_FORCE
    assert call.arguments == (b"b",)
    assert drive(life().flows.subject.bans("alice"), [NOW * 1000, b""])[0] == ()


@pytest.mark.parametrize(
    ("scope", "level", "is_banned"),
    [("chat", 3, True), ("chat", 4, False), ("chat", 1, True), ("posts", 1, False)],
)
def test_a_ban_is_checked_by_scope_and_level(scope: str, level: int, is_banned: bool) -> None:
    raw = [NOW * 1000, b'{"chat":{"l":3,"u":0,"r":"rude","a":6}}']
    flow = life().flows.subject.check_ban("alice", scope, level)
    if not is_banned:
        assert drive(flow, raw)[0] is None
        return
    with pytest.raises(SubjectBanned) as caught:
        drive(flow, raw)
    assert caught.value.ban == IN_FORCE[1]


@pytest.mark.parametrize(("scope", "level"), [("a b", 1), ("chat", 0), ("chat", 1001)])
def test_a_check_that_means_nothing_is_refused(scope: str, level: int) -> None:
    refuse_at_once(InvalidInput, life().flows.subject.check_ban("alice", scope, level))


@pytest.mark.parametrize(("claims", "packed"), [({"plan": "gold"}, b'{"plan":"gold"}'), ({}, b"")])
def test_live_claims_are_set_and_told(claims: Any, packed: bytes) -> None:
    own = life()
    flow = own.flows.subject.set_claims("alice", claims)
    applied, (call,) = drive(flow, [b"OK", 2, 1], durable=False)
    assert applied == Applied(2, False)
    assert call.arguments[1:] == (packed,)
    assert call.arguments[0][15:23] != bytes(8)
    assert own.told == [SessionEvent("claims_changed", "alice", NOW)]


def test_claims_of_nobody_are_told_to_nobody() -> None:
    own = life()
    assert drive(own.flows.subject.set_claims("alice", {}), [b"OK", 0, 0])[0] == Applied(0, True)
    with pytest.raises(OperationMismatch):
        drive(own.flows.subject.set_claims("alice", {}), [b"MISMATCH", 1, 0])
    assert own.told == []


def test_claims_that_were_in_force_already_are_not_told() -> None:
    own = life()
    flow = own.flows.subject.set_claims("alice", {"plan": "gold"})
    assert drive(flow, [b"OK", 2, 0])[0] == Applied(2, True)
    assert own.told == []


def test_live_claims_have_a_limit_of_their_own() -> None:
    def flow(length: int) -> Any:
        return life().flows.subject.set_claims("alice", {"a": "x" * length})

    refuse_at_once(InvalidInput, flow(2048 - 7))
    assert drive(flow(2048 - 8), [b"OK", 1, 1])[0].count == 1


def test_live_claims_are_read_and_cannot_be_changed() -> None:
    claims, _ = drive(life().flows.subject.claims("alice"), [0, b'{"plan":"gold"}'])
    assert claims == {"plan": "gold"}
    with pytest.raises(TypeError):
        claims["plan"] = "silver"
    assert drive(life().flows.subject.claims("alice"), [0, b""])[0] is NO_CLAIMS


def test_the_generation_is_what_the_store_says() -> None:
    assert drive(life().flows.subject.generation("alice"), [0, b"17"])[0] == 17


def test_history_is_read_newest_first() -> None:
    raw = [NOW * 1000, golden.FIELDS, {}]
    lines, _ = drive(life().flows.subject.history("alice"), raw)
    assert lines == [
        HistoryEntry("replaced", 1_750_000_022, 2, None, None, "Élan"),
        HistoryEntry(
            "refresh", 1_750_000_005, 7, encode_session_id(golden.LIVE_2), "127.0.0.1", ""
        ),
        HistoryEntry(
            "login", 1_750_000_000, 1, encode_session_id(golden.LIVE_1), "2001:db8::1", "Laptop"
        ),
    ]


def test_lines_of_one_second_keep_their_order() -> None:
    line = bytes.fromhex("01 684ee180 0001") + bytes(17)
    fields = {b"h": b"2", b"h\x00": line + b"a", b"h\x01": line + b"b", b"h\x02": line + b"c"}
    lines, _ = drive(life().flows.subject.history("alice"), [NOW * 1000, fields, {}])
    assert [each.text for each in lines] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("note", "by", "text"),
    [
        ("\x1f\x1fstolen", "alice", "stolen"),
        ("\x1froot\x1fstolen", "root", "stolen"),
        ("stolen", None, "stolen"),
    ],
)
def test_history_names_who_ended_a_session(note: str, by: str | None, text: str) -> None:
    line = bytes.fromhex("05 684ee180 0001") + bytes(17) + note.encode()
    raw = [NOW * 1000, {b"h": b"0", b"h\x00": line}, {}]
    ((entry,), _) = drive(life().flows.subject.history("alice"), raw)
    assert (entry.by, entry.text) == (by, text)
