"""GET /verify: is the session of an access token live, and does it meet the conditions given."""

from typing import Any, Final

from clusterpass import (
    InvalidInput,
    ScopeMissing,
    Session,
    SubjectBanned,
    VerificationMode,
)
from clusterpass.service.asgi.messages import Scope, first_header
from clusterpass.service.bodies.requests import VerifyQuery
from clusterpass.service.calls.requests import log_session
from clusterpass.service.calls.service import Service

STRICT: Final = "strict"
"""The verification mode for calls that change something: always ask the store."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED_METHOD: Final = (b"x-forwarded-method", b"x-original-method")
"""The headers in which proxies pass the method of the request to authorize."""


async def verify(
    service: Service,
    token: str,
    wanted: VerifyQuery,
    scope: Scope,
    fields: dict[str, Any],
    *,
    recalled: Session | None = None,
) -> Session:
    """Return the live session of an access token, which is as the caller wants it.

    ``fields``: of the log line. ``recalled``: the session from memory, where that will do. Raises
    what ``SessionManager.verify`` does, and ScopeMissing and SubjectBanned.
    """
    if wanted.ban_level is not None and not wanted.not_banned:
        raise InvalidInput("The parameter ban_level requires not_banned.")
    session = recalled or await _verified(service, token, wanted, scope)
    log_session(fields, session)
    try:
        _check_conditions(session, wanted)
    except (ScopeMissing, SubjectBanned):
        # No request is rejected from memory: the permission may just have been granted.
        session = await _verified(service, token, wanted, scope, STRICT)
        _check_conditions(session, wanted)
    return session


async def verify_fresh(service: Service, token: str, fields: dict[str, Any]) -> Session:
    """Return the session of a caller who changes something; always asks the store."""
    session = await service.sessions.verify(token, verification=STRICT)
    log_session(fields, session)
    return session


async def _verified(
    service: Service,
    token: str,
    wanted: VerifyQuery,
    scope: Scope,
    verification: VerificationMode | None = None,
) -> Session:
    return await service.sessions.verify(
        token,
        level=wanted.level,
        max_auth_age=wanted.max_auth_age,
        verification=verification or wanted.verification,
        outage_grace=_grace(scope, wanted),
    )


def _grace(scope: Scope, wanted: VerifyQuery) -> float | None:
    """Return no grace for a request that may change something; otherwise the one requested."""
    methods = (first_header(scope, name) for name in _FORWARDED_METHOD)
    return wanted.outage_grace if all(map(_is_safe, methods)) else 0


def _is_safe(method: bytes | None) -> bool:
    return method is None or method.decode("latin-1").upper() in _SAFE_METHODS


def _check_conditions(session: Session, wanted: VerifyQuery) -> None:
    for scope in wanted.not_banned:
        session.require_not_banned(scope, 1 if wanted.ban_level is None else wanted.ban_level)
    for scope in wanted.scope:
        session.require_scope(scope)
