"""The typed replies of the scripts, and the values that are stored beside a session record."""

import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from clusterpass.model.errors import UnreadableRecord
from clusterpass.model.values import SESSION_ID_BYTES
from clusterpass.protocol.actor_prefix import split_actor
from clusterpass.protocol.records import SECONDS, LiveRecord, Tombstone, parse_record

_ELEVATION: Final = struct.Struct(">II")
_BINDING: Final = struct.Struct(">BB8sII23x")
_KEEPS_OLDER: Final = 1
_ENDS_OLDER: Final = 2
_ENTRY: Final = struct.Struct(">BIH16s")


@dataclass(frozen=True, slots=True)
class Details:
    """Data of a login that does not fit the record; never changed after the login."""

    claims: dict[str, Any]
    """The claims of the login."""
    device: str | None = None
    """The device name, where it is too long for the record."""
    level: str | None = None
    """The authentication level of the login (``acr``)."""
    methods: tuple[str, ...] = ()
    """The authentication methods of the login (``amr``)."""
    actor: tuple[str, str, str] | None = None
    """The subject and the session id of the impersonator, and the reason given."""

    def encode(self) -> bytes:
        """The details as stored: JSON in UTF-8, or no bytes when every member is empty."""
        members: dict[str, Any] = {
            "claims": self.claims,
            "device": self.device,
            "acr": self.level,
            "amr": list(self.methods),
            "act": self.actor and list(self.actor),
        }
        said = {name: value for name, value in members.items() if value}
        if not said:
            return b""
        return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()


NO_DETAILS: Final = Details({})
"""The details of a session that has no field of details."""


@dataclass(frozen=True, slots=True)
class Elevation:
    """A step-up: the user was authenticated again, more strongly, for a limited time."""

    authenticated_at: int
    """The second of the step-up, on the server's clock."""
    ends_at: int
    """The second at which the step-up is over."""
    level: str
    """The authentication level that was reached (``acr``)."""
    methods: tuple[str, ...]
    """The authentication methods that were used (``amr``)."""
    id: bytes = b""
    """The 8 bytes that tokens of the step-up carry; empty: the step-up applies to no token."""
    first_rotation: int = 0xFFFFFFFF
    """The rotation of the refresh token that the step-up issued; older tokens have lower ones."""
    ends_older: bool = False
    """Whether the step-up ended the tokens that were issued before it."""
    older_rotation: int | None = None
    """The rotation of the refresh token before the step-up while that can be exchanged beside it;
    None: one of the two was exchanged, and the other can be no more."""


@dataclass(frozen=True, slots=True)
class StoredBan:
    """A ban of a subject as stored."""

    scope: str
    """What the subject is banned from; empty: from everything."""
    level: int
    """The level of the ban, as the administrator chose it."""
    until: int
    """The second at which the ban ends; 0: never."""
    reason: str
    """Why the subject was banned."""
    banned_at: int
    """The second in which the ban began."""


@dataclass(slots=True)  # made with each call: freezing it would take twice as long
class Stored:
    """A session as the store holds it, with what holds for the whole subject."""

    now_milliseconds: int
    """The server's time of the reply, in milliseconds since the epoch."""
    record: LiveRecord | Tombstone | None
    """The session's record; None when the store knows no such session."""
    details: Details = NO_DETAILS
    """What the login brought that does not fit the record."""
    elevation: Elevation | None = None
    """The latest step-up of the session, which may be over; None: there was none."""
    live_claims: Mapping[str, Any] = field(default_factory=dict)
    """The live claims of the subject."""
    bans: tuple[StoredBan, ...] = ()
    """The bans of the subject, by scope; some may be over."""
    generation: int = 0
    """The millisecond in which all sessions of the subject were last ended; 0: none is known."""

    now: int = field(init=False, repr=False)
    """The server's time of the reply, in whole seconds since the epoch."""

    def __post_init__(self) -> None:
        self.now = self.now_milliseconds // 1000


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a subject's history as stored."""

    event: int
    """The number of the kind of event, from 1."""
    at: int
    """The second of the event, or of the latest refresh that the line counts."""
    count: int
    """How many sessions or refreshes the line is about, 65535 at most."""
    session_id: bytes
    """The session that the line is about, 16 bytes; zeros: several sessions or none."""
    address: bytes
    """The client's IP address, 4 or 16 bytes; empty: not known."""
    text: str
    """What was noted of the event: a device, a level, a scope and reason."""
    by: str | None = None
    """Who ended the session, perhaps cut; empty: its own subject; None: nobody is known."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The sessions and the history of a subject."""

    now_milliseconds: int
    """The server's time of the reply, in milliseconds since the epoch."""
    sessions: dict[bytes, Stored]
    """Every readable record and tombstone, by session id."""
    history: list[HistoryLine]
    """The lines in the order in which they were written."""
    newest_line: int = -1
    """The number of the last line, where lines are numbered from 0 on as they are written; -1:
    there is none. The numbers are other ones when the size of the history has changed."""

    def at(self, milliseconds: int) -> "Listed":
        """This list as if it had been read at ``milliseconds`` since the epoch."""
        if milliseconds == self.now_milliseconds:
            return self
        sessions = {
            session_id: replace(stored, now_milliseconds=milliseconds)
            for session_id, stored in self.sessions.items()
        }
        return replace(self, now_milliseconds=milliseconds, sessions=sessions)


