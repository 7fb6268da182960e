"""The values that the public verbs take and return: frozen, and compared by content.

Values can be copied and pickled, and ``to_dict`` turns them into plain JSON. A copy's claims are an
ordinary dictionary, which may be changed.

Times are whole seconds since the epoch by the store's clock, unless stated otherwise. No ``repr``
shows a token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from clusterpass.model.bans import Ban
from clusterpass.model.check_values import check_ban_level, check_scope
from clusterpass.model.error_args import Readers, rebuildable
from clusterpass.model.errors import ClusterPassError, ScopeMissing, SubjectBanned
from clusterpass.model.frozen import FrozenDict
from clusterpass.model.json_form import Value
from clusterpass.model.scopes import covers, granted_scopes

SESSION_ID_BYTES: Final = 16

NO_CLAIMS: Final[Mapping[str, Any]] = FrozenDict()

ChangeKind = Literal["changed", "ended", "unavailable", "available"]


def _no_claims() -> Mapping[str, Any]:
    return NO_CLAIMS


@dataclass(frozen=True, slots=True)
class Actor(Value):
    """The user who acts in an impersonation of another (RFC 8693 section 4.1)."""

    subject: str
    """The subject of the actor."""
    session_id: str
    """The actor's own session, with which the impersonation ends."""
    reason: str = ""
    """Why the actor impersonates. The store holds the reason, tokens do not carry it."""


@dataclass(frozen=True, slots=True)
class AccessClaims(Value):
    """The claims of a verified access token (RFC 9068 section 2.2)."""

    issuer: str
    """``iss``: the issuer of the token."""
    subject: str
    """``sub``: the user that the token was issued for."""
    audience: tuple[str, ...]
    """``aud``: the services that the token is intended for."""
    issued_at: int
    """``iat``: when the token was issued."""
    expires_at: int
    """``exp``: when the token expires."""
    token_id: str
    """``jti``: the unique id of the token."""
    session_id: str
    """``sid``: the session that the token belongs to."""
    claims: Mapping[str, Any] = field(default_factory=_no_claims, hash=False)
    """The application's own claims, as the token carries them."""
    auth_time: int | None = None
    """When the user last authenticated; None: the token does not say."""
    acr: str | None = None
    """The level of authentication (OpenID Connect Core section 2); None: the token does not say."""
    amr: tuple[str, ...] = ()
    """The methods of authentication (RFC 8176)."""
    act: Actor | None = None
    """The actor of an impersonation; None for an ordinary session."""
    step_up: str | None = None
    """The id of the step-up that the token was issued after; None: there was none."""
    client_id: str | None = None
    """``client_id``: who asked for the token; None: the token does not say."""

    def has_scope(self, scope: str) -> bool:
        """Return whether the claim ``scope`` covers ``scope``. No round trip.

        Raises InvalidInput when ``scope`` is not a scope token (RFC 6749 section 3.3).
        """
        return covers(granted_scopes(self.claims), check_scope(scope))

    def require_scope(self, scope: str) -> None:
        """Return if the claim ``scope`` covers ``scope``; raise ScopeMissing if not. No round trip.

        Raises InvalidInput when ``scope`` is not a scope token (RFC 6749 section 3.3).
        """
        if not self.has_scope(scope):
            raise ScopeMissing(scope=scope)


@dataclass(frozen=True, slots=True)
class Session(Value):
    """A live session of a subject: one login on one device."""

    subject: str
    """The user whose session this is."""
    session_id: str
    """The id of the session, the same for its whole life."""
    device: str | None
    """The name of the device, as the application gave it."""
    created_at: int
    """When the user logged in."""
    refreshed_at: int
    """When tokens were last issued: at the login, the latest refresh or the latest step-up."""
    expires_at: int
    """When the session ends if it is not used: the earlier of its absolute and idle limits."""
    claims: Mapping[str, Any] = field(default_factory=_no_claims, hash=False)
    """The application's own claims: those of the login, overridden by the subject's live claims."""
    device_type: str | None = None
    """The type of device, as the application named it: ``phone``, ``web``."""
    active_at: int = 0
    """When the session was last used, accurate to ``Config.activity_interval``."""
    auth_time: int = 0
    """When the user last authenticated: at the login, or at a step-up in force that the verified
    token was issued after. In a list of sessions, which verifies no token, every step-up counts."""
    acr: str = ""
    """The level of that authentication: one of ``Config.levels``."""
    amr: tuple[str, ...] = ()
    """The methods of that authentication (RFC 8176)."""
    act: Actor | None = None
    """The actor of an impersonation; None for an ordinary session."""
    bans: tuple[Ban, ...] = ()
    """The bans of the subject that are in force."""
    is_stateless: bool = False
    """Whether the values come from the access token alone, without asking the store."""
    in_grace: bool = False
    """Whether the store was unavailable, so that the values are the last ones known."""

    def has_scope(self, scope: str) -> bool:
        """Return whether the claim ``scope`` covers ``scope``. No round trip.

        Raises InvalidInput when ``scope`` is not a scope token (RFC 6749 section 3.3).
        """
        return covers(granted_scopes(self.claims), check_scope(scope))

    def require_scope(self, scope: str) -> None:
        """Return if the claim ``scope`` covers ``scope``; raise ScopeMissing if not. No round trip.

        Raises InvalidInput when ``scope`` is not a scope token (RFC 6749 section 3.3).
        """
        if not self.has_scope(scope):
            raise ScopeMissing(scope=scope)

    def require_not_banned(self, scope: str, level: int = 1) -> None:
        """Return if no ban forbids ``scope`` at ``level``; raise SubjectBanned otherwise.

        No round trip: the session carries its bans. Raises InvalidInput when ``scope`` is not a
        scope token (RFC 6749 section 3.3) or ``level`` is not a whole number from 1 to 1000.
        """
        check_scope(scope)
        check_ban_level(level)
        for ban in self.bans:
            if ban.forbids(scope, level):
                raise SubjectBanned(ban=ban)


