"""Makes tokens for a session that the store has accepted, on the store's clock."""

from typing import Any, Final

from clusterpass.model.values import AccessToken, Actor, TokenPair
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored
from clusterpass.sessions.context import Context
from clusterpass.sessions.present import Authentication, actor_of, authentications, claims_of
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import RefreshToken

_JITTER: Final = 0.05


def make_pair(
    context: Context, token: RefreshToken, stored: Stored, record: LiveRecord, *, durable: bool
) -> TokenPair:
    """Both tokens of a session."""
    shown = authentications(context.config, stored, record)[0]
    expires_at = _expires_at(context, stored, record, shown)
    session_id = encode_session_id(token.session_id)
    return TokenPair(
        access_token=_issue(
            context, token.subject, session_id, stored, shown=shown, expires_at=expires_at
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
    shown = authentications(context.config, stored, record)[0]
    expires_at = _expires_at(context, stored, record, shown)
    return AccessToken(
        access_token=_issue(
            context, subject, session_id, stored, shown=shown, expires_at=expires_at
        ),
        expires_in=expires_at - stored.now,
        session_id=session_id,
        subject=subject,
        acr=shown.level,
        durable=durable,
    )


def _issue(
    context: Context,
    subject: str,
    session_id: str,
    stored: Stored,
    *,
    shown: Authentication,
    expires_at: int,
) -> str:
    return context.issuer.issue(
        subject,
        session_id,
        issued_at=stored.now,
        expires_at=expires_at,
        claims=claims_of(stored),
        authentication=_members(shown, actor_of(stored)),
    )


def _members(shown: Authentication, actor: Actor | None) -> dict[str, Any]:
    members: dict[str, Any] = {"auth_time": shown.time, "acr": shown.level}
    if shown.methods:
        members["amr"] = list(shown.methods)
    if actor is not None:
        members["act"] = {"sub": actor.subject, "sid": actor.session_id}
    return members


def _expires_at(context: Context, stored: Stored, record: LiveRecord, shown: Authentication) -> int:
    # Up to 5 % shorter, so that clients that logged in together do not come back together.
    lifetime = context.config.access_lifetime
    spread = int(lifetime * _JITTER)
    jitter = int.from_bytes(context.random_bytes(4), "big") % (spread + 1)
    # A token must not say longer than it is true how strongly the user was authenticated.
    return min(stored.now + lifetime - jitter, record.ends_at, shown.ends_at)
