"""The packed session record and the tombstone: what the fields of a subject's hash hold.

A record takes at most 64 bytes, so that the hash keeps its compact encoding. The first byte is the
schema number; from 128 up it is a tombstone. All numbers are big-endian; times are seconds of the
server's clock, except ``created``, which is milliseconds so that logins keep their order.

    live        schema 1 | flags 1 | created 6 | absolute end 4 | refreshed 4 | idle seconds 4 |
                rotation 4 | refresh digest 16 | device 0..24
    tombstone   schema 1 | reason 1 | ended at 4 | keep until 4

``scripts/_include/record.lua`` reads and writes the same layout; a test compares the two.
"""

import struct
from dataclasses import dataclass
from typing import Final

from clusterpass.errors import RevocationReason, UnreadableRecord

LIVE_SCHEMA: Final = 1
TOMBSTONE_SCHEMA: Final = 129
HAS_DETAILS: Final = 1
LONGEST_SHORT_DEVICE: Final = 24
_LIVE: Final = struct.Struct(">BB6sIIII16s")
_TOMBSTONE: Final = struct.Struct(">BBII")
REASON_NUMBERS: Final[dict[RevocationReason, int]] = {"logged_out": 1, "replaced": 2, "revoked": 3}
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
    has_details: bool

    @property
    def ends_at(self) -> int:
        """The second at which the session ends unless it is refreshed."""
        if not self.idle_seconds:
            return self.absolute_end
        return min(self.absolute_end, self.refreshed_at + self.idle_seconds)

    def pack(self) -> bytes:
        """The bytes as stored."""
        head = _LIVE.pack(
            LIVE_SCHEMA,
            HAS_DETAILS if self.has_details else 0,
            self.created_milliseconds.to_bytes(6, "big"),
            self.absolute_end,
            self.refreshed_at,
            self.idle_seconds,
            self.rotation,
            self.refresh_digest,
        )
        return head + self.device.encode()


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What remains of a session that was ended, until its tokens have expired."""

    reason: RevocationReason
    ended_at: int
    keep_until: int

    def pack(self) -> bytes:
        """The bytes as stored."""
        number = REASON_NUMBERS[self.reason]
        return _TOMBSTONE.pack(TOMBSTONE_SCHEMA, number, self.ended_at, self.keep_until)


def parse_record(value: bytes) -> LiveRecord | Tombstone:
    """What ``value`` says.

    Raises UnreadableRecord when it was written by a later release, or by something else.
    """
    try:
        if value[:1] == bytes([TOMBSTONE_SCHEMA]):
            _, number, ended_at, keep_until = _TOMBSTONE.unpack(value)
            return Tombstone(_REASONS[number], ended_at, keep_until)
        schema, flags, created, end, refreshed, idle, rotation, digest = _LIVE.unpack_from(value)
        device = value[_LIVE.size :].decode("utf-8")
    except (struct.error, KeyError, UnicodeDecodeError):
        raise UnreadableRecord from None
    if schema != LIVE_SCHEMA:
        raise UnreadableRecord
    return LiveRecord(
        created_milliseconds=int.from_bytes(created, "big"),
        absolute_end=end,
        refreshed_at=refreshed,
        idle_seconds=idle,
        rotation=rotation,
        refresh_digest=digest,
        device=device,
        has_details=bool(flags & HAS_DETAILS),
    )
