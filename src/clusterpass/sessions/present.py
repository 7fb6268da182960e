"""From what the store holds to what callers see, and to tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, get_args

from clusterpass.config import Config
from clusterpass.model.authentication_errors import SessionExpired, SessionRevoked, SessionUnknown
from clusterpass.model.bans import Ban
from clusterpass.model.errors import InvalidInput
from clusterpass.model.frozen import frozen
from clusterpass.model.values import (
    NO_CLAIMS,
    AccessClaims,
    Actor,
    EventKind,
    HistoryEntry,
    Session,
)
from clusterpass.protocol.records import BY_PASSWORD, LiveRecord, Tombstone
from clusterpass.protocol.replies import HistoryLine, Listed, Stored, StoredBan
from clusterpass.tokens.identifiers import check_subject, decode_session_id, encode_session_id

PASSWORD: Final = ("pwd",)
_KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
"""By the number that the store holds, from 1."""


def session_of(claims: AccessClaims) -> bytes:
    """The session id of a genuine token; raises when it can be none of ours."""
    session_id = decode_session_id(claims.session_id)
    try:
        check_subject(claims.subject)
    except InvalidInput:
        session_id = None
    if session_id is None:
        raise SessionUnknown
    return session_id


def live_record(stored: Stored, cutoff_milliseconds: int = 0) -> LiveRecord:
    """The record of a live session; raises what says why there is none."""
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


def claims_of(stored: Stored) -> Mapping[str, Any]:
    """The claims of the login, under the subject's live ones."""
    if not stored.live_claims:
        return stored.details.claims
    return {**stored.details.claims, **stored.live_claims}


def describe_session(
    config: Config, subject: str, session_id: bytes, stored: Stored, record: LiveRecord
) -> Session:
    """A session as callers see it."""
    claims = claims_of(stored)
    shown = authentications(config, stored, record)[0]
    return Session(
        subject=subject,
        session_id=encode_session_id(session_id),
        device=stored.details.device or record.device_name or None,
        created_at=record.created_milliseconds // 1000,
        refreshed_at=record.refreshed_at,
        expires_at=record.ends_at,
        claims=frozen(claims) if claims else NO_CLAIMS,
        device_type=record.device_type or None,
        active_at=record.active_at,
        auth_time=shown.time,
        acr=shown.level,
        amr=shown.methods,
        act=actor_of(stored),
        bans=describe_bans(stored.bans, stored.now),
    )


def describe_claims(config: Config, claims: AccessClaims) -> Session:
    """A session as far as its access token tells."""
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
    """The second until which ``stored`` describes the same session, if it does not change."""
    ends = [record.ends_at, *(ban.until for ban in stored.bans if ban.until > stored.now)]
    if stored.elevation is not None and stored.elevation.ends_at > stored.now:
        ends.append(stored.elevation.ends_at)
    return min(ends)


@dataclass(frozen=True, slots=True)
class Authentication:
    """One time that the user of a session was authenticated."""

    time: int
    level: str
    rank: int
    """The place of ``level`` among ``Config.levels``; -1 when it is none of them any more."""
    methods: tuple[str, ...]
    ends_at: int
    """The second at which it is of no more use."""


def authentications(
    config: Config, stored: Stored, record: LiveRecord
) -> tuple[Authentication, ...]:
    """Those in force, the strongest first and of equals the latest: of the login, of a step-up.

    They are kept apart: a password that is asked for again does not make a stronger login recent.
    """
    amr = stored.details.methods or (PASSWORD if record.has(BY_PASSWORD) else ())
    level = stored.details.level or config.levels[0]
    login = Authentication(
        record.created_milliseconds // 1000, level, _rank(config, level), amr, record.ends_at
    )
    noted = stored.elevation
    if noted is None or noted.ends_at <= stored.now:
        return (login,)
    rank = _rank(config, noted.level)
    step_up = Authentication(
        noted.authenticated_at, noted.level, rank, noted.methods, noted.ends_at
    )
    return (login, step_up) if login.rank > rank else (step_up, login)


def claimed_authentication(config: Config, session: Session) -> Authentication:
    """The one that a token tells of."""
    rank = _rank(config, session.acr)
    return Authentication(session.auth_time, session.acr, rank, session.amr, session.expires_at)


def _rank(config: Config, level: str) -> int:
    return config.levels.index(level) if level in config.levels else -1


def actor_of(stored: Stored) -> Actor | None:
    """Who impersonates."""
    return Actor(*stored.details.actor) if stored.details.actor else None


def describe_bans(bans: tuple[StoredBan, ...], now: int) -> tuple[Ban, ...]:
    """The bans in force."""
    return tuple(
        Ban(ban.scope, ban.level, ban.until or None, ban.reason, ban.banned_at)
        for ban in bans
        if ban.until == 0 or ban.until > now
    )


def describe_live(
    config: Config, subject: str, listed: Listed, cutoff_milliseconds: int
) -> list[Session]:
    """The live sessions of a subject, newest first."""
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
        describe_session(config, subject, session_id, stored, record)
        for _, session_id, stored, record in live
    ]


def describe_line(line: HistoryLine) -> HistoryEntry:
    """A line of the history as callers see it."""
    return HistoryEntry(
        kind=_KINDS[line.event - 1] if 1 <= line.event <= len(_KINDS) else "login",
        at=line.at,
        count=line.count,
        session_id=encode_session_id(line.session_id) if any(line.session_id) else None,
        address=str(ip_address(line.address)) if len(line.address) in {4, 16} else None,
        text=line.text,
    )


def pack_address(address: object) -> bytes:
    """4 or 16 bytes of an IP address; nothing for None and for a name (of a Unix socket)."""
    if address is None:
        return b""
    if not isinstance(address, str):
        raise InvalidInput("address must be a string")
    try:
        return ip_address(address.partition("%")[0]).packed
    except ValueError:
        return b""
