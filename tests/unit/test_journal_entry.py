"""Entries of the journal: what is written is read again, and is the call that it stands for."""

import json
import struct
from dataclasses import replace
from typing import Any

import pytest

from clusterpass.model.errors import UnreadableRecord
from clusterpass.protocol.calls import (
    end as end_calls,
    subject as subject_calls,
)
from clusterpass.protocol.calls.call_time import NO_TIME, CallTime
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.journal_entry import LATEST, JournalEntry
from clusterpass.protocol.keyspace import Keyspace

KEYSPACE = Keyspace()
NOW = 1_800_000_000
KEEPING = Housekeeping(
    975, 10, 86_400, 1_700_000_000_000, time=CallTime(NOW * 1000 + 7, is_agreed=True)
)
OPERATION = b"operates"
SESSION = bytes(range(16))
EXPIRES = 1_900_000_000
TIME = 1_800_000_000_123
SUBJECTS = ("alice", "Zoë Łuk", "名前", 'quo"te\\d{}', "\N{PILE OF POO}")
NOTES = ("", "stolen", "verloren, geändert", 'a "note"\n\0', "n" * 300)


def end_session(subject: str = "alice", note: str = "stolen", **changed: Any) -> JournalEntry:
    values: dict[str, Any] = {
        "session_id": SESSION,
        "reason": "revoked",
        "address": b"\x7f\x00\x00\x01",
        "note": note,
        "expires_at": EXPIRES,
    }
    return JournalEntry.of_end_session(OPERATION, subject, **{**values, **changed})


def end_all(subject: str = "alice", note: str = "stolen", **changed: Any) -> JournalEntry:
    values: dict[str, Any] = {
        "keep": SESSION,
        "device_type": "phone",
        "note": note,
        "milliseconds": TIME,
        "expires_at": EXPIRES,
    }
    return JournalEntry.of_end_all(OPERATION, subject, **{**values, **changed})


def ban(subject: str = "alice", note: str = "stolen", **changed: Any) -> JournalEntry:
    values: dict[str, Any] = {
        "scope": "chat",
        "level": 2,
        "seconds": 60,
        "reason": note,
        "milliseconds": TIME,
        "expires_at": EXPIRES,
    }
    return JournalEntry.of_ban(OPERATION, subject, **{**values, **changed})


MAKERS = (end_session, end_all, ban)
ENTRIES = [make(subject, note) for make in MAKERS for subject in SUBJECTS for note in NOTES]
ENTRIES += [
    end_session(address=b"", reason="logged_out"),
    end_all(keep=None, device_type=None),
    end_all(keep=None, device_type="", milliseconds=None),
    ban(scope="", seconds=0),
    ban(milliseconds=None, expires_at=LATEST),
]


def keeping_of(entry: JournalEntry) -> Housekeeping:
    is_of_one = entry.verb == "end_session"
    until = NOW + 2 * KEEPING.tombstone_seconds if is_of_one else entry.expires_at
    return replace(KEEPING, operation_until=until)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.verb} {entry.subject!r}")
def test_what_is_written_is_read_again(entry):
    assert JournalEntry.decode(entry.id, entry.encode()) == entry


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.verb} {entry.subject!r}")
def test_what_was_read_is_the_same_call(entry):
    found = JournalEntry.decode(entry.id, entry.encode()).call(KEYSPACE, KEEPING)
    meant = entry.call(KEYSPACE, KEEPING)
    assert (found.script, found.keys, found.arguments) == (
        meant.script,
        meant.keys,
        meant.arguments,
    )
    assert found.is_ending


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("note", NOTES)
def test_an_entry_of_one_session_is_the_direct_call(subject, note):
    direct = end_calls.end_session(
        KEYSPACE,
        keeping_of(end_session()),
        subject,
        session_id=SESSION,
        reason="revoked",
        address=b"\x7f\x00\x00\x01",
        note=note,
        operation=OPERATION,
    )
    carried = end_session(subject, note).call(KEYSPACE, KEEPING)
    assert (carried.script.name, carried.arguments) == ("end_session", direct.arguments)
    assert carried.keys == direct.keys


