"""The packed session record and the tombstone: what the fields of a subject's hash hold.

A record takes at most 64 bytes, so that the hash keeps its compact encoding. The first byte is the
schema number; from 128 up it is a tombstone. All numbers are big-endian; times are seconds of the
server's clock, except ``created``, which is milliseconds so that logins keep their order.

    live        schema 2 | flags 1 | created 6 | absolute end 4 | refreshed 4 | idle seconds 4 |
                rotation 4 | refresh digest 16 | burst 1 | burst span 2 | device 0..21
    tombstone   schema 130 | reason 1 | ended at 4 | keep until 4 | note 0..54

``flags``: three bits, and in the upper five the place of the login among those of its millisecond.
``burst``: how many refreshes followed each other within the grace; ``burst span``: seconds from the
first of them to ``refreshed``. ``device``: a name, or a kind of device, NUL, and a name. When a
session was used last stands elsewhere: what a cache watches does not change with every use.

The schemas 1 (without burst and span) and 129 (without a note) are read as well.
``scripts/_include/record.lua`` reads and writes the same layout; a test compares the two.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from clusterpass.model.errors import UnreadableRecord
from clusterpass.model.reasons import RevocationReason

LIVE_SCHEMA: Final = 2
TOMBSTONE_SCHEMA: Final = 130
HAS_DETAILS: Final = 1
BY_PASSWORD: Final = 2
IMPERSONATED: Final = 4
_FLAGS: Final = 8
LONGEST_RECORD: Final = 64
_LIVE: Final = struct.Struct(">BB6sIIII16sBH")
_LIVE_1: Final = struct.Struct(">BB6sIIII16s")
_TOMBSTONE: Final = struct.Struct(">BBII")
LONGEST_SHORT_DEVICE: Final = LONGEST_RECORD - _LIVE.size
LONGEST_NOTE: Final = LONGEST_RECORD - _TOMBSTONE.size
REASON_NUMBERS: Final[dict[RevocationReason, int]] = {
    "logged_out": 1,
    "replaced": 2,
    "revoked": 3,
    "banned": 4,
    "reused": 5,
    "expired": 6,
    "idle": 7,
}
_REASONS: Final = {number: reason for reason, number in REASON_NUMBERS.items()}


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """A live session as stored."""

    created_milliseconds: int
    absolute_end: int
    refreshed_at: int
    idle_seconds: int
    rotation: int
    refresh_digest: bytes
    device: str
    flags: int = 0
    burst: int = 0
    burst_span: int = 0
    seen_at: int = 0
    """The second in which its use was noted last; it stands beside the record."""

    @property
    def active_at(self) -> int:
        """The second in which the session was used last, as far as that was noted."""
        return max(self.refreshed_at, self.seen_at)

    @property
    def ends_at(self) -> int:
        """The second at which the session ends unless it is used."""
        if not self.idle_seconds:
            return self.absolute_end
        return min(self.absolute_end, self.active_at + self.idle_seconds)

    @property
    def login_order(self) -> tuple[int, int]:
        """Where the login stands among those of the subject."""
        return self.created_milliseconds, self.flags // _FLAGS

    @property
    def device_type(self) -> str:
        """The kind of device, or nothing."""
        kind, separator, _ = self.device.partition("\0")
        return kind if separator else ""

    @property
    def device_name(self) -> str:
        """The name, where it is short enough to stand in the record."""
        return self.device.rpartition("\0")[2]

    def has(self, flag: int) -> bool:
        """Whether ``flag`` is set."""
        return bool(self.flags & flag)

    def pack(self) -> bytes:
        """The bytes as stored."""
        head = _LIVE.pack(
            LIVE_SCHEMA,
            self.flags,
            self.created_milliseconds.to_bytes(6, "big"),
            self.absolute_end,
            self.refreshed_at,
            self.idle_seconds,
            self.rotation,
            self.refresh_digest,
            self.burst,
            self.burst_span,
        )
        return head + self.device.encode()


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What remains of a session that was ended, until its tokens have expired."""

    reason: RevocationReason
    ended_at: int
    keep_until: int
    note: str = ""
    """Which device replaced it, or why an administrator ended it."""

    def pack(self) -> bytes:
        """The bytes as stored."""
        number = REASON_NUMBERS[self.reason]
        head = _TOMBSTONE.pack(TOMBSTONE_SCHEMA, number, self.ended_at, self.keep_until)
        return head + self.note.encode()


def parse_record(value: bytes, seen_at: int = 0) -> LiveRecord | Tombstone:
    """What ``value`` says; ``seen_at``: the second in which the use of it was noted last.

    Raises UnreadableRecord when it was written by a later release, or by something else.
    """
    try:
        if value[0] in {129, TOMBSTONE_SCHEMA}:
            return _parse_tombstone(value)
        if value[0] == 1:
            return _live(_LIVE_1.unpack_from(value), value[_LIVE_1.size :], seen_at)
        if value[0] == LIVE_SCHEMA:
            return _live(_LIVE.unpack_from(value), value[_LIVE.size :], seen_at)
    except (IndexError, struct.error, KeyError, UnicodeDecodeError):
        raise UnreadableRecord from None
    raise UnreadableRecord


def shorten_text(text: str, longest: int) -> bytes:
    """``text`` in at most ``longest`` bytes of UTF-8, cut between two characters."""
    return text.encode()[:longest].decode(errors="ignore").encode()


def _parse_tombstone(value: bytes) -> Tombstone:
    schema, number, ended_at, keep_until = _TOMBSTONE.unpack_from(value)
    note = value[_TOMBSTONE.size :]
    if schema == 129 and note:
        raise UnreadableRecord
    return Tombstone(_REASONS[number], ended_at, keep_until, note.decode("utf-8"))


def _live(members: tuple[Any, ...], device: bytes, seen_at: int) -> LiveRecord:
    _, flags, created, end, refreshed, idle, rotation, digest, *newer = members
    burst, span = newer or (0, 0)
    return LiveRecord(
        created_milliseconds=int.from_bytes(created, "big"),
        absolute_end=end,
        refreshed_at=refreshed,
        idle_seconds=idle,
        rotation=rotation,
        refresh_digest=digest,
        device=device.decode("utf-8"),
        flags=flags,
        burst=burst,
        burst_span=span,
        seen_at=seen_at,
    )
