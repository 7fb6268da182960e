"""One function per session script: what to send, and the typed reply. Nothing is sent here."""

from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.calls.housekeeping import NO_OPERATION, Housekeeping, change
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LONGEST_NOTE, REASON_NUMBERS, shorten_text
from clusterpass.protocol.replies import (
    Details,
    Listed,
    Stored,
    read_listed,
    read_stored,
)
from clusterpass.protocol.script import ScriptCall, load_script

LoginStatus = Literal["OK", "BANNED", "REFUSED", "OVERTAKEN"]
RotateStatus = Literal["OK", "AGAIN", "UNKNOWN", "ENDED", "REUSED"]
EndStatus = Literal["ENDED", "ALREADY", "UNKNOWN"]
Overflow = Literal["oldest", "least_recently_used", "refuse"]
LONGEST_LINE: Final = 40
"""Bytes of the text of a line of the history."""
_VERIFY: Final = load_script("verify")
_EVENT_LOGIN: Final = 1
_TOUCH_DEADLINE: Final = 0.5
"""Seconds: a verify does not wait long for a note of a session's use."""
_EVENT_IMPERSONATED: Final = 10


@dataclass(slots=True, kw_only=True)
class Opening:
    """A session that is to be opened, and within which limits."""

    session_id: bytes
    refresh_digest: bytes
    absolute_seconds: int
    idle_seconds: int
    flags: int = 0
    device: str = ""
    details: Details
    most_sessions: int
    most_per_device: int = 0
    overflow: Overflow = "oldest"
    replaced: bytes = b""
    """The session that is to leave."""
    generation: int | None = None
    address: bytes = b""
    is_impersonation: bool = False
    label: str = ""
    """The device as the history and the tombstones of the replaced name it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The outcome of a login."""

    status: LoginStatus
    stored: Stored
    replaced: tuple[bytes, ...]
    listed: Listed | None
    """The sessions that there are, of a login that was refused."""


@dataclass(frozen=True, slots=True)
class EndedOne:
    """The outcome of the end of one session."""

    now_milliseconds: int
    status: EndStatus


@dataclass(frozen=True, slots=True)
class EndedAll:
    """The outcome of the end of several."""

    now_milliseconds: int
    ended: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rotated:
    """The outcome of an exchange of a refresh token."""

    status: RotateStatus
    stored: Stored
    key: int = 0
    """Which key derived the successor, of a token that was exchanged a moment ago."""


def login(
    keyspace: Keyspace, keeping: Housekeeping, subject: str, opening: Opening
) -> ScriptCall[Opened]:
    """Open a session; see ``scripts/login.lua``."""
    return change(
        keyspace,
        keeping,
        subject,
        "login",
        arguments=(
            opening.session_id,
            opening.refresh_digest,
            opening.absolute_seconds,
            opening.idle_seconds,
            opening.flags,
            opening.device.encode(),
            opening.details.encode(),
            opening.most_sessions,
            opening.most_per_device,
            opening.overflow.encode(),
            opening.replaced,
            b"" if opening.generation is None else opening.generation,
            opening.address,
            _EVENT_IMPERSONATED if opening.is_impersonation else _EVENT_LOGIN,
            shorten_text(opening.label, LONGEST_LINE),
            shorten_text(opening.label, LONGEST_NOTE),
        ),
        read=_read_opened,
    )


def verify(keyspace: Keyspace, subject: str, *, session_id: bytes) -> ScriptCall[Stored]:
    """Read one session; see ``scripts/verify.lua``."""
    keys = keyspace.sessions_and_activity(subject)
    return ScriptCall(load_script("verify"), keys, (session_id,), read_stored)


def read_session(
    keyspace: Keyspace,
    key: bytes,
    *,
    session_id: bytes,
    slot: int,
    deadline: float | None = None,
) -> ScriptCall[list[Any]]:
    """The same by the key of the sessions, and with the answer as it came.

    ``read_stored`` reads it. An answer that is equal, but for its time, means the same.
    """
    keys = key, keyspace.activity_beside(key)
    return ScriptCall(_VERIFY, keys, (session_id,), _as_it_came, slot=slot, deadline=deadline)


def rotate(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    presented_digest: bytes,
    rotation: int,
    successor_digest: bytes,
    grace: int = 0,
    chains: bytes = b"",
    address: bytes = b"",
) -> ScriptCall[Rotated]:
    """Exchange a refresh token; see ``scripts/rotate.lua``."""
    return change(
        keyspace,
        keeping,
        subject,
        "rotate",
        arguments=(
            session_id,
            presented_digest,
            rotation,
            successor_digest,
            grace,
            chains,
            address,
        ),
        read=_read_rotated,
    )


def touch(
    keyspace: Keyspace, keeping: Housekeeping, subject: str, *, session_id: bytes
) -> ScriptCall[int]:
    """Note that a session is in use; see ``scripts/touch.lua``.

    No replica is asked to confirm: what a failover loses of it, the next use writes again.
    """
    keys = keyspace.sessions_and_activity(subject)
    arguments = session_id, keeping.tombstone_seconds
    return ScriptCall(
        load_script("touch"), keys, arguments, int, confirm=False, deadline=_TOUCH_DEADLINE
    )


def end_session(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    reason: RevocationReason,
    address: bytes = b"",
    note: str = "",
    operation: bytes = NO_OPERATION,
) -> ScriptCall[EndedOne]:
    """End one session; see ``scripts/end_session.lua``."""
    return change(
        keyspace,
        keeping,
        subject,
        "end_session",
        arguments=(session_id, REASON_NUMBERS[reason], address, shorten_text(note, LONGEST_NOTE)),
        read=lambda raw: EndedOne(raw[0], cast("EndStatus", raw[1].decode())),
        operation=operation,
        insists=True,
    )


def end_all(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    keep: bytes | None,
    reason: RevocationReason,
    device_type: str | None = None,
    address: bytes = b"",
    note: str = "",
    operation: bytes = NO_OPERATION,
    up_to: int | None = None,
) -> ScriptCall[EndedAll]:
    """End all sessions, all but one, or those of a kind of device; see ``scripts/end_all.lua``.

    ``up_to``: milliseconds since the epoch; only those that were opened up to then.
    """
    return change(
        keyspace,
        keeping,
        subject,
        "end_all",
        arguments=(
            keep or b"",
            REASON_NUMBERS[reason],
            address,
            shorten_text(note, LONGEST_NOTE),
            b"*" if device_type is None else device_type.encode(),
            b"" if up_to is None else up_to,
        ),
        read=lambda raw: EndedAll(raw[0], tuple(raw[1])),
        operation=operation,
        insists=True,
    )


def list_sessions(keyspace: Keyspace, subject: str) -> ScriptCall[Listed]:
    """Read all of a subject; see ``scripts/list_sessions.lua``."""
    keys = keyspace.sessions_and_activity(subject)
    return ScriptCall(load_script("list_sessions"), keys, (), read_listed)


def _as_it_came(raw: list[Any]) -> list[Any]:
    return raw


def _read_opened(raw: list[Any]) -> Opened:
    status, stored, replaced, fields, activity = raw
    return Opened(
        cast("LoginStatus", status.decode()),
        read_stored(stored),
        tuple(replaced),
        read_listed([stored[0], fields, activity]) if fields else None,
    )


def _read_rotated(raw: list[Any]) -> Rotated:
    status, stored, key = raw
    return Rotated(cast("RotateStatus", status.decode()), read_stored(stored), key)