@pytest.mark.parametrize("keep", [None, SESSION])
@pytest.mark.parametrize("device_type", [None, "", "phone"])
@pytest.mark.parametrize("milliseconds", [None, TIME])
def test_an_entry_of_all_sessions_is_the_direct_call(keep, device_type, milliseconds):
    direct = end_calls.end_all(
        KEYSPACE,
        keeping_of(end_all()),
        "Zoë",
        keep=keep,
        reason="revoked",
        device_type=device_type,
        note="stolen",
        operation=OPERATION,
        up_to=milliseconds,
    )
    entry = end_all("Zoë", keep=keep, device_type=device_type, milliseconds=milliseconds)
    carried = entry.call(KEYSPACE, KEEPING)
    assert (carried.script.name, carried.arguments) == ("end_all", direct.arguments)


@pytest.mark.parametrize("scope", ["", "chat:*"])
@pytest.mark.parametrize("seconds", [0, 60])
@pytest.mark.parametrize("milliseconds", [None, TIME])
def test_an_entry_of_a_ban_is_the_direct_call(scope, seconds, milliseconds):
    direct = subject_calls.ban(
        KEYSPACE,
        keeping_of(ban()),
        "Zoë",
        scope=scope,
        level=2,
        seconds=seconds,
        reason="stolen",
        operation=OPERATION,
        begins=milliseconds,
    )
    entry = ban("Zoë", scope=scope, seconds=seconds, milliseconds=milliseconds)
    carried = entry.call(KEYSPACE, KEEPING)
    assert (carried.script.name, carried.arguments) == ("ban", direct.arguments)


@pytest.mark.parametrize("make", MAKERS)
def test_the_fingerprint_that_journals_compare_is_that_of_the_call(make):
    """Whether the time of the first execution is known makes no other request of it."""
    entry = make("Zoë")
    assert entry.encode()[:8] == entry.call(KEYSPACE, KEEPING).arguments[0][23:31]
    assert replace(entry, milliseconds=None).encode()[:8] == entry.encode()[:8]
    assert make("Zoë", "another note").encode()[:8] != entry.encode()[:8]


@pytest.mark.parametrize("make", MAKERS)
def test_an_entry_whose_id_is_taken_is_the_same_request_under_another_id(make):
    """Every process has to find the same other id, or it would be carried out more than once."""
    entry = make("Zoë")
    other = entry.renamed()
    assert other == replace(entry, operation=other.operation)
    assert len(other.operation) == len(OPERATION)
    assert other.operation != OPERATION
    assert JournalEntry.decode(entry.id, entry.encode()).renamed() == other
    assert make("Zoë", "another note").renamed().operation != other.operation
    assert make("alice").renamed().operation != other.operation


@pytest.mark.parametrize("make", MAKERS)
def test_ids_are_each_subject_s_own(make):
    one, other = make("alice"), make("alicé")
    assert one.operation == other.operation
    assert one.id != other.id
    assert len(one.id) == len(other.id) == 16
    assert one.id.startswith(OPERATION)
    assert replace(one, operation=b"another!").id[8:] == one.id[8:]
    assert JournalEntry.decode(one.id, one.encode()).operation == OPERATION


@pytest.mark.parametrize("make", [end_all, ban])
@pytest.mark.parametrize(("expires_at", "kept"), [(EXPIRES, EXPIRES), (LATEST + 5, LATEST)])
def test_the_owner_keeps_the_operation_for_as_long_as_the_entry_counts(make, expires_at, kept):
    entry = make(expires_at=expires_at)
    first = entry.call(KEYSPACE, KEEPING).arguments[0]
    assert first == replace(KEEPING, operation_until=kept).pack("alice", OPERATION, first[23:31])
    assert struct.unpack(">I", first[31:35]) == (kept,)
    assert struct.unpack(">I", entry.encode()[8:12]) == (kept,)


