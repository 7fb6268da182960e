"""The values that go in and out of the public verbs: frozen, compared by content.

Times are whole seconds since the epoch (UTC) on the store's clock, unless a name says otherwise.
Nothing here prints a token: ``repr`` leaves them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

SESSION_ID_BYTES: Final = 16

NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})


def _no_claims() -> Mapping[str, Any]:
    return NO_CLAIMS


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says (RFC 9068 section 2.2)."""

    issuer: str
    subject: str
    audience: tuple[str, ...]
    issued_at: int
    expires_at: int
    token_id: str
    """``jti``: this token, among all of its session."""
    session_id: str
    """``sid``: the session that the token belongs to."""
    claims: Mapping[str, Any] = field(default_factory=_no_claims, hash=False)
    """The application's own claims."""


@dataclass(frozen=True, slots=True)
class Session:
    """A live session of a subject: one login on one device."""

    subject: str
    session_id: str
    device: str | None
    created_at: int
    """When the login happened."""
    refreshed_at: int
    """When its tokens were made last: at the login, or at the latest refresh."""
    expires_at: int
    """When the session ends unless it is refreshed: its absolute or its idle limit."""
    claims: Mapping[str, Any] = field(default_factory=_no_claims, hash=False)
    """The application's own claims."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh hands out (RFC 6749 section 5.1)."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    """Seconds until the access token expires."""
    session_id: str
    subject: str
    durable: bool
    """Whether a replica has confirmed the write; False where there is no replica to ask."""
    token_type: str = "Bearer"  # noqa: S105 (RFC 6750, no password)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a logout or a revocation did."""

    count: int
    """How many live sessions it ended; 0 when they were dead already."""
    durable: bool
    """Whether a replica has confirmed the write; False where there is no replica to ask."""