def _sessions_of(objects: Sequence[Mapping[str, Any]]) -> tuple[Session, ...]:
    """Return the sessions that an error carries as JSON objects."""
    return tuple(
        Session(
            **{
                **each,
                "amr": tuple(each["amr"]),
                "act": None if each["act"] is None else Actor(**each["act"]),
                "bans": tuple(Ban(**ban) for ban in each["bans"]),
            }
        )
        for each in objects
    )


class TooManySessions(ClusterPassError):
    """The maximum number of sessions is reached; end one of them first.

    ``sessions``: the live ones, newest first; a login can pass the id of one as ``replace``.
    """

    code = "too_many_sessions"
    status = 409
    _readers: ClassVar[Readers] = {**ClusterPassError._readers, "sessions": _sessions_of}

    @rebuildable
    def __init__(self, message: str | None = None, *, sessions: Sequence[Session]) -> None:
        super().__init__(message)
        self.sessions: Final = tuple(sessions)


@dataclass(frozen=True, slots=True)
class TokenPair(Value):
    """The tokens that a login, a refresh or a step-up issues (RFC 6749 section 5.1)."""

    access_token: str = field(repr=False)
    """The signed JWT that authenticates requests."""
    refresh_token: str = field(repr=False)
    """The token that can be exchanged once for a new pair."""
    expires_in: int
    """Seconds until the access token expires, at the latest together with a step-up in it."""
    session_id: str
    subject: str
    durable: bool
    """Whether a replica confirmed the write; False when there is no replica to confirm it."""
    session_expires_in: int = 0
    """Seconds until the session ends if it is not used; a client can discard the pair then."""
    acr: str = ""
    """The level of authentication that the access token claims: one of ``Config.levels``."""
    token_type: str = "Bearer"  # noqa: S105 (RFC 6750, no password)


@dataclass(frozen=True, slots=True)
class Ended(Value):
    """The outcome of a logout, a revocation or a ban."""

    count: int
    """The number of live sessions that were ended; 0 when none was live."""
    durable: bool
    """Whether no single failure can undo it; False when there is no replica to confirm it."""
    journaled: bool = False
    """Whether the journals hold it, as its own shard could not confirm it: every server enforces it
    from now on, and any of them carries it out when the shard is back. ``count`` is then 0 if the
    shard could not be asked."""


@dataclass(frozen=True, slots=True)
class Applied(Value):
    """The outcome of a change to a subject's live claims or bans."""

    count: int
    """The number of live sessions, or bans, that the change applied to."""
    durable: bool
    """Whether a replica confirmed the write; False when there is no replica to confirm it."""


@dataclass(frozen=True, slots=True)
class RevokedBefore(Value):
    """The outcome of a revocation of the whole namespace."""

    time: int
    """The second before which every session has ended."""
    durable: bool
    """Whether replicas confirmed every copy; False when there is no replica to confirm one."""


@dataclass(frozen=True, slots=True)
class SessionChange(Value):
    """A change of a session that a caller watches."""

    kind: ChangeKind
    """``changed``: claims or bans have changed. ``ended``: the session is over, and nothing more
    is reported. ``unavailable``: the store does not answer, so an end would not be noticed;
    ``available``: it answers again."""
    session: Session
    """The session as it is now, or was last."""
    error: ClusterPassError | None = None
    """With ``ended``, the SessionRevoked, SessionExpired or SessionUnknown that says why; with
    ``unavailable``, the StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class OnlineCount(Value):
    """The numbers of subjects and sessions that are online."""

    subjects: int
    """The number of subjects with at least one session."""
    sessions: int
    """An upper bound: an expired session counts until the next change to its subject."""


@dataclass(frozen=True, slots=True)
class OnlinePage(Value):
    """One page of the sessions that are online."""

    sessions: tuple[Session, ...]
    """The live sessions of the subjects on the page."""
    next_cursor: str | None
    """The cursor of the next page; None on the last page."""