@pytest.mark.parametrize("soon", [False, True])
def test_the_owner_keeps_the_operation_that_ends_one_session_for_minutes(soon):
    """Its id is never used again, and nobody may fill a subject with what a logout leaves."""
    kept = NOW + 2 * KEEPING.tombstone_seconds
    entry = end_session(expires_at=kept - 5 if soon else EXPIRES)
    first = entry.call(KEYSPACE, KEEPING).arguments[0]
    assert struct.unpack(">I", first[31:35]) == (kept - 5 * soon,)
    untold = entry.call(KEYSPACE, replace(KEEPING, time=NO_TIME)).arguments[0]
    assert struct.unpack(">I", untold[31:35]) == (2 * KEEPING.tombstone_seconds,)


def test_what_ends_the_same_session_is_known_under_any_id():
    entry = end_session()
    assert entry.is_same_end(replace(entry, operation=b"another!", expires_at=EXPIRES + 1))
    assert entry.is_same_end(end_session(address=b""))
    others = (end_session("Łuk"), end_session("alice", "lost"), end_session(reason="logged_out"))
    assert not any(entry.is_same_end(other) for other in others)
    assert not entry.is_same_end(end_session(session_id=bytes(16)))
    assert not end_all().is_same_end(end_all()), "a later one ends sessions that were opened since"
    assert not ban().is_same_end(ban())


def written(body: Any) -> bytes:
    return bytes(8) + struct.pack(">I", EXPIRES) + json.dumps(body).encode()


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        bytes(11),
        bytes(12),
        bytes(12) + b"{",
        bytes(12) + b"\xff\xfe",
        end_all().encode()[:-1],
        written([]),
        written(["end_all", "alice"]),
        written(5),
        written(None),
        written(True),
        written("end_all"),
        written({"verb": "end_all"}),
    ],
)
def test_garbage_is_not_readable(encoded):
    with pytest.raises(UnreadableRecord):
        JournalEntry.decode(end_all().id, encoded)


@pytest.mark.parametrize(
    "body",
    [
        ["purge", "alice", None, "x"],
        ["end_session", "alice", None, 5, "revoked", "", ""],
        ["end_all", "bob", None, "", None, ""],
        ["end_all", 5, None, "", None, ""],
        ["end_all", "alice", None, "", None],
        ["end_all", "alice", None, "", None, "", "more"],
    ],
)
def test_what_a_later_release_may_write_is_not_readable(body):
    with pytest.raises(UnreadableRecord):
        JournalEntry.decode(end_all().id, written(body))


# Cutoffs


def cutoff(milliseconds: int = TIME) -> JournalEntry:
    return JournalEntry.of_revoke_before(OPERATION, milliseconds=milliseconds, expires_at=EXPIRES)


def test_a_cutoff_belongs_to_no_subject_and_no_call_carries_it_out():
    entry = JournalEntry.decode(cutoff().id, cutoff().encode())
    assert entry == cutoff()
    assert (entry.subject, entry.verb, entry.milliseconds) == ("", "revoke_before", TIME)
    with pytest.raises(UnreadableRecord):
        entry.call(KEYSPACE, KEEPING)


def test_cutoffs_of_different_times_are_different_requests():
    assert cutoff().encode()[:8] == cutoff().encode()[:8]
    assert cutoff(TIME + 1).encode()[:8] != cutoff().encode()[:8]


def test_an_entry_is_written_in_utf_8_without_spaces():
    entry = end_session(subject="élan", note="volé")
    body = ["end_session", "élan", None, *entry.arguments]
    text = ",".join(f'"{each}"' if each is not None else "null" for each in body)
    assert entry.encode()[12:] == f"[{text}]".encode()
