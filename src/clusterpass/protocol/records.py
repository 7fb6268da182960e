"""The packed formats of session records and tombstones, the values in a subject's hash.

A value takes at most 64 bytes, so that the hash keeps its compact encoding. The first byte is the
schema number, 128 or more for a tombstone. All numbers are big-endian; times are seconds of the
server's clock, except ``created``, which is milliseconds so that logins keep their order.

    live        schema 2 | flags 1 | created 6 | absolute end 4 | refreshed 4 | idle seconds 4 |
                rotation 4 | refresh digest 16 | burst 1 | burst span 2 | device 0..21
    tombstone   schema 130 | reason 1 | ended at 4 | keep until 4 | note 0..54 (see actor_prefix)

``flags``: three bits; the upper five bits order the logins of one millisecond. ``burst``: how many
refreshes followed each other within the grace period; ``burst span``: seconds from the first of
them to ``refreshed``. ``device``: a name, or a device type, NUL, and a name. The last use is stored
under another key, so that caches that watch sessions are not invalidated by every use.

Schema 1 (without burst and burst span) and schema 129 (without a note) are read as well.
``scripts/_include/record.lua`` reads and writes the same layout; a test compares the two.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

from clusterpass.model.errors import UnreadableRecord
from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.actor_prefix import join_actor, split_actor

LIVE_SCHEMA: Final = 2
"""The schema number of the live records that this release writes."""
TOMBSTONE_SCHEMA: Final = 130
"""The schema number of the tombstones that this release writes."""
HAS_DETAILS: Final = 1
"""Flag: the session has details in a field of their own."""
BY_PASSWORD: Final = 2
"""Flag: the login was by password alone, which needs no details."""
IMPERSONATED: Final = 4
"""Flag: the session was opened by another user who impersonates the subject."""
_FLAGS: Final = 8
OWN_USED: Final = 1
"""Noted use: an access token of the exchange that made the record's refresh token."""
OLDER_USED: Final = 2
"""Noted use: an access token of the latest exchange of the tokens before a step-up."""
SECONDS: Final = 2**32
"""The scripts answer the second of the last use, plus what was used times this number."""
LONGEST_RECORD: Final = 64
"""Bytes of the longest value that leaves the hash in its compact encoding."""
_LIVE: Final = struct.Struct(">BB6sIIII16sBH")
_LIVE_1: Final = struct.Struct(">BB6sIIII16s")
_TOMBSTONE: Final = struct.Struct(">BBII")
LONGEST_SHORT_DEVICE: Final = LONGEST_RECORD - _LIVE.size
"""Bytes of the longest device that fits a live record."""
LONGEST_NOTE: Final = LONGEST_RECORD - _TOMBSTONE.size
"""Bytes of the longest note that fits a tombstone."""
LONGEST_LINE: Final = 40
"""Bytes of the longest text in a line of the history."""
REASON_NUMBERS: Final[dict[RevocationReason, int]] = {
    "logged_out": 1,
    "replaced": 2,
    "revoked": 3,
    "banned": 4,
    "reused": 5,
    "expired": 6,
    "idle": 7,
}
"""The number under which a tombstone stores each reason for the end of a session."""
_REASONS: Final = {number: reason for reason, number in REASON_NUMBERS.items()}


