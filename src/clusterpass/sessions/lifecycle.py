"""The life of a session: login, verify, refresh, logout.

Each function is a flow: it yields calls to the store, receives answers and decides. The outcome of
a script is a value; only flows raise. Token times come from the store's clock, so that one clock
judges; no token is made before the store has accepted the session.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.errors import (
    InvalidInput,
    InvalidRefreshToken,
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
)
from clusterpass.models import NO_CLAIMS, SESSION_ID_BYTES, AccessClaims, Ended, Session, TokenPair
from clusterpass.protocol import calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LONGEST_SHORT_DEVICE, LiveRecord, Tombstone
from clusterpass.protocol.script import Flow
from clusterpass.tokens.identifiers import (
    check_device,
    check_subject,
    decode_session_id,
    encode_session_id,
)
from clusterpass.tokens.issuer import TokenIssuer, check_claims
from clusterpass.tokens.refresh import (
    SECRET_BYTES,
    RefreshToken,
    looks_like_refresh_token,
    parse_refresh_token,
)
from clusterpass.tokens.verifier import TokenVerifier

_REFUSALS: Final = {
    "UNKNOWN": "unknown_session",
    "EXPIRED": "expired",
    "USED": "used",
    "MISMATCH": "mismatch",
}


class Lifecycle:
    """The flows that make, check and end sessions."""

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        *,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """``clock``: seconds since the epoch; ``random_bytes``: n unpredictable bytes."""
        self._config = config
        self._keyspace = keyspace
        self._random_bytes = random_bytes
        self.verifier = TokenVerifier(
            config.keys,
            issuer=config.issuer,
            audience=config.audience,
            clock_leeway=config.clock_leeway,
            expiry_leeway=config.expiry_leeway,
            clock=clock,
        )

    @property
    def tombstone_seconds(self) -> int:
        """How long a dead session is remembered: until its access tokens have expired."""
        return self._config.access_lifetime + self._config.expiry_leeway + 60

    def login(
        self, subject: str, *, device: str | None, claims: Mapping[str, Any] | None
    ) -> Flow[TokenPair]:
        """Open a session."""
        issuer = self._issuer()
        check_subject(subject)
        check_device(device)
        own_claims = check_claims({} if claims is None else claims)
        name = device or ""
        is_short = len(name.encode()) <= LONGEST_SHORT_DEVICE
        token = RefreshToken(
            subject,
            self._random_bytes(SESSION_ID_BYTES),
            rotation=0,
            secret=self._random_bytes(SECRET_BYTES),
        )
        answer = yield from calls.login(
            self._keyspace,
            subject,
            session_id=token.session_id,
            refresh_digest=token.digest,
            absolute_seconds=self._config.absolute_lifetime,
            idle_seconds=self._config.idle_lifetime,
            device=name if is_short else "",
            details=calls.Details(own_claims, None if is_short else name),
            most_sessions=self._config.policy.max_sessions,
            tombstone_seconds=self.tombstone_seconds,
        )
        return self._pair(issuer, token, answer.reply.stored, own_claims, durable=answer.durable)

    def verify(self, access_token: str) -> Flow[Session]:
        """The live session of an access token."""
        claims = self.verifier.verify(access_token)
        session_id = _session_of(claims)
        answer = yield from calls.verify(self._keyspace, claims.subject, session_id=session_id)
        stored = answer.reply
        record = live_record(stored)
        self.verifier.check_expiry(claims, stored.now)
        return describe_session(claims.subject, session_id, record, stored.details, claims.claims)

    def refresh(self, refresh_token: str) -> Flow[TokenPair]:
        """A new pair for a refresh token that was not used before."""
        issuer = self._issuer()
        token = parse_refresh_token(refresh_token)
        successor = RefreshToken(
            token.subject,
            token.session_id,
            rotation=token.rotation + 1,
            secret=self._random_bytes(SECRET_BYTES),
        )
        answer = yield from calls.rotate(
            self._keyspace,
            token.subject,
            session_id=token.session_id,
            presented_digest=token.digest,
            rotation=token.rotation,
            successor_digest=successor.digest,
        )
        rotated = answer.reply
        if rotated.status != "OK":
            record = rotated.stored.record
            reason = record.reason if isinstance(record, Tombstone) else None
            raise InvalidRefreshToken(reason=reason or _REFUSALS.get(rotated.status))
        claims = rotated.stored.details.claims
        return self._pair(issuer, successor, rotated.stored, claims, durable=answer.durable)

    def logout(self, token: str) -> Flow[Ended]:
        """End the session of an access token, expired or not, or of a refresh token."""
        if isinstance(token, str) and looks_like_refresh_token(token):
            return (yield from self._logout_by_refresh_token(token))
        claims: AccessClaims = self.verifier.verify(token, allow_expired=True)
        return (yield from self._end(claims.subject, _session_of(claims)))

    def _logout_by_refresh_token(self, refresh_token: str) -> Flow[Ended]:
        token = parse_refresh_token(refresh_token)
        answer = yield from calls.verify(self._keyspace, token.subject, session_id=token.session_id)
        record = answer.reply.record
        # The token proves itself by its secret alone; its subject and session id are not signed.
        if isinstance(record, LiveRecord) and record.refresh_digest != token.digest:
            raise InvalidRefreshToken(reason="mismatch")
        return (yield from self._end(token.subject, token.session_id))

    def _end(self, subject: str, session_id: bytes) -> Flow[Ended]:
        answer = yield from calls.end_session(
            self._keyspace,
            subject,
            session_id=session_id,
            reason="logged_out",
            tombstone_seconds=self.tombstone_seconds,
        )
        return Ended(1 if answer.reply == "ENDED" else 0, answer.durable)

    def _issuer(self) -> TokenIssuer:
        # Raises, before anything is sent, where the configuration can only verify.
        return TokenIssuer(
            self._config.keys.signing_key,
            issuer=self._config.issuer,
            audience=self._config.audience,
            random_bytes=self._random_bytes,
        )

    def _pair(
        self,
        issuer: TokenIssuer,
        token: RefreshToken,
        stored: calls.Stored,
        claims: Mapping[str, Any],
        *,
        durable: bool,
    ) -> TokenPair:
        record = live_record(stored)
        expires_at = min(stored.now + self._config.access_lifetime, record.ends_at)
        session_id = encode_session_id(token.session_id)
        access_token = issuer.issue(
            token.subject,
            session_id,
            issued_at=stored.now,
            expires_at=expires_at,
            claims=claims,
        )
        return TokenPair(
            access_token=access_token,
            refresh_token=token.encode(),
            expires_in=expires_at - stored.now,
            session_id=session_id,
            subject=token.subject,
            durable=durable,
        )


def _session_of(claims: AccessClaims) -> bytes:
    """The session id of a genuine token; raises when it can be none of ours."""
    session_id = decode_session_id(claims.session_id)
    try:
        check_subject(claims.subject)
    except InvalidInput:
        session_id = None
    if session_id is None:
        raise SessionUnknown
    return session_id


def live_record(stored: calls.Stored) -> LiveRecord:
    """The record of a live session; raises what says why there is none."""
    record = stored.record
    if record is None:
        raise SessionUnknown
    if isinstance(record, Tombstone):
        raise SessionRevoked(reason=record.reason, ended_at=record.ended_at)
    if record.ends_at <= stored.now:
        raise SessionExpired
    return record


def describe_session(
    subject: str,
    session_id: bytes,
    record: LiveRecord,
    details: calls.Details,
    claims: Mapping[str, Any],
) -> Session:
    """A session as callers see it."""
    return Session(
        subject=subject,
        session_id=encode_session_id(session_id),
        device=details.device or record.device or None,
        created_at=record.created_milliseconds // 1000,
        refreshed_at=record.refreshed_at,
        expires_at=record.ends_at,
        claims=MappingProxyType(dict(claims)) if claims else NO_CLAIMS,
    )
