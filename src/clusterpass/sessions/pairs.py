"""Makes tokens for a session that the store has accepted, on the store's clock."""

from typing import Any, Final

from clusterpass.models import AccessToken, Actor, TokenPair
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored
from clusterpass.sessions.context import Context
from clusterpass.sessions.describe import actor_of, authentication_of, claims_of
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import RefreshToken

_JITTER: Final = 0.05


def make_pair(
    context: Context, token: RefreshToken, stored: Stored, record: LiveRecord, *, durable: bool
) -> TokenPair:
    """Both tokens of a session."""
    expires_at = _expires_at(context, stored, record)
    session_id = encode_session_id(token.session_id)
    return TokenPair(
        access_token=_issue(
            context, token.subject, session_id, stored, record, expires_at=expires_at
        ),
        refresh_token=token.encode(),
        expires_in=expires_at - stored.now,
        session_id=session_id,
        subject=token.subject,
        durable=durable,
        session_expires_in=record.ends_at - stored.now,
    )


def make_access_token(
    context: Context,
    subject: str,
    session_id: str,
    stored: Stored,
    record: LiveRecord,
    *,
    durable: bool,
) -> AccessToken:
    """An access token alone, of a session that was stepped up."""
    expires_at = _expires_at(context, stored, record)
    _, acr, _ = authentication_of(context.config, stored, record)
    return AccessToken(
        access_token=_issue(context, subject, session_id, stored, record, expires_at=expires_at),
        expires_in=expires_at - stored.now,
        session_id=session_id,
        subject=subject,
        acr=acr,
        durable=durable,
    )


def _issue(
    context: Context,
    subject: str,
    session_id: str,
    stored: Stored,
    record: LiveRecord,
    *,
    expires_at: int,
) -> str:
    auth_time, acr, amr = authentication_of(context.config, stored, record)
    return context.issuer.issue(
        subject,
        session_id,
        issued_at=stored.now,
        expires_at=expires_at,
        claims=claims_of(stored),
        authentication=_members(auth_time, acr, amr, actor_of(stored)),
    )


def _members(auth_time: int, acr: str, amr: tuple[str, ...], actor: Actor | None) -> dict[str, Any]:
    members: dict[str, Any] = {"auth_time": auth_time, "acr": acr}
    if amr:
        members["amr"] = list(amr)
    if actor is not None:
        members["act"] = {"sub": actor.subject, "sid": actor.session_id}
    return members


def _expires_at(context: Context, stored: Stored, record: LiveRecord) -> int:
    # Up to 5 % shorter, so that clients that logged in together do not come back together.
    lifetime = context.config.access_lifetime
    spread = int(lifetime * _JITTER)
    jitter = int.from_bytes(context.random_bytes(4), "big") % (spread + 1)
    ends_at = min(stored.now + lifetime - jitter, record.ends_at)
    elevation = stored.elevation
    if elevation is not None and elevation.ends_at > stored.now:
        ends_at = min(ends_at, elevation.ends_at)
    return ends_at
