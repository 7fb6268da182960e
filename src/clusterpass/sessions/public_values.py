"""Converts stored records to the values that callers see."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, get_args

from clusterpass.config import Config, StoredAddresses
from clusterpass.model.authentication_errors import SessionExpired, SessionRevoked, SessionUnknown
from clusterpass.model.bans import Ban
from clusterpass.model.errors import InvalidInput
from clusterpass.model.events import EventKind, HistoryEntry
from clusterpass.model.frozen import frozen
from clusterpass.model.values import NO_CLAIMS, AccessClaims, Actor, Session
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.replies import HistoryLine, Listed, Stored, StoredBan
from clusterpass.sessions.authentication import authentications
from clusterpass.tokens.identifiers import encode_session_id

_LONGEST_ADDRESS: Final = len("0000:0000:0000:0000:0000:ffff:255.255.255.255")
_KINDS: Final[dict[int, EventKind]] = dict(enumerate(get_args(EventKind), 1))
"""The kinds of events by their stored numbers."""


def live_record(stored: Stored, cutoff_milliseconds: int = 0) -> LiveRecord:
    """Return the record of ``stored`` if its session is live.

    ``cutoff_milliseconds``: milliseconds since the epoch before which every session has ended.
    Raises SessionUnknown, SessionExpired or SessionRevoked otherwise.
    """
    record = stored.record
    if record is None:
        raise SessionUnknown
    if isinstance(record, Tombstone):
        if record.reason in {"expired", "idle"}:
            raise SessionExpired(is_idle=record.reason == "idle", ended_at=record.ended_at)
        raise SessionRevoked(reason=record.reason, ended_at=record.ended_at, note=record.note)
    if record.ends_at <= stored.now:
        raise SessionExpired(is_idle=record.ends_at < record.absolute_end, ended_at=record.ends_at)
    if record.created_milliseconds < cutoff_milliseconds:
        raise SessionRevoked(reason="revoked", ended_at=cutoff_milliseconds // 1000)
    return record


def describe_session(
    config: Config, subject: str, session_id: str, stored: Stored, record: LiveRecord
) -> Session:
    """Return the session that ``stored`` and its live ``record`` describe."""
    claims: Mapping[str, Any] = stored.details.claims
    if stored.live_claims:
        claims = {**claims, **stored.live_claims}
    shown = authentications(config, stored, record)[0]
    details = stored.details
    return Session(
        subject=subject,
        session_id=session_id,
        device=details.device or (record.device_name if record.device else "") or None,
        created_at=record.created_milliseconds // 1000,
        refreshed_at=record.refreshed_at,
        expires_at=record.ends_at,
        claims=frozen(claims) if claims else NO_CLAIMS,
        device_type=(record.device_type if record.device else "") or None,
        active_at=record.active_at,
        auth_time=shown.time,
        acr=shown.level,
        amr=shown.methods,
        act=Actor(*details.actor) if details.actor else None,
        bans=describe_bans(stored.bans, stored.now) if stored.bans else (),
    )


def describe_claims(config: Config, claims: AccessClaims) -> Session:
    """Return the session that the claims of a verified access token describe by themselves."""
    return Session(
        subject=claims.subject,
        session_id=claims.session_id,
        device=None,
        created_at=claims.auth_time or claims.issued_at,
        refreshed_at=claims.issued_at,
        expires_at=claims.expires_at,
        claims=frozen(claims.claims) if claims.claims else NO_CLAIMS,
        active_at=claims.issued_at,
        auth_time=claims.auth_time or claims.issued_at,
        acr=claims.acr or config.levels[0],
        amr=claims.amr,
        act=claims.act,
        is_stateless=True,
    )


def means_the_same_until(stored: Stored, record: LiveRecord) -> int:
    """Return the second until which ``stored`` describes the same session unless it is changed.

    The description changes when the session, a ban or a step-up expires.
    """
    until = record.ends_at
    for ban in stored.bans:
        if stored.now < ban.until < until:
            until = ban.until
    if stored.elevation is not None and stored.now < stored.elevation.ends_at < until:
        until = stored.elevation.ends_at
    return until


def describe_bans(bans: tuple[StoredBan, ...], now: int) -> tuple[Ban, ...]:
    """Return the bans of ``bans`` that are in force at ``now``, in seconds since the epoch."""
    return tuple(
        Ban(ban.scope, ban.level, ban.until or None, ban.reason, ban.banned_at)
        for ban in bans
        if ban.until == 0 or ban.until > now
    )


def describe_live(
    config: Config, subject: str, listed: Listed, cutoff_milliseconds: int
) -> list[Session]:
    """Return the live sessions of a subject, newest first.

    ``cutoff_milliseconds``: milliseconds since the epoch before which every session has ended.
    """
    live = []
    for session_id, stored in listed.sessions.items():
        record = stored.record
        if (
            isinstance(record, LiveRecord)
            and record.ends_at > stored.now
            and record.created_milliseconds >= cutoff_milliseconds
        ):
            live.append((record.login_order, session_id, stored, record))
    live.sort(key=lambda entry: entry[:2], reverse=True)
    return [
        describe_session(config, subject, encode_session_id(session_id), stored, record)
        for _, session_id, stored, record in live
    ]


def describe_line(line: HistoryLine, subject: str) -> HistoryEntry:
    """Return the history entry that a stored line of ``subject`` describes."""
    return HistoryEntry(
        kind=_KINDS.get(line.event, "login"),
        at=line.at,
        count=line.count,
        session_id=encode_session_id(line.session_id) if any(line.session_id) else None,
        address=unpack_address(line.address),
        text=line.text,
        by=subject if line.by == "" else line.by,
    )


def pack_address(address: object) -> bytes:
    """Return the 4 or 16 bytes of an IP address.

    The result is empty for None and for text that is not an IP address, such as the path of a Unix
    socket. Raises InvalidInput when ``address`` is not a string.
    """
    if address is None:
        return b""
    if not isinstance(address, str):
        raise InvalidInput("address must be a string")
    text = address.partition("%")[0]
    return _packed(text) if len(text) <= _LONGEST_ADDRESS else b""


def unpack_address(packed: bytes) -> str | None:
    """Return the IP address that 4 or 16 bytes are; None for other bytes."""
    return str(ip_address(packed)) if len(packed) in {4, 16} else None


def reduce_address(packed: bytes, kept: StoredAddresses) -> bytes:
    """Return what is kept of an address: all of it, its network, or nothing."""
    if kept == "full" or not packed:
        return packed
    if kept == "none":
        return b""
    bits = 24 if len(packed) == 4 else 48
    return packed[: bits // 8] + bytes(len(packed) - bits // 8)


@lru_cache(1024)
def _packed(text: str) -> bytes:
    try:
        return ip_address(text).packed
    except ValueError:
        return b""
