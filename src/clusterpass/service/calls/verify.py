"""GET /verify: checks that the session of an access token is live and meets given conditions."""

from collections.abc import Awaitable, Sequence
from typing import Any, Final, Literal, Protocol

from clusterpass import (
    AsyncSessionManager,
    InvalidInput,
    ScopeMissing,
    Session,
    SubjectBanned,
    VerificationMode,
)
from clusterpass.service.asgi.messages import Scope
from clusterpass.service.bodies.requests import VerifyQuery
from clusterpass.service.calls.requests import log_session
from clusterpass.service.calls.worker_state import Service

STRICT: Final = "strict"
"""The verification mode for calls that change something: always ask the store."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED_METHOD: Final = (b"x-forwarded-method", b"x-original-method")
"""The headers in which proxies pass the method of the request to authorize."""


class Conditions(Protocol):
    """Conditions that a caller of :func:`verify_as_wanted` sets for a session."""

    @property
    def level(self) -> str | None:
        """The lowest level that is sufficient."""

    @property
    def max_auth_age(self) -> int | None:
        """The oldest authentication allowed, in seconds."""

    @property
    def scope(self) -> Sequence[str]:
        """Scopes that the session must all have."""

    @property
    def not_banned(self) -> Sequence[str]:
        """Scopes from which the subject must not be banned."""

    @property
    def ban_level(self) -> int | None:
        """The lowest level of the bans that count; None: 1."""

    @property
    def verification(self) -> Literal["strict"] | None:
        """Whether the store is asked in any case."""


def is_safe(method: str) -> bool:
    """Return whether ``method``, in capitals, changes nothing, so that it may have a grace."""
    return method in _SAFE_METHODS


def verify(
    service: Service,
    token: str,
    wanted: VerifyQuery,
    scope: Scope,
    fields: dict[str, Any],
    *,
    recalled: Session | None = None,
) -> Awaitable[Session]:
    """Return the live session of an access token, which is as the caller wants it.

    ``fields``: of the log line. ``recalled``: the session from memory, where that will do. Raises
    what ``SessionManager.verify`` does, and ScopeMissing and SubjectBanned.
    """
    if wanted.ban_level is not None and not wanted.not_banned:
        raise InvalidInput("The parameter ban_level requires not_banned.")
    grace = _grace(scope, wanted)
    return verify_as_wanted(service.sessions, token, wanted, grace, fields, recalled=recalled)


async def verify_as_wanted(
    sessions: AsyncSessionManager,
    token: str,
    wanted: Conditions,
    grace: float | None,
    fields: dict[str, Any],
    *,
    recalled: Session | None = None,
) -> Session:
    """Return the live session of an access token, which meets all conditions.

    ``grace``: the ``outage_grace`` of ``SessionManager.verify``. The others, and what is raised: as
    for :func:`verify`.
    """
    session = recalled or await _verified(sessions, token, wanted, grace)
    log_session(fields, session)
    try:
        check_conditions(session, wanted)
    except (ScopeMissing, SubjectBanned):
        # No request is rejected from memory: the permission may just have been granted.
        session = await _verified(sessions, token, wanted, grace, STRICT)
        check_conditions(session, wanted)
    return session


async def verify_fresh(service: Service, token: str, fields: dict[str, Any]) -> Session:
    """Return the session of a caller who changes something; always asks the store."""
    session = await service.sessions.verify(token, verification=STRICT)
    log_session(fields, session)
    return session


def _verified(
    sessions: AsyncSessionManager,
    token: str,
    wanted: Conditions,
    grace: float | None,
    verification: VerificationMode | None = None,
) -> Awaitable[Session]:
    return sessions.verify(
        token,
        level=wanted.level,
        max_auth_age=wanted.max_auth_age,
        verification=verification or wanted.verification,
        outage_grace=grace,
    )


def _grace(scope: Scope, wanted: VerifyQuery) -> float | None:
    """Return no grace for a request that may change something; otherwise the one requested."""
    for name, value in scope["headers"]:
        if name in _FORWARDED_METHOD and not is_safe(value.decode("latin-1").upper()):
            return 0
    return wanted.outage_grace


def check_conditions(session: Session, wanted: Conditions) -> None:
    """Return if ``session`` has the scopes and no ban; raise ScopeMissing or SubjectBanned."""
    for scope in wanted.not_banned:
        session.require_not_banned(scope, 1 if wanted.ban_level is None else wanted.ban_level)
    for scope in wanted.scope:
        session.require_scope(scope)
