"""One function per session script: what to send, and the typed reply. Nothing is sent here."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from clusterpass.errors import RevocationReason, UnreadableRecord
from clusterpass.models import SESSION_ID_BYTES
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import (
    REASON_NUMBERS,
    LiveRecord,
    Tombstone,
    parse_record,
)
from clusterpass.protocol.script import ScriptCall, load_script

RotateStatus = Literal["OK", "UNKNOWN", "ENDED", "EXPIRED", "USED", "MISMATCH"]
EndStatus = Literal["ENDED", "ALREADY", "UNKNOWN"]


@dataclass(frozen=True, slots=True)
class Details:
    """What does not fit a record."""

    claims: dict[str, Any]
    device: str | None = None

    def encode(self) -> bytes:
        """JSON, or nothing when there is nothing to say."""
        members: dict[str, Any] = {}
        if self.claims:
            members["claims"] = self.claims
        if self.device is not None:
            members["device"] = self.device
        if not members:
            return b""
        return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


NO_DETAILS: Final = Details({})
_DETAILS_SUFFIX: Final = b"d"


@dataclass(frozen=True, slots=True)
class Stored:
    """A session as the store holds it, at the server's time ``now_milliseconds``."""

    now_milliseconds: int
    record: LiveRecord | Tombstone | None
    details: Details

    @property
    def now(self) -> int:
        """The server's time in whole seconds since the epoch."""
        return self.now_milliseconds // 1000


@dataclass(frozen=True, slots=True)
class Rotated:
    """The outcome of an exchange of a refresh token."""

    status: RotateStatus
    stored: Stored


@dataclass(frozen=True, slots=True)
class Opened:
    """The outcome of a login."""

    stored: Stored
    replaced: int


@dataclass(frozen=True, slots=True)
class Listed:
    """All that the store holds of a subject."""

    now: int
    records: dict[bytes, LiveRecord | Tombstone]
    details: dict[bytes, Details]


def login(
    keyspace: Keyspace,
    subject: str,
    *,
    session_id: bytes,
    refresh_digest: bytes,
    absolute_seconds: int,
    idle_seconds: int,
    device: str,
    details: Details,
    most_sessions: int,
    tombstone_seconds: int,
) -> ScriptCall[Opened]:
    """Open a session; see ``scripts/login.lua``."""
    return ScriptCall(
        load_script("login"),
        (keyspace.sessions(subject),),
        (
            session_id,
            refresh_digest,
            absolute_seconds,
            idle_seconds,
            device.encode(),
            details.encode(),
            most_sessions,
            tombstone_seconds,
        ),
        _read_opened,
    )


def verify(keyspace: Keyspace, subject: str, *, session_id: bytes) -> ScriptCall[Stored]:
    """Read one session; see ``scripts/verify.lua``."""
    return ScriptCall(
        load_script("verify"), (keyspace.sessions(subject),), (session_id,), _read_stored
    )


def rotate(
    keyspace: Keyspace,
    subject: str,
    *,
    session_id: bytes,
    presented_digest: bytes,
    rotation: int,
    successor_digest: bytes,
) -> ScriptCall[Rotated]:
    """Exchange a refresh token; see ``scripts/rotate.lua``."""
    return ScriptCall(
        load_script("rotate"),
        (keyspace.sessions(subject),),
        (session_id, presented_digest, rotation, successor_digest),
        _read_rotated,
    )


def end_session(
    keyspace: Keyspace,
    subject: str,
    *,
    session_id: bytes,
    reason: RevocationReason,
    tombstone_seconds: int,
) -> ScriptCall[EndStatus]:
    """End one session; see ``scripts/end_session.lua``."""
    return ScriptCall(
        load_script("end_session"),
        (keyspace.sessions(subject),),
        (session_id, REASON_NUMBERS[reason], tombstone_seconds),
        lambda raw: cast("EndStatus", raw.decode()),
    )


def end_all(
    keyspace: Keyspace,
    subject: str,
    *,
    keep: bytes | None,
    reason: RevocationReason,
    tombstone_seconds: int,
) -> ScriptCall[int]:
    """End all sessions of a subject, or all but one; see ``scripts/end_all.lua``."""
    return ScriptCall(
        load_script("end_all"),
        (keyspace.sessions(subject),),
        (keep or b"", REASON_NUMBERS[reason], tombstone_seconds),
        int,
    )


def list_sessions(keyspace: Keyspace, subject: str) -> ScriptCall[Listed]:
    """Read all of a subject; see ``scripts/list_sessions.lua``."""
    return ScriptCall(load_script("list_sessions"), (keyspace.sessions(subject),), (), _read_listed)


def _read_stored(raw: list[Any]) -> Stored:
    now_milliseconds, record, details = raw
    return Stored(
        now_milliseconds, parse_record(record) if record else None, _read_details(details)
    )


def _read_opened(raw: list[Any]) -> Opened:
    _, now_milliseconds, record, replaced = raw
    return Opened(_read_stored([now_milliseconds, record, b""]), replaced)


def _read_rotated(raw: list[Any]) -> Rotated:
    status, *stored = raw
    return Rotated(cast("RotateStatus", status.decode()), _read_stored(stored))


def _read_listed(raw: list[Any]) -> Listed:
    now_milliseconds, fields = raw
    listed = Listed(now_milliseconds // 1000, {}, {})
    for name, value in _pairs(fields):
        session_id, suffix = name[:SESSION_ID_BYTES], name[SESSION_ID_BYTES:]
        if not suffix:
            listed.records[session_id] = parse_record(value)
        elif suffix == _DETAILS_SUFFIX:
            listed.details[session_id] = _read_details(value)
    return listed


def _pairs(flat: list[bytes] | dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    # RESP3 answers a map where RESP2 answers a flat list.
    if isinstance(flat, dict):
        return list(flat.items())
    return list(zip(flat[::2], flat[1::2], strict=True))


def _read_details(value: bytes) -> Details:
    if not value:
        return NO_DETAILS
    try:
        members = json.loads(value)
    except (ValueError, RecursionError):
        raise UnreadableRecord from None
    if not isinstance(members, dict):
        raise UnreadableRecord
    claims, device = members.get("claims", {}), members.get("device")
    if not isinstance(claims, dict) or not isinstance(device, str | None):
        raise UnreadableRecord
    return Details(claims, device)
