"""The values that go in and out of the public verbs: frozen, compared by content.

Times are whole seconds since the epoch (UTC) on the store's clock, unless a name says otherwise.
Nothing here prints a token: ``repr`` leaves them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from clusterpass.model.errors import InvalidInput, ScopeMissing, SubjectBanned
from clusterpass.model.scopes import check_scope, covers, granted_scopes

SESSION_ID_BYTES: Final = 16

MOST_BAN_LEVEL: Final = 1000

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


def check_ban_level(level: object) -> int:
    """``level`` itself: a whole number from 1 to 1000; raises InvalidInput."""
    if not isinstance(level, int) or isinstance(level, bool) or not 1 <= level <= MOST_BAN_LEVEL:
        raise InvalidInput(f"level must be a whole number from 1 to {MOST_BAN_LEVEL}")
    return level


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
class Ban:
    """What a subject is banned from."""

    scope: str
    """What is forbidden; empty: everything."""
    level: int
    """How severe, by the application's own count."""
    until: int | None
    """When it ends by itself; None: never."""
    reason: str
    banned_at: int

    def forbids(self, scope: str, level: int = 1) -> bool:
        """Whether it is from everything, or from ``scope`` with ``level`` or more."""
        if not self.scope:
            return True
        return bool(scope) and self.level >= level and covers((self.scope,), scope)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What the near cache of a manager holds, and what it did since the manager was made."""

    entries: int
    """Access tokens that are remembered."""
    bytes: int
    """About how much memory they take."""
    hits: int
    """Verifies that were answered from memory. Threads that meet may count one for two."""
    misses: int
    """Verifies that asked the store and could have been answered from memory."""
    evictions: int
    """Entries that left because others needed the room."""
    invalidations: int
    """Changes of keys that the cluster pushed, of sessions that are remembered or not."""
    invalidations_per_second: float
    """The same, over the last ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """What may be served from memory of one primary's sessions, and why."""

    address: str
    is_connected: bool
    """Whether it pushes what changes."""
    has_lease: bool
    """Whether its sessions may be served from memory now."""
    lease_seconds: float
    """For how long, if no heartbeat is answered any more."""
    beat_age: float | None
    """Seconds since the latest heartbeat that it answered had been sent; None: none yet."""
    epoch: int | None
    """The cluster's epoch as it told it last."""
    is_outdated: bool
    """Whether others tell a higher epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingStats:
    """The endings that no replica has confirmed yet, of one manager."""

    waiting: int
    oldest_seconds: float
    """How long the oldest of them has waited; 0 without one."""
    confirmed: int
    """Those that were confirmed later, or had come to nothing."""
    refused: int
    """Those that nobody retries, as too many were waiting."""


NOTHING_PENDING: Final = PendingStats(waiting=0, oldest_seconds=0.0, confirmed=0, refused=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerStats:
    """How a manager verifies, and how its near cache does."""

    verification: str
    """``cached``, ``strict`` or ``stateless``."""
    staleness_bound: float
    """Seconds."""
    cache: CacheStats
    nodes: tuple[NodeStats, ...]
    """The primaries; empty until the first verify, and where nothing is served from memory."""
    refusal: str
    """Why nothing can be served from memory although it is wanted; empty otherwise."""
    durability: str = ""
    """What a write waits for: ``replicated``, ``fsync`` or ``primary``. Where there are no replicas
    to ask, ``replicated`` is as much as ``primary``, and this says so."""
    pending: PendingStats = NOTHING_PENDING
    rollbacks: int = 0
    """How many times the store showed a session alive that this process had seen end."""
    grace_accepted: int = 0
    """Verifies that were answered although the store could not be asked."""
    silent_nodes: tuple[str, ...] = ()
    """Nodes that did not answer when they were asked last."""