@dataclass(slots=True)  # made with each call: freezing it would take twice as long
class LiveRecord:
    """A live session as the store holds it; times are those of the server's clock."""

    created_milliseconds: int
    """The time of the login, in milliseconds since the epoch."""
    absolute_end: int
    """The second at which the session ends, however much it is used."""
    refreshed_at: int
    """The second of the last refresh, or of the login."""
    idle_seconds: int
    """Seconds without use after which the session ends; 0: no idle limit."""
    rotation: int
    """How many refresh tokens of the session were exchanged."""
    refresh_digest: bytes = field(repr=False)
    """The digest of the current refresh token, 16 bytes."""
    device: str
    """A device name, or a device type, NUL, and a name."""
    flags: int = 0
    """``HAS_DETAILS``, ``BY_PASSWORD``, ``IMPERSONATED``, and the login's order in five bits."""
    burst: int = 0
    """How many refreshes followed each other within the grace period, 255 at most."""
    burst_span: int = 0
    """Seconds from the first refresh of the burst to ``refreshed_at``."""
    seen_at: int = 0
    """The second of the last use that was noted beside the record; 0: none."""
    used: int = 0
    """``OWN_USED`` and ``OLDER_USED``: whose latest tokens are noted as used."""
    active_at: int = field(init=False, repr=False, compare=False)
    """The second of the last refresh or of the last use that was noted, whichever is later."""
    ends_at: int = field(init=False, repr=False, compare=False)
    """The second at which the session ends unless it is used before."""

    def __post_init__(self) -> None:
        # Reckoned once: a verify needs both several times.
        active_at, ends_at = max(self.refreshed_at, self.seen_at), self.absolute_end
        idle = self.idle_seconds
        if idle and active_at + idle < ends_at:
            ends_at = active_at + idle
        self.active_at = active_at
        self.ends_at = ends_at

    @property
    def login_order(self) -> tuple[int, int]:
        """The sort key that puts the logins of one subject in their order."""
        return self.created_milliseconds, self.flags // _FLAGS

    @property
    def device_type(self) -> str:
        """The device type, or an empty text when the login gave none."""
        kind, separator, _ = self.device.partition("\0")
        return kind if separator else ""

    @property
    def device_name(self) -> str:
        """The device name, or an empty text when the name is in the details or there is none."""
        return self.device.rpartition("\0")[2]

    def has(self, flag: int) -> bool:
        """Whether ``flag`` (such as ``HAS_DETAILS``) is set in the record."""
        return bool(self.flags & flag)

    def pack(self) -> bytes:
        """The record as stored: 43 bytes and the device, in schema 2; drops ``seen_at``."""
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
    """The record of a session that has ended, kept until its tokens would have expired."""

    reason: RevocationReason
    """Why the session ended."""
    ended_at: int
    """The second in which the session ended."""
    keep_until: int
    """The second from which the tombstone may be removed."""
    note: str = ""
    """The device that replaced the session, or what an administrator wrote."""
    by: str | None = None
    """Who ended the session, perhaps cut; empty: its own subject; None: nobody is known."""

    def pack(self) -> bytes:
        """The tombstone as stored: 10 bytes and the note, in schema 130."""
        number = REASON_NUMBERS[self.reason]
        head = _TOMBSTONE.pack(TOMBSTONE_SCHEMA, number, self.ended_at, self.keep_until)
        return head + join_actor(self.by, "", self.note).encode()


def parse_record(value: bytes, seen_at: int = 0) -> LiveRecord | Tombstone:
    """The record or tombstone that ``value``, a field of a subject's hash, holds.

    ``seen_at``: the second of the last use that was noted beside the record, 0: none, and what was
    used times ``SECONDS``. Raises
    UnreadableRecord when a later release wrote ``value``, or something other than ClusterPass.
    """
    try:
        schema = value[0]
        if schema == LIVE_SCHEMA:
            _, flags, created, end, refreshed, idle, rotation, digest, burst, span = (
                _LIVE.unpack_from(value)
            )
        elif schema == 1:
            _, flags, created, end, refreshed, idle, rotation, digest = _LIVE_1.unpack_from(value)
            burst = span = 0
        elif schema in {129, TOMBSTONE_SCHEMA}:
            return _parse_tombstone(value)
        else:
            raise UnreadableRecord
        device = value[_LIVE.size if schema == LIVE_SCHEMA else _LIVE_1.size :].decode("utf-8")
        return LiveRecord(
            int.from_bytes(created, "big"),
            end,
            refreshed,
            idle,
            rotation,
            digest,
            device,
            flags,
            burst,
            span,
            seen_at % SECONDS,
            seen_at // SECONDS,
        )
    except (IndexError, struct.error, KeyError, UnicodeDecodeError):
        raise UnreadableRecord from None


def shorten_text(text: str, longest: int) -> bytes:
    """The beginning of ``text`` in at most ``longest`` bytes of UTF-8, whole characters only."""
    return text.encode()[:longest].decode(errors="ignore").encode()


def _parse_tombstone(value: bytes) -> Tombstone:
    schema, number, ended_at, keep_until = _TOMBSTONE.unpack_from(value)
    note = value[_TOMBSTONE.size :]
    if schema == 129 and note:
        raise UnreadableRecord
    by, reason = split_actor(note.decode("utf-8"))
    return Tombstone(_REASONS[number], ended_at, keep_until, reason, by)
