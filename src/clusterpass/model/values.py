"""The values that go in and out of the public verbs: frozen, compared by content.

Times are whole seconds since the epoch (UTC) on the store's clock, unless a name says otherwise.
Nothing here prints a token: ``repr`` leaves them out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from clusterpass.model.bans import Ban
from clusterpass.model.checks import check_ban_level, check_scope
from clusterpass.model.errors import ClusterPassError, ScopeMissing, SubjectBanned
from clusterpass.model.scopes import covers, granted_scopes

SESSION_ID_BYTES: Final = 16

NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})

# In the order of the numbers that the store holds: new ones go to the end.
EventKind = Literal[
    "login",
    "refresh",
    "logged_out",
    "replaced",
    "revoked",
    "banned",
    "unbanned",
    "reused",
    "elevated",
    "impersonated",
    "claims_changed",
    "expired",
    "idle",
    "refused",
]


def _no_claims() -> Mapping[str, Any]:
    return NO_CLAIMS


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts in a session that is another's (RFC 8693 section 4.1)."""

    subject: str
    session_id: str
    reason: str = ""
    """Why; known to who asks the store, not told in tokens."""


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
    auth_time: int | None = None
    """When the user was authenticated last."""
    acr: str | None = None
    """How strongly (OpenID Connect Core section 2)."""
    amr: tuple[str, ...] = ()
    """By which methods (RFC 8176)."""
    act: Actor | None = None
    """Who acts for the subject, of an impersonation."""

    def has_scope(self, scope: str) -> bool:
        """Whether the claim ``scope`` covers ``scope``; no round trip. Raises InvalidInput."""
        return covers(granted_scopes(self.claims), check_scope(scope))

    def require_scope(self, scope: str) -> None:
        """Return when :meth:`has_scope`; raises ScopeMissing, InvalidInput. No round trip."""
        if not self.has_scope(scope):
            raise ScopeMissing(scope=scope)


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
    """When the session ends unless it is used: its absolute or its idle limit."""
    claims: Mapping[str, Any] = field(default_factory=_no_claims, hash=False)
    """The application's own claims: those of the login, under the subject's live ones."""
    device_type: str | None = None
    """The kind of device, as the application named it: ``phone``, ``web``."""
    active_at: int = 0
    """When it was used last, to within ``Config.activity_interval``."""
    auth_time: int = 0
    """When the user was authenticated last: at the login, or at the latest step-up in force."""
    acr: str = ""
    """The level of authentication in force: one of ``Config.levels``."""
    amr: tuple[str, ...] = ()
    """By which methods (RFC 8176)."""
    act: Actor | None = None
    """Who acts in this session, when it is an impersonation."""
    bans: tuple[Ban, ...] = ()
    """What the subject is banned from."""
    is_stateless: bool = False
    """Whether all this is only what the token says: the store was not asked."""
    in_grace: bool = False
    """Whether the store could not be asked: this is how the session was when it was seen last."""

    def has_scope(self, scope: str) -> bool:
        """Whether the claim ``scope`` covers ``scope``; no round trip. Raises InvalidInput."""
        return covers(granted_scopes(self.claims), check_scope(scope))

    def require_scope(self, scope: str) -> None:
        """Return when :meth:`has_scope`; raises ScopeMissing, InvalidInput. No round trip."""
        if not self.has_scope(scope):
            raise ScopeMissing(scope=scope)

    def require_not_banned(self, scope: str, level: int = 1) -> None:
        """Return unless the subject is banned from ``scope`` with ``level`` or more.

        Raises SubjectBanned, InvalidInput. No round trip: the bans came with the session.
        """
        check_scope(scope)
        check_ban_level(level)
        for ban in self.bans:
            if ban.forbids(scope, level):
                raise SubjectBanned(ban=ban)


class TooManySessions(ClusterPassError):
    """There are as many sessions as allowed; end one of them first.

    ``sessions`` are the live ones, newest first; log in with ``replace`` to let one go.
    """

    code = "too_many_sessions"
    status = 409

    def __init__(self, message: str | None = None, *, sessions: Sequence[Session]) -> None:
        super().__init__(message)
        self.sessions: Final = tuple(sessions)


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
    session_expires_in: int = 0
    """Seconds until the session ends unless it is used: how long a client keeps the pair."""
    token_type: str = "Bearer"  # noqa: S105 (RFC 6750, no password)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a step-up hands out: an access token of the same session."""

    access_token: str = field(repr=False)
    expires_in: int
    """Seconds until it expires, which is no later than the step-up does."""
    session_id: str
    subject: str
    acr: str
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


@dataclass(frozen=True, slots=True)
class Applied:
    """What a change of a subject did."""

    count: int
    """How many live sessions, or bans, it concerned."""
    durable: bool
    """Whether a replica has confirmed the write; False where there is no replica to ask."""


@dataclass(frozen=True, slots=True)
class RevokedBefore:
    """What a revocation of the whole namespace did."""

    time: int
    """Sessions that were opened before this second have ended."""
    durable: bool
    """Whether a replica has confirmed each copy; False where there is no replica to ask."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a subject's history."""

    kind: EventKind
    at: int
    """When; of refreshes, when the latest was."""
    count: int
    """How many times, or how many sessions it concerned."""
    session_id: str | None
    """The session; None when it concerned several, or none."""
    address: str | None
    text: str
    """The device of a login, the reason of a revocation or a ban; cut short."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """What listeners are told."""

    kind: EventKind
    subject: str
    at: int
    """When, by the store's clock; of ends, bans and changes of claims by this machine's."""
    session_ids: tuple[str, ...] = ()
    device: str | None = None
    device_type: str | None = None
    address: str | None = None
    reason: str | None = None
    """A revocation's or a ban's reason, the class of a reuse, the level of a step-up."""
    actor: Actor | None = None
    """Who impersonates."""


@dataclass(frozen=True, slots=True)
class OnlineCount:
    """How many are online."""

    subjects: int
    sessions: int
    """At most: a session that ended by itself counts until its subject's next change."""


@dataclass(frozen=True, slots=True)
class OnlinePage:
    """Some of those who are online."""

    sessions: tuple[Session, ...]
    next_cursor: str | None
    """For the next page; None after the last one."""
