"""One function per script about a subject or the standing of a session. Nothing is sent here."""

from dataclasses import dataclass
from typing import Any, Literal, cast

from clusterpass.limits import MOST_BANS
from clusterpass.protocol.calls.housekeeping import NO_OPERATION, Housekeeping, change
from clusterpass.protocol.calls.session import LONGEST_LINE
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LONGEST_NOTE, shorten_text
from clusterpass.protocol.replies import (
    Stored,
    StoredBan,
    read_bans,
    read_object,
    read_stored,
)
from clusterpass.protocol.script import ScriptCall, load_script


@dataclass(frozen=True, slots=True)
class Elevated:
    """The outcome of a step-up."""

    status: Literal["OK", "IMPERSONATED", "ENDED"]
    stored: Stored


@dataclass(frozen=True, slots=True)
class Banned:
    """The outcome of a ban."""

    status: Literal["OK", "FULL"]
    now_milliseconds: int
    ended: tuple[bytes, ...]
    bans: tuple[StoredBan, ...]


def shorten(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    lifetime: int | None,
    idle_lifetime: int | None,
) -> ScriptCall[Stored]:
    """Let a session end earlier; see ``scripts/shorten.lua``."""
    arguments = (
        session_id,
        b"" if lifetime is None else lifetime,
        b"" if idle_lifetime is None else idle_lifetime,
    )
    return change(keyspace, keeping, subject, "shorten", arguments=arguments, read=read_stored)


def elevate(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    seconds: int,
    level: str,
    methods: tuple[str, ...],
    address: bytes,
) -> ScriptCall[Elevated]:
    """Note a step-up; see ``scripts/elevate.lua``."""
    proved = f"{level}\0{' '.join(methods)}".encode()
    line = shorten_text(level, LONGEST_LINE)
    return change(
        keyspace,
        keeping,
        subject,
        "elevate",
        arguments=(session_id, seconds, proved, address, line),
        read=lambda raw: Elevated(cast("Any", raw[0].decode()), read_stored(raw[1])),
    )


def ban(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    scope: str,
    level: int,
    seconds: int,
    reason: str,
    operation: bytes = NO_OPERATION,
    begins: int | None = None,
) -> ScriptCall[Banned]:
    """Ban a subject; see ``scripts/ban.lua``.

    ``begins``: milliseconds since the epoch, where that was before now.
    """
    line = shorten_text(f"{scope} {reason}".strip(), LONGEST_LINE)
    return change(
        keyspace,
        keeping,
        subject,
        "ban",
        arguments=(
            scope.encode(),
            level,
            seconds,
            reason.encode(),
            MOST_BANS,
            shorten_text(reason, LONGEST_NOTE),
            line,
            b"" if begins is None else begins,
        ),
        read=lambda raw: Banned(
            cast("Any", raw[0].decode()),
            raw[1],
            tuple(raw[2]),
            read_bans(raw[3]) if raw[3] else (),
        ),
        operation=operation,
        insists=True,
    )


def unban(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    scope: str,
    operation: bytes = NO_OPERATION,
) -> ScriptCall[int]:
    """Lift a ban; see ``scripts/unban.lua``."""
    line = shorten_text(scope, LONGEST_LINE)
    return change(
        keyspace,
        keeping,
        subject,
        "unban",
        arguments=(scope.encode(), line),
        read=int,
        operation=operation,
    )


def read_subject_bans(
    keyspace: Keyspace, subject: str
) -> ScriptCall[tuple[int, tuple[StoredBan, ...]]]:
    """The server's time in seconds and the bans; see ``scripts/read_fields.lua``."""
    return _read(
        keyspace, subject, b"b", lambda raw: (raw[0] // 1000, read_bans(raw[1]) if raw[1] else ())
    )


def set_claims(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    claims: bytes,
    operation: bytes = NO_OPERATION,
) -> ScriptCall[int]:
    """Replace the live claims; see ``scripts/set_claims.lua``."""
    return change(
        keyspace,
        keeping,
        subject,
        "set_claims",
        arguments=(claims,),
        read=int,
        operation=operation,
    )


def read_claims(keyspace: Keyspace, subject: str) -> ScriptCall[dict[str, Any]]:
    """The live claims; see ``scripts/read_fields.lua``."""
    return _read(keyspace, subject, b"c", lambda raw: read_object(raw[1]) if raw[1] else {})


def read_generation(keyspace: Keyspace, subject: str) -> ScriptCall[int]:
    """The generation; see ``scripts/read_fields.lua``."""
    return _read(keyspace, subject, b"g", lambda raw: int(raw[1] or 0))


def settle(keyspace: Keyspace, keeping: Housekeeping, subject: str) -> ScriptCall[int]:
    """Remove what has ended; see ``scripts/settle.lua``."""
    return change(keyspace, keeping, subject, "settle", arguments=(), read=int)


def _read(keyspace: Keyspace, subject: str, name: bytes, read: Any) -> ScriptCall[Any]:
    return ScriptCall(load_script("read_fields"), (keyspace.sessions(subject),), (name,), read)
