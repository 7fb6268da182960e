"""The calls about a subject as a whole: its bans, live claims, and everything known of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from clusterpass.limits import MOST_BANS
from clusterpass.protocol.calls import fingerprints
from clusterpass.protocol.calls.statuses import BanStatus, SetClaimsStatus
from clusterpass.protocol.calls.subject_change import NO_OPERATION, Housekeeping, change
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import (
    LONGEST_LINE,
    LONGEST_NOTE,
    LiveRecord,
    Tombstone,
    parse_record,
    shorten_text,
)
from clusterpass.protocol.replies import StoredBan, read_bans, read_object
from clusterpass.protocol.script import ScriptCall, load_script

UNBAN_MISMATCH: Final = 2
"""The reply to an :func:`unban` whose operation id belongs to another request."""


@dataclass(frozen=True, slots=True)
class Banned:
    """The outcome of a ban."""

    status: BanStatus
    """Whether the subject is banned, or has the most bans already, or the call was refused."""
    now_milliseconds: int
    """The server's time when the ban was first carried out, in milliseconds since the epoch."""
    ended: tuple[bytes, ...]
    """The ids of the sessions that the ban ended."""
    bans: tuple[StoredBan, ...]
    """All bans of the subject now."""


@dataclass(frozen=True, slots=True)
class ClaimsSet:
    """The outcome of a change of live claims."""

    status: SetClaimsStatus
    """Whether the call was carried out, now or before."""
    sessions: int
    """The number of live sessions that the claims now belong to; with 0 nothing is stored."""
    is_changed: bool
    """Whether the claims differ from those before."""


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
    """Ban a subject from ``scope``, or from everything when that is empty.

    ``seconds``: for how long; 0: for good. ``begins``: the beginning in milliseconds since the
    epoch, where that was before now. ``operation``: the same for each repetition of a call. The
    script is ``scripts/ban.lua``.
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
            cast("BanStatus", raw[0].decode()),
            raw[1],
            tuple(raw[2]),
            read_bans(raw[3]) if raw[3] else (),
        ),
        operation=operation,
        fingerprint=fingerprints.of_ban(
            subject, scope=scope, level=level, seconds=seconds, reason=reason
        ),
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
    """Lift the ban from ``scope`` (empty: from everything); the reply is 1, or 0: there was none.

    The reply is ``UNBAN_MISMATCH`` when ``operation`` belongs to another request. ``operation``:
    the same for each repetition of a call. The script is ``scripts/unban.lua``.
    """
    line = shorten_text(scope, LONGEST_LINE)
    return change(
        keyspace,
        keeping,
        subject,
        "unban",
        arguments=(scope.encode(), line),
        read=int,
        operation=operation,
        fingerprint=fingerprints.of_unban(subject, scope=scope),
    )


def read_subject_bans(
    keyspace: Keyspace, subject: str
) -> ScriptCall[tuple[int, tuple[StoredBan, ...]]]:
    """Read the server's time in seconds, and the subject's bans: ``scripts/read_fields.lua``."""
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
) -> ScriptCall[ClaimsSet]:
    """Replace the live claims of a subject by ``claims``, JSON; empty: none.

    ``operation``: the same for each repetition of a call. The script is ``scripts/set_claims.lua``.
    """
    return change(
        keyspace,
        keeping,
        subject,
        "set_claims",
        arguments=(claims,),
        read=lambda raw: ClaimsSet(
            cast("SetClaimsStatus", raw[0].decode()), raw[1], is_changed=bool(raw[2])
        ),
        operation=operation,
        fingerprint=fingerprints.of_set_claims(subject, claims=claims),
    )


def note_refusal(
    keyspace: Keyspace, keeping: Housekeeping, subject: str, *, address: bytes, code: str
) -> ScriptCall[int]:
    """Note that a login of ``subject`` was refused; the reply is 0 when nothing is known of it.

    ``address``: the client's, 4 or 16 bytes, or empty; ``code``: of the error. The script is
    ``scripts/note_refusal.lua``. No replica is waited for: that would tell a stranger, by the time
    of the answer, that something is known.
    """
    line = shorten_text(code, LONGEST_LINE)
    return change(
        keyspace,
        keeping,
        subject,
        "note_refusal",
        arguments=(address, line),
        read=int,
        confirm=False,
    )


def erase(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    operation: bytes = NO_OPERATION,
) -> ScriptCall[int]:
    """Erase what is known of a subject beside live sessions; the reply is the number of those.

    ``operation``: the same for each repetition of a call. The script is ``scripts/erase.lua``.
    """
    return change(
        keyspace,
        keeping,
        subject,
        "erase",
        read=int,
        operation=operation,
        fingerprint=fingerprints.of_erase(subject),
    )


def read_claims(keyspace: Keyspace, subject: str) -> ScriptCall[dict[str, Any]]:
    """Read the live claims of a subject; empty: none. The script is ``scripts/read_fields.lua``."""
    return _read(keyspace, subject, b"c", lambda raw: read_object(raw[1]) if raw[1] else {})


def read_generation(keyspace: Keyspace, subject: str) -> ScriptCall[int]:
    """Read the millisecond in which all sessions of a subject were last ended; 0: none is known.

    The script is ``scripts/read_fields.lua``.
    """
    return _read(keyspace, subject, b"g", lambda raw: int(raw[1] or 0))


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a subject on which a token of another issuer depends."""

    now_milliseconds: int
    """The server's time of the reply, in milliseconds since the epoch."""
    generation: int
    """The millisecond in which all sessions of the subject were last ended; 0: none is known."""
    bans: tuple[StoredBan, ...]
    """The bans of the subject; some may be over."""
    is_spent: bool
    """Whether the token was exchanged for a session, or logged out."""
    record: LiveRecord | Tombstone | None
    """The session that the token was exchanged for; None: there is none, or not any more."""
    live_claims: Mapping[str, Any]
    """The live claims of the subject."""


def read_standing(
    keyspace: Keyspace, subject: str, *, operation: bytes, session_id: bytes
) -> ScriptCall[list[Any]]:
    """Read what a token of another issuer depends on; the reply is left as it came.

    ``operation``, ``session_id``: those that the exchange of the token has, or would have. The
    script is ``scripts/read_fields.lua``; :func:`interpret_standing` reads the reply.
    """
    return ScriptCall(
        load_script("read_fields"),
        (keyspace.sessions(subject),),
        (b"g", b"b", b"o" + operation + bytes(1), session_id, b"c"),
        list,
    )


def interpret_standing(raw: list[Any]) -> Standing:
    """Return what the reply of :func:`read_standing` says. Raises UnreadableRecord."""
    now_milliseconds, generation, bans, operation, record, live_claims = raw
    return Standing(
        now_milliseconds,
        int(generation or 0),
        read_bans(bans) if bans else (),
        bool(operation),
        parse_record(record) if record else None,
        read_object(live_claims) if live_claims else {},
    )


def settle(keyspace: Keyspace, keeping: Housekeeping, subject: str) -> ScriptCall[int]:
    """Remove what has ended of a subject; the reply is the number of live sessions.

    The script is ``scripts/settle.lua``.
    """
    return change(keyspace, keeping, subject, "settle", arguments=(), read=int)


def _read(keyspace: Keyspace, subject: str, name: bytes, read: Any) -> ScriptCall[Any]:
    return ScriptCall(load_script("read_fields"), (keyspace.sessions(subject),), (name,), read)
