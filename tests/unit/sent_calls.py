"""Every call with arguments, and what it must be: its script, its keys, and how it is tried."""

import dataclasses
from collections.abc import Callable
from typing import Any

from clusterpass.limits import MOST_BANS
from clusterpass.protocol.calls import (
    cutoff,
    directory,
    end,
    fingerprints,
    journal,
    key_lease,
    old_token_counts,
    one_time_links,
    online,
    promotion,
    secrets,
    session,
    step_up_and_shorten,
    subject,
)
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace, slot_of
from clusterpass.protocol.records import HAS_DETAILS, LONGEST_NOTE, REASON_NUMBERS
from clusterpass.protocol.replies import NO_DETAILS, Details
from clusterpass.protocol.script import ScriptCall

KEYSPACE = Keyspace()
TIME = CallTime(1_800_000_000_123, is_agreed=True)
KEEPING = Housekeeping(60, 5, 7, 9, time=TIME, operation_until=11)
SLOT = slot_of(b"cp:{alice}")
SESSIONS, ACTIVITY = b"cp:{alice}", b"cp:active:{alice}"
ONLINE = KEYSPACE.online(SLOT)
ID, DIGEST, OPERATION = b"i" * 16, b"d" * 16, b"o" * 8
ADDRESS = b"\x7f\x00\x00\x01"
LONG = "é" * 40
CHANGES = (SESSIONS, ACTIVITY, ONLINE)
"""The keys of a call that changes a subject."""


def first(operation: bytes = bytes(8), fingerprint: bytes = bytes(8)) -> bytes:
    """The first argument of a call that changes the subject."""
    return KEEPING.pack("alice", operation, fingerprint)


def new_session(**changed: Any) -> session.NewSession:
    values: dict[str, Any] = {
        "session_id": ID,
        "refresh_digest": DIGEST,
        "absolute_seconds": 100,
        "idle_seconds": 50,
        "details": NO_DETAILS,
        "most_sessions": 3,
    }
    return session.NewSession(**{**values, **changed})


@dataclasses.dataclass
class Sent:
    """What a call must be."""

    call: Callable[[], ScriptCall[Any]]
    script: str
    keys: tuple[bytes, ...]
    arguments: tuple[bytes | int, ...]
    confirm: bool = True
    insists: bool = False
    is_ending: bool = False
    deadline: float | None = None
    slot: int | None = None


def of_subject(make: Any, script: str, *arguments: bytes | int, **values: Any) -> Sent:
    """A call that changes the subject."""
    ends = script in {"end_session", "end_all", "ban"}
    return Sent(
        lambda: make(KEYSPACE, KEEPING, "alice", **values),
        script,
        CHANGES,
        arguments,
        insists=ends,
        is_ending=ends,
        slot=SLOT,
    )


