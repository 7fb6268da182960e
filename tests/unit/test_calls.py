"""The script calls of the protocol: keys, arguments, timeouts and parsing of replies."""

import dataclasses
import hashlib
from typing import Any

import pytest

from clusterpass.model.errors import UnreadableRecord
from clusterpass.protocol.calls import (
    directory,
    end,
    journal,
    old_token_counts,
    one_time_links,
    online,
    session,
    step_up_and_shorten,
    subject,
)
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.replies import Stored, StoredBan, read_listed, read_stored
from clusterpass.protocol.script import assemble_script
from tests import golden

from .sent_calls import ACTIVITY, ID, KEEPING, KEYSPACE, OPERATION, SEEN, SENT, SESSIONS

BANS = b'{"chat":{"l":1,"u":0,"r":"spam","a":1800000000}}'
STORED_BANS = (StoredBan("chat", 1, 0, "spam", 1_800_000_000),)
NOTHING: list[Any] = [1_800_000_000_000, b"", b"", b"", b"", b"", 0, b""]
STORED = Stored(1_800_000_000_000, None)
REPLIES: list[tuple[str, Any, Any]] = [
    ("login", [b"OK", NOTHING, [ID], [], []], session.Opened("OK", STORED, (ID,), None)),
    (
        "login",
        [b"REFUSED", NOTHING, [], [b"g", b"5"], []],
        session.Opened("REFUSED", STORED, (), read_listed([NOTHING[0], [b"g", b"5"], []])),
    ),
    ("login", [b"OK", NOTHING], session.Opened("OK", STORED, (), None)),
    ("verify", NOTHING, STORED),
    ("read_session", tuple(NOTHING), NOTHING),
    ("rotate", [b"AGAIN", NOTHING, 3], session.Rotated("AGAIN", STORED, 3)),
    ("touch", b"1", 1),
    ("end_session", [5, b"ALREADY"], end.EndedOne(5, "ALREADY")),
    ("end_all", [b"MISMATCH", 5, [ID]], end.EndedAll(5, (ID,), "MISMATCH")),
    ("list_sessions", [5, [], []], read_listed([5, [], []])),
    ("shorten", NOTHING, STORED),
    ("elevate", [b"ENDED", NOTHING], step_up_and_shorten.Elevated("ENDED", STORED)),
    ("ban", [b"OK", 5, [ID], BANS], subject.Banned("OK", 5, (ID,), STORED_BANS)),
    ("ban", [b"FULL", 5, [], b""], subject.Banned("FULL", 5, (), ())),
    ("unban", b"2", 2),
    ("set_claims", [b"OK", 4, 1], subject.ClaimsSet("OK", 4, is_changed=True)),
    ("set_claims", [b"OK", 4, 0], subject.ClaimsSet("OK", 4, is_changed=False)),
    ("settle", b"3", 3),
    ("erase", b"3", 3),
    ("remove_user", b"1", 1),
    ("make_link", [b"OK", 5], one_time_links.MadeLink("OK", 5)),
    ("make_link", [b"UNKNOWN", 0], one_time_links.MadeLink("UNKNOWN", 0)),
    ("find_link", b"1", 1),
    ("use_link", b"0", 0),
    ("read_subject_bans", [5999, BANS], (5, STORED_BANS)),
    ("read_subject_bans", [5999, b""], (5, ())),
    ("read_claims", [5999, b'{"a":1}'], {"a": 1}),
    ("read_claims", [5999, b""], {}),
    ("read_generation", [5999, b"17"], 17),
    ("read_generation", [5999, b""], 0),
    ("append_to_journal", b"FULL", "FULL"),
    (
        "read_journal",
        [4, b"m", b"run:2", 500, b"8", [b"one", b"1", b"two", b""]],
        journal.JournalRead(4, b"m", b"run:2", 500, b"8", {b"one": b"1", b"two": b""}),
    ),
    ("trim_journal", b"2", 2),
    ("fill_journal", b"CHANGED", "CHANGED"),
    ("raise_cutoff", b"7", 7),
    ("read_cutoff", b"7", 7),
    ("never_promoted", b"1", 1),
    ("count_online", [2, 3, 4], online.CountedSlots(2, 3, 4)),
    (
        "page_online",
        [1, b"4", b"ann", "élan".encode()],
        online.PageOfSlots(1, 4, ("ann", "élan")),
    ),
    ("count_old_tokens", 7, 7),
    ("read_old_token_counts", [], ()),
    (
        "read_old_token_counts",
        [
            *(b"of:two:accepted", b"1", b"of:two:exchanged", b"2", b"of:two:refused", b"3"),
            *(b"of:two:last_seen_at", b"4", b"of:two:last_issued_at", b"5"),
            *(b"of:two:lifetime", b"6", b"of:two:began_at", b"7", b"authx:accepted", b"8"),
            *(b"authx:what a later release counts", b"9"),
        ],
        (
            old_token_counts.OldTokensCounted("authx", 8, 0, 0, 0, 0, 0, 0),
            old_token_counts.OldTokensCounted("of:two", 1, 2, 3, 4, 5, 6, 7),
        ),
    ),
    ("add_user", b"EXISTS", "EXISTS"),
    ("find_user", [b"h", b"1", 5], directory.StoredUser("h", True, 5)),
    ("find_user", [b"h", b"0", 5], directory.StoredUser("h", False, 5)),
    ("find_user", [b"", b"", 0], None),
    ("change_user", b"CHANGED", "CHANGED"),
    ("count_attempt", b"30", 30),
    ("forget_attempts", b"1", 1),
    ("return_attempt", b"0", 0),
    ("read_secrets", [b"a", b"1", b"b", b"2"], {"a": b"1", "b": b"2"}),
    ("add_secrets", [], {}),
    ("prune_secrets", [b"a", b"b"], ["a", "b"]),
    ("take_key_lease", 1, True),
    ("take_key_lease", 0, False),
]


