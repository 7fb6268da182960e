"""The typed replies of the scripts, and how what stands beside a record is read and written."""

import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from clusterpass.model.errors import UnreadableRecord
from clusterpass.model.values import SESSION_ID_BYTES
from clusterpass.protocol.records import LiveRecord, Tombstone, parse_record

_ELEVATION: Final = struct.Struct(">II")
_ENTRY: Final = struct.Struct(">BIH16s")


@dataclass(frozen=True, slots=True)
class Details:
    """What does not fit a record; fixed at the login."""

    claims: dict[str, Any]
    device: str | None = None
    level: str | None = None
    methods: tuple[str, ...] = ()
    actor: tuple[str, str, str] | None = None
    """Subject and session of who impersonates, and why."""

    def encode(self) -> bytes:
        """JSON, or nothing when there is nothing to say."""
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


@dataclass(frozen=True, slots=True)
class Elevation:
    """A step-up: since when, until when, and what it proved."""

    authenticated_at: int
    ends_at: int
    level: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredBan:
    """A ban as stored; ``until`` 0: for good."""

    scope: str
    level: int
    until: int
    reason: str
    banned_at: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A session as the store holds it, at the server's time ``now_milliseconds``."""

    now_milliseconds: int
    record: LiveRecord | Tombstone | None
    details: Details = NO_DETAILS
    elevation: Elevation | None = None
    live_claims: Mapping[str, Any] = field(default_factory=dict)
    bans: tuple[StoredBan, ...] = ()
    generation: int = 0
    """Milliseconds of the latest end of all sessions of the subject; 0: none is known."""

    @property
    def now(self) -> int:
        """The server's time in whole seconds since the epoch."""
        return self.now_milliseconds // 1000


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One line of a subject's history as stored."""

    event: int
    at: int
    count: int
    session_id: bytes
    address: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Listed:
    """All that the store holds of a subject."""

    now_milliseconds: int
    sessions: dict[bytes, Stored]
    history: list[HistoryLine]
    """In the order of their writing."""


def read_stored(raw: list[Any]) -> Stored:
    """``{now, record, details, elevation, live claims, bans, last use, generation}``."""
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


def used_at(raw: list[Any], second: int) -> list[Any]:
    """What a script answered of a session, as if it had been used in that second."""
    return [*raw[:-2], second, raw[-1]]


def read_listed(raw: list[Any]) -> Listed:
    """``{now, fields, activity}`` of a script."""
    now_milliseconds, flat, activity = raw
    fields = dict(_pairs(flat))
    seen = {name: int.from_bytes(value, "big") for name, value in _pairs(activity)}
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
    return Listed(now_milliseconds, sessions, _read_history(fields))


def read_details(value: bytes) -> Details:
    """What :meth:`Details.encode` wrote; raises UnreadableRecord."""
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
    """A step-up as stored; raises UnreadableRecord."""
    try:
        authenticated_at, ends_at = _ELEVATION.unpack_from(value)
        level, _, methods = value[_ELEVATION.size :].decode().partition("\0")
    except (struct.error, UnicodeDecodeError):
        raise UnreadableRecord from None
    return Elevation(authenticated_at, ends_at, level, tuple(methods.split()))


def read_bans(value: bytes) -> tuple[StoredBan, ...]:
    """The bans as stored, by scope; raises UnreadableRecord."""
    try:
        bans = [
            StoredBan(scope, int(ban["l"]), int(ban["u"]), str(ban["r"]), int(ban["a"]))
            for scope, ban in read_object(value).items()
        ]
    except (KeyError, TypeError, ValueError):
        raise UnreadableRecord from None
    return tuple(sorted(bans, key=lambda ban: ban.scope))


def read_object(value: bytes) -> dict[str, Any]:
    """A JSON object; raises UnreadableRecord."""
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
    text = value[start + length :].decode(errors="ignore")
    return HistoryLine(event, at, count, session_id, address, text)


def _pairs(flat: list[bytes] | dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    # RESP3 answers a map where RESP2 answers a flat list.
    if isinstance(flat, dict):
        return list(flat.items())
    return list(zip(flat[::2], flat[1::2], strict=True))