ENDING = {"reason": "revoked", "address": ADDRESS, "note": LONG, "operation": OPERATION}
NOTE = LONG[: LONGEST_NOTE // 2].encode()
END_SESSION = fingerprints.of_end_session("alice", session_id=ID, reason="revoked", note=LONG)
END_ALL = fingerprints.of_end_all("alice", keep=ID, reason="revoked", device_type="tv", note=LONG)
END_ALL_TYPES = fingerprints.of_end_all(
    "alice", keep=None, reason="banned", device_type=None, note=""
)
BAN = fingerprints.of_ban("alice", scope="chat", level=2, seconds=30, reason=LONG)
BAN_ALL = fingerprints.of_ban("alice", scope="", level=1, seconds=0, reason="spam")
UNBAN = fingerprints.of_unban("alice", scope="chat")
CLAIMS = fingerprints.of_set_claims("alice", claims=b'{"a":1}')
JOURNAL = (KEYSPACE.journal(7),)
SECRETS = [(KEYSPACE.secrets(slot),) for slot in SLOTS_WITH_CUTOFF]
SEEN = journal.JournalRead(3, b"m", b"run:4", 0, b"", {})
NAMES = (b"cp:online:{", b"}", KEYSPACE.online(5)[11:15] + KEYSPACE.online(9)[11:15])
SENT: dict[str, Sent] = {
    "login": of_subject(
        session.login,
        "login",
        *(
            first(),
            ID,
            DIGEST,
            100,
            50,
            0,
            b"",
            b"",
            3,
            0,
            b"oldest",
            b"",
            b"",
            b"",
            1,
            b"",
            b"",
            b"",
        ),
        new=new_session(),
    ),
    "login with everything": of_subject(
        session.login,
        "login",
        *(first(), ID, DIGEST, 100, 50, 2 | HAS_DETAILS, b"tv\0Sofa", b'{"acr":"2"}', 3, 2),
        *(b"refuse", b"r" * 16, 0, ADDRESS, 10, LONG[:20].encode(), NOTE, b""),
        new=new_session(
            flags=2,
            device="tv\0Sofa",
            details=Details({}, level="2"),
            most_per_device=2,
            overflow="refuse",
            replaced=b"r" * 16,
            generation=0,
            address=ADDRESS,
            is_impersonation=True,
            label=LONG,
        ),
    ),
    "login whose details say nothing": of_subject(
        session.login,
        "login",
        *(
            first(),
            ID,
            DIGEST,
            100,
            50,
            0,
            b"",
            b"",
            3,
            0,
            b"oldest",
            b"",
            b"",
            b"",
            1,
            b"",
            b"",
            b"",
        ),
        new=new_session(details=Details({}, device="")),
    ),
    "verify": Sent(
        lambda: session.verify(KEYSPACE, "alice", session_id=ID),
        *("verify", (SESSIONS, ACTIVITY), (ID,)),
        slot=SLOT,
    ),
    "read_session": Sent(
        lambda: session.read_session(KEYSPACE.keys_of("alice"), session_id=ID, deadline=0.3),
        *("verify", (SESSIONS, ACTIVITY), (ID,)),
        deadline=0.3,
        slot=SLOT,
    ),
    "read_session without a deadline": Sent(
        lambda: session.read_session(KEYSPACE.keys_of("alice"), session_id=ID),
        *("verify", (SESSIONS, ACTIVITY), (ID,)),
        slot=SLOT,
    ),
    "rotate": of_subject(
        session.rotate,
        "rotate",
        *(first(), ID, DIGEST, 4, b"s" * 16, 30, b"chains", ADDRESS, b"1", b""),
        session_id=ID,
        presented_digest=DIGEST,
        rotation=4,
        successor_digest=b"s" * 16,
        grace=30,
        chains=b"chains",
        address=ADDRESS,
        until_used=True,
    ),
    "rotate without a grace period": of_subject(
        session.rotate,
        "rotate",
        *(first(), ID, DIGEST, 4, b"s" * 16, 0, b"", b"", b"", b""),
        session_id=ID,
        presented_digest=DIGEST,
        rotation=4,
        successor_digest=b"s" * 16,
    ),
    "touch": Sent(
        lambda: session.touch(KEYSPACE, KEEPING, "alice", session_id=ID),
        *("touch", (SESSIONS, ACTIVITY), (ID, 60, TIME.pack(), 0)),
        confirm=False,
        deadline=0.5,
        slot=SLOT,
    ),
    "touch by a token of an exchange": Sent(
        lambda: session.touch(KEYSPACE, KEEPING, "alice", session_id=ID, rotation=7),
        *("touch", (SESSIONS, ACTIVITY), (ID, 60, TIME.pack(), 7)),
        confirm=False,
        deadline=0.5,
        slot=SLOT,
    ),
    "end_session": of_subject(
        end.end_session,
        "end_session",
        *(first(OPERATION, END_SESSION), ID, REASON_NUMBERS["revoked"], ADDRESS, NOTE),
        session_id=ID,
        **ENDING,
    ),
    "end_all": of_subject(
        end.end_all,
        "end_all",
        *(first(OPERATION, END_ALL), ID, REASON_NUMBERS["revoked"], ADDRESS, NOTE, b"tv", 0),
        keep=ID,
        device_type="tv",
        up_to=0,
        **ENDING,
    ),
    "end_all of all types": of_subject(
        end.end_all,
        "end_all",
        *(first(bytes(8), END_ALL_TYPES), b"", REASON_NUMBERS["banned"], b"", b"", b"*", b""),
        keep=None,
        reason="banned",
    ),
    "end_all without a type": of_subject(
        end.end_all,
        "end_all",
        first(
            bytes(8),
            fingerprints.of_end_all("alice", keep=None, reason="idle", device_type="", note=""),
        ),
        *(b"", REASON_NUMBERS["idle"], b"", b"", b"", b""),
        keep=None,
        reason="idle",
        device_type="",
    ),
    "list_sessions": Sent(
        lambda: session.list_sessions(KEYSPACE, "alice"),
        *("list_sessions", (SESSIONS, ACTIVITY), ()),
        slot=SLOT,
    ),
    "shorten": of_subject(
        step_up_and_shorten.shorten,
        *("shorten", first(), ID, 0, 0),
        session_id=ID,
        lifetime=0,
        idle_lifetime=0,
    ),
    "shorten nothing": of_subject(
        step_up_and_shorten.shorten,
        *("shorten", first(), ID, b"", b""),
        session_id=ID,
        lifetime=None,
        idle_lifetime=None,
    ),
    "elevate": of_subject(
        step_up_and_shorten.elevate,
        *("elevate", first(), ID, 300, LONG.encode() + b"\0pwd otp", ADDRESS, LONG[:20].encode()),
        *(b"s" * 8, DIGEST, 1, 0),
        session_id=ID,
        seconds=300,
        level=LONG,
        methods=("pwd", "otp"),
        address=ADDRESS,
        step_up=b"s" * 8,
        refresh_digest=DIGEST,
        ends_older=True,
        password_changed=False,
    ),
    "elevate and leave older tokens": of_subject(
        step_up_and_shorten.elevate,
        *("elevate", first(), ID, 300, b"2\0", b"", b"2", b"s" * 8, DIGEST, 0, 0),
        session_id=ID,
        seconds=300,
        level="2",
        methods=(),
        address=b"",
        step_up=b"s" * 8,
        refresh_digest=DIGEST,
        ends_older=False,
        password_changed=False,
    ),
    "elevate after a change of the password": of_subject(
        step_up_and_shorten.elevate,
        *("elevate", first(), ID, 300, b"2\0", b"", b"", b"s" * 8, DIGEST, 1, 1),
        session_id=ID,
        seconds=300,
        level="2",
        methods=(),
        address=b"",
        step_up=b"s" * 8,
        refresh_digest=DIGEST,
        ends_older=True,
        password_changed=True,
    ),
    "ban": of_subject(
        subject.ban,
        *("ban", first(OPERATION, BAN), b"chat", 2, 30, LONG.encode(), MOST_BANS, NOTE),
        *(b"chat " + LONG[:17].encode(), 0),
        scope="chat",
        level=2,
        seconds=30,
        reason=LONG,
        operation=OPERATION,
        begins=0,
    ),
    "ban from everything": of_subject(
        subject.ban,
        *("ban", first(bytes(8), BAN_ALL), b"", 1, 0, b"spam", MOST_BANS, b"spam", b"spam", b""),
        scope="",
        level=1,
        seconds=0,
        reason="spam",
    ),
    "unban": of_subject(
        subject.unban,
        *("unban", first(OPERATION, UNBAN), b"chat", b"chat"),
        scope="chat",
        operation=OPERATION,
    ),
    "set_claims": of_subject(
        subject.set_claims,
        *("set_claims", first(OPERATION, CLAIMS), b'{"a":1}'),
        claims=b'{"a":1}',
        operation=OPERATION,
    ),
    "erase": of_subject(
        subject.erase,
        *("erase", first(OPERATION, fingerprints.of_erase("alice"))),
        operation=OPERATION,
    ),
    "note_refusal": Sent(
        lambda: subject.note_refusal(
            KEYSPACE, KEEPING, "alice", address=b"\x01\x02\x03\x04", code="x"
        ),
        *("note_refusal", CHANGES, (first(), b"\x01\x02\x03\x04", b"x")),
        confirm=False,
        slot=SLOT,
    ),
    "settle": of_subject(subject.settle, "settle", first()),
    "read_subject_bans": Sent(
        lambda: subject.read_subject_bans(KEYSPACE, "alice"), "read_fields", (SESSIONS,), (b"b",)
    ),
    "read_claims": Sent(
        lambda: subject.read_claims(KEYSPACE, "alice"), "read_fields", (SESSIONS,), (b"c",)
    ),
    "read_generation": Sent(
        lambda: subject.read_generation(KEYSPACE, "alice"), "read_fields", (SESSIONS,), (b"g",)
    ),
    "append_to_journal": Sent(
        lambda: journal.append_to_journal(KEYSPACE, 7, b"id", b"entry"),
        *("journal_append", JOURNAL, (b"id", b"entry", 100_000)),
        is_ending=True,
        deadline=0.5,
        slot=7,
    ),
    "append_to_journal unconfirmed": Sent(
        lambda: journal.append_to_journal(KEYSPACE, 7, b"id", b"entry", confirm=False),
        *("journal_append", JOURNAL, (b"id", b"entry", 100_000)),
        confirm=False,
        is_ending=True,
        deadline=0.5,
        slot=7,
    ),
    "read_journal": Sent(
        lambda: journal.read_journal(KEYSPACE, 7, journal.ReadFrom(0)),
        *("journal_read", JOURNAL, (0, b"0", 1000)),
        slot=7,
    ),
    "read_journal from a place": Sent(
        lambda: journal.read_journal(KEYSPACE, 7, journal.ReadFrom(None, b"8", 5)),
        *("journal_read", JOURNAL, (b"", b"8", 1000)),
        slot=7,
    ),
    "trim_journal": Sent(
        lambda: journal.trim_journal(KEYSPACE, 7, [b"one", b"two"]),
        *("journal_trim", JOURNAL, (b"one", b"two")),
        confirm=False,
        deadline=0.5,
        slot=7,
    ),
    "fill_journal": Sent(
        lambda: journal.fill_journal(
            KEYSPACE, 7, seen=SEEN, milliseconds=500, entries={b"id": b"entry"}, is_last=True
        ),
        *("journal_fill", JOURNAL, (b"m", b"run:4", 500, b"1", b"id", b"entry")),
        confirm=False,
        slot=7,
    ),
    "fill_journal in part": Sent(
        lambda: journal.fill_journal(
            KEYSPACE, 7, seen=SEEN, milliseconds=500, entries={}, is_last=False
        ),
        *("journal_fill", JOURNAL, (b"m", b"run:4", 500, b"")),
        confirm=False,
        slot=7,
    ),
    "raise_cutoff": Sent(
        lambda: cutoff.raise_cutoff(KEYSPACE, 7, milliseconds=0, ahead=3, time=TIME),
        *("not_before", (KEYSPACE.not_before(7),), (0, 3, TIME.pack())),
        insists=True,
        is_ending=True,
    ),
    "raise_cutoff to now": Sent(
        lambda: cutoff.raise_cutoff(KEYSPACE, 7, milliseconds=None, ahead=3),
        *("not_before", (KEYSPACE.not_before(7),), (b"", 3, bytes(7))),
        insists=True,
        is_ending=True,
    ),
    "read_cutoff": Sent(
        lambda: cutoff.read_cutoff(KEYSPACE, 7, deadline=0.2),
        *("read_not_before", (KEYSPACE.not_before(7),), ()),
        deadline=0.2,
    ),
    "never_promoted": Sent(
        lambda: promotion.never_promoted(b"key", 7),
        *("never_promoted", (b"key",), (2,)),
        deadline=0.25,
        slot=7,
    ),
    "count_online": Sent(
        lambda: online.count_online(KEYSPACE, [5, 9], time=TIME),
        *("online_count", (KEYSPACE.online(5),), (*NAMES, TIME.pack())),
    ),
    "page_online": Sent(
        lambda: online.page_online(KEYSPACE, [5, 9], cursor=4, most=20, time=TIME),
        *("online_page", (KEYSPACE.online(5),), (*NAMES, 4, 20, TIME.pack())),
    ),
    "count_old_tokens": Sent(
        lambda: old_token_counts.count_old_tokens(
            KEYSPACE, "pyjwt", (1, 2, 3), last_seen_at=4, last_issued_at=5, lifetime=6
        ),
        *("count_old_tokens", (KEYSPACE.old_tokens(),), (b"pyjwt", 1, 2, 3, 4, 5, 6)),
    ),
    "read_old_token_counts": Sent(
        lambda: old_token_counts.read_old_tokens(KEYSPACE),
        *("read_old_token_counts", (KEYSPACE.old_tokens(),), ()),
    ),
    "add_user": Sent(
        lambda: directory.add_user(KEYSPACE, "ann", password_hash="h", operation=OPERATION),
        *("user_add", (b"cp:{ann}:user",), (b"h", OPERATION)),
    ),
    "remove_user": Sent(
        lambda: directory.remove_user(KEYSPACE, "ann", created_at=5),
        *("user_remove", (b"cp:{ann}:user",), (5,)),
    ),
    "make_link": Sent(
        lambda: one_time_links.make_link(KEYSPACE, "ann", digest=b"d" * 32, seconds=60),
        *("link_make", (b"cp:{ann}:user",), (b"d" * 32, 60)),
    ),
    "find_link": Sent(
        lambda: one_time_links.find_link(KEYSPACE, "ann", digest=b"d" * 32),
        *("link_check", (b"cp:{ann}:user",), (b"d" * 32,)),
    ),
    "use_link": Sent(
        lambda: one_time_links.use_link(KEYSPACE, "ann", digest=b"d" * 32, password_hash="hash"),
        *("link_use", (b"cp:{ann}:user",), (b"d" * 32, b"hash")),
    ),
    "find_user": Sent(
        lambda: directory.find_user(KEYSPACE, "ann"), "user_find", (b"cp:{ann}:user",), ()
    ),
    "change_user": Sent(
        lambda: directory.change_user(
            KEYSPACE, "ann", field_name="password", value="new", expected="old"
        ),
        *("user_change", (b"cp:{ann}:user",), (b"password", b"new", b"old")),
    ),
    "change_user whatever it is": Sent(
        lambda: directory.change_user(KEYSPACE, "ann", field_name="disabled", value="1"),
        *("user_change", (b"cp:{ann}:user",), (b"disabled", b"1", b"")),
    ),
    "count_attempt": Sent(
        lambda: directory.count_attempt(b"key", most=10, window_seconds=300),
        *("count_attempt", (b"key",), (10, 300)),
    ),
    "forget_attempts": Sent(
        lambda: directory.forget_attempts(b"key"), "forget_attempts", (b"key",), ()
    ),
    "return_attempt": Sent(
        lambda: directory.return_attempt(b"key"), "return_attempt", (b"key",), ()
    ),
    "read_secrets": Sent(
        lambda: secrets.read_secrets(KEYSPACE, 1, deadline=0.3),
        *("read_secrets", SECRETS[1], ()),
        deadline=0.3,
    ),
    "read_secrets of the first copy": Sent(
        lambda: secrets.read_secrets(KEYSPACE, secrets.COPIES), "read_secrets", SECRETS[0], ()
    ),
    "add_secrets": Sent(
        lambda: secrets.add_secrets(KEYSPACE, 2, {"a": b"1", "b": b"2"}, deadline=0.3),
        *("add_secrets", SECRETS[2], (b"", b"", b"a", b"1", b"b", b"2")),
        deadline=0.3,
    ),
    "add_secrets and tell": Sent(
        lambda: secrets.add_secrets(KEYSPACE, 0, {"a": b"1"}, when="always", tells=True),
        *("add_secrets", SECRETS[0], (b"always", KEYSPACE.channel(), b"a", b"1")),
    ),
    "prune_secrets": Sent(
        lambda: secrets.prune_secrets(
            KEYSPACE, 0, {"a": (b"1", 5), "b": (b"2", 6)}, marker="m", deadline=0.3
        ),
        *("prune_secrets", SECRETS[0], (b"m", b"a", b"1", 5, b"b", b"2", 6)),
        deadline=0.3,
    ),
    "take_key_lease": Sent(
        lambda: key_lease.take_lease(KEYSPACE, owner=b"me", seconds=9),
        *("take_key_lease", (KEYSPACE.key_lease(SLOTS_WITH_CUTOFF[0]),), (b"me", 9)),
        confirm=False,
    ),
}