@pytest.mark.parametrize("name", SENT)
def test_a_call_sends_what_its_script_takes(name: str) -> None:
    sent = SENT[name]
    call = sent.call()
    assert call.script.name == sent.script
    assert call.keys == sent.keys
    assert call.arguments == sent.arguments
    for member in ("confirm", "insists", "is_ending", "deadline", "slot"):
        assert getattr(call, member) == getattr(sent, member), member


@pytest.mark.parametrize(("name", "raw", "reply"), REPLIES)
def test_a_reply_is_read(name: str, raw: Any, reply: Any) -> None:
    read = SENT[name].call().read(raw)
    assert read == reply
    assert type(read) is type(reply)


def test_a_session_that_a_later_release_wrote_may_be_good() -> None:
    with pytest.raises(UnreadableRecord):
        SENT["rotate"].call().read([b"UNREADABLE", NOTHING, 0])


def test_a_subject_that_is_not_counted_is_not_looked_up_among_those_online() -> None:
    keeping = dataclasses.replace(KEEPING, indexed=False)
    assert subject.settle(KEYSPACE, keeping, "alice").keys == (SESSIONS, ACTIVITY)


@pytest.mark.parametrize("follows", [False, True])
def test_who_follows_a_session_has_its_changes_pushed(follows: bool) -> None:
    keys = KEYSPACE.keys_of("alice")
    read = session.read_session(keys, session_id=ID, follows=follows)
    assert session.verify(KEYSPACE, "alice", session_id=ID, follows=follows).follows is follows
    assert read.follows is follows


def test_what_is_kept_is_packed_member_by_member() -> None:
    packed = KEEPING.pack("élan", OPERATION, b"f" * 8)
    assert packed == (
        bytes.fromhex("0000003c 05 00000007 000000000009")
        + OPERATION
        + b"f" * 8
        + bytes.fromhex("0000000b 01a3185c507b 01 00000e10")
        + "élan".encode()
    )


@pytest.mark.parametrize(
    ("milliseconds", "packed"), [(-1, "000000000000"), (2**48 - 1, "f" * 12), (2**48, "f" * 12)]
)
def test_a_time_of_any_size_is_packed(milliseconds: int, packed: str) -> None:
    assert CallTime(milliseconds, is_agreed=False).pack() == bytes.fromhex(packed + "00")


def test_the_journal_tells_of_itself() -> None:
    read = journal.JournalRead(3, b"run:4", b"run:4", 500, b"", {})
    assert read.is_filled
    assert read.told == (3, b"run:4", 500, 4)
    assert not SEEN.is_filled
    assert journal.told_in([b"3", b"run:4", b"500"], 4) == read.told
    assert journal.told_in([None, None, None], 4) == (0, b"", 0, 4)


def test_the_answer_about_a_session_without_anything_beside_it() -> None:
    stored = read_stored([*NOTHING[:1], golden.RECORDS[golden.LIVE_1], *NOTHING[2:]])
    assert stored == Stored(NOTHING[0], golden.PARSED[golden.LIVE_1])


def test_a_script_has_its_name_where_sha_1_protects_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As under FIPS."""
    sha1 = hashlib.sha1

    def restricted(text: bytes, *, usedforsecurity: bool = True) -> Any:
        if usedforsecurity:
            raise ValueError("disabled for FIPS")
        return sha1(text, usedforsecurity=False)

    monkeypatch.setattr(hashlib, "sha1", restricted)
    script = assemble_script(lambda _: "return 1", "one")
    assert script.sha1 == b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