def read_stored(raw: list[Any]) -> Stored:
    """The session that a script answered in this form; raises UnreadableRecord.

    ``raw``: ``[now in milliseconds, record, details, elevation, live claims, bans, second of the
    last use, generation]``, where empty bytes and 0 mean none.
    """
    now_milliseconds, record, details, elevation, live_claims, bans, seen_at, generation = raw
    return Stored(
        now_milliseconds,
        parse_record(record, seen_at) if record else None,
        read_details(details) if details else NO_DETAILS,
        read_elevation(elevation) if elevation else None,
        read_object(live_claims) if live_claims else {},
        read_bans(bans) if bans else (),
        int(generation or 0),
    )


def used_at(raw: list[Any], second: int, used: int) -> list[Any]:
    """A copy of ``raw``, as :func:`read_stored` takes it, with ``second`` as the last use.

    ``used``: what the note says is used, as ``LiveRecord.used``.
    """
    return [*raw[:-2], second + used * SECONDS, raw[-1]]


def read_listed(raw: list[Any]) -> Listed:
    """The sessions and the history that a script answered as fields of a subject.

    ``raw``: ``[now in milliseconds, fields of the sessions, fields of the activity]``. A session in
    a schema of a later release is left out; raises UnreadableRecord for a line of the history.
    """
    now_milliseconds, flat, activity = raw
    fields = dict(_pairs(flat))
    seen = {name: int.from_bytes(value[:4], "big") for name, value in _pairs(activity)}
    live_claims, bans = fields.get(b"c", b""), fields.get(b"b", b"")
    generation = fields.get(b"g", b"")
    sessions = {}
    for name, value in fields.items():
        if len(name) == SESSION_ID_BYTES:
            details, elevation = fields.get(name + b"d", b""), fields.get(name + b"e", b"")
            parts = [now_milliseconds, value, details, elevation, live_claims, bans]
            # What a later release wrote must not hide the others.
            with suppress(UnreadableRecord):
                sessions[name] = read_stored([*parts, seen.get(name, 0), generation])
    history = _read_history(fields)
    newest_line = int(fields.get(b"h", b"0")) if history else -1
    return Listed(now_milliseconds, sessions, history, newest_line)


def read_details(value: bytes) -> Details:
    """The details that :meth:`Details.encode` wrote; raises UnreadableRecord."""
    members = read_object(value)
    claims, device, level = members.get("claims", {}), members.get("device"), members.get("acr")
    methods, actor = members.get("amr", []), members.get("act")
    if not (
        isinstance(claims, dict)
        and isinstance(device, str | None)
        and isinstance(level, str | None)
        and isinstance(methods, list)
        and (actor is None or (isinstance(actor, list) and len(actor) == 3))
    ):
        raise UnreadableRecord
    return Details(claims, device, level, tuple(methods), tuple(actor) if actor else None)


def read_elevation(value: bytes) -> Elevation:
    """The step-up in ``value``, a session's field of elevation; raises UnreadableRecord.

    ``scripts/_include/elevation.lua`` states the layout.
    """
    try:
        authenticated_at, ends_at = _ELEVATION.unpack_from(value)
        binding, proved = _read_binding(value[_ELEVATION.size :])
        level, _, methods = proved.decode().partition("\0")
    except (struct.error, UnicodeDecodeError):
        raise UnreadableRecord from None
    return Elevation(authenticated_at, ends_at, level, tuple(methods.split()), *binding)


def _read_binding(value: bytes) -> tuple[tuple[Any, ...], bytes]:
    """The members of a step-up that bind tokens to it, and the bytes of its level and methods."""
    if value[:1] != b"\0":
        return (), value
    _, flags, step_up, first_rotation, older = _BINDING.unpack_from(value)
    older_rotation = older if flags & _KEEPS_OLDER else None
    ends_older = bool(flags & _ENDS_OLDER)
    return (step_up, first_rotation, ends_older, older_rotation), value[_BINDING.size :]


def read_bans(value: bytes) -> tuple[StoredBan, ...]:
    """The bans in ``value``, a subject's field, sorted by scope; raises UnreadableRecord."""
    try:
        bans = [
            StoredBan(scope, int(ban["l"]), int(ban["u"]), str(ban["r"]), int(ban["a"]))
            for scope, ban in read_object(value).items()
        ]
    except (KeyError, TypeError, ValueError):
        raise UnreadableRecord from None
    return tuple(sorted(bans, key=lambda ban: ban.scope))


def read_object(value: bytes) -> dict[str, Any]:
    """The JSON object in ``value``; raises UnreadableRecord when it is none."""
    try:
        members = json.loads(value)
    except (ValueError, RecursionError):
        raise UnreadableRecord from None
    if not isinstance(members, dict):
        raise UnreadableRecord
    return members


def _read_history(fields: Mapping[bytes, bytes]) -> list[HistoryLine]:
    slots = {
        name[1]: value for name, value in fields.items() if len(name) == 2 and name[:1] == b"h"
    }
    if not slots:
        return []
    # The counter names the newest slot of the ring; the one behind it is the oldest.
    size = max(slots) + 1
    newest = int(fields.get(b"h", b"0"))
    steps = range(1, size + 1)
    order = [(newest + step) % size for step in steps] if newest >= size else sorted(slots)
    return [_read_line(slots[index]) for index in order if index in slots]


def _read_line(value: bytes) -> HistoryLine:
    try:
        event, at, count, session_id = _ENTRY.unpack_from(value)
        start = _ENTRY.size + 1
        length = value[_ENTRY.size]
    except (struct.error, IndexError):
        raise UnreadableRecord from None
    address = value[start : start + length]
    by, text = split_actor(value[start + length :].decode(errors="ignore"))
    return HistoryLine(event, at, count, session_id, address, text, by)


def _pairs(flat: list[bytes] | dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    # RESP3 answers a map where RESP2 answers a flat list.
    if isinstance(flat, dict):
        return list(flat.items())
    return list(zip(flat[::2], flat[1::2], strict=True))
