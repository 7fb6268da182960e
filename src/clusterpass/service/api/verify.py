"""GET /verify: is the session of an access token live, and does it meet the conditions given."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from clusterpass import (
    InvalidInput,
    ScopeMissing,
    Session,
    SubjectBanned,
    VerificationMode,
)
from clusterpass.service.api.dependencies import (
    STRICT,
    CurrentService,
    Service,
    Token,
    log_session,
    unrepeated,
)
from clusterpass.service.api.openapi import BEARER_ONLY, PROXY_HEADERS, problems
from clusterpass.service.asgi.warm_verify import SESSION
from clusterpass.service.bodies import requests, responses
from clusterpass.web.identity_headers import identity_headers

router: Final = APIRouter()
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED_METHOD: Final = ("x-forwarded-method", "x-original-method")
"""The headers in which proxies pass the method of the request to authorize."""


@router.get(
    "/verify",
    tags=["sessions"],
    openapi_extra=BEARER_ONLY,
    responses={**PROXY_HEADERS, **problems(400, 401, 403, 422, 503)},
    dependencies=[Depends(unrepeated("scope", "not_banned"))],
)
async def verify(
    request: Request,
    response: Response,
    service: CurrentService,
    token: Token,
    wanted: Annotated[requests.VerifyQuery, Query()],
) -> responses.SessionResponse:
    """Return the live session of the access token, for proxies also in the X-Auth-* headers.

    Each parameter is a condition. If one is not met, the response is 401 (`level`,
    `max_auth_age`: the user must authenticate again) or 403 (`scope`, `not_banned`).
    """
    if wanted.ban_level is not None and not wanted.not_banned:
        raise InvalidInput("The parameter ban_level requires not_banned.")
    session = await _verified(request, service, token, wanted)
    log_session(request, session)
    try:
        _check_conditions(session, wanted)
    except (ScopeMissing, SubjectBanned):
        # No request is rejected from memory: the permission may just have been granted.
        session = await _verified(request, service, token, wanted, STRICT)
        _check_conditions(session, wanted)
    request.scope.get(SESSION, []).append(session)
    response.headers.update(identity_headers(session))
    return responses.SessionResponse.of(session)


async def _verified(
    request: Request,
    service: Service,
    token: str,
    wanted: requests.VerifyQuery,
    verification: VerificationMode | None = None,
) -> Session:
    return await service.sessions.verify(
        token,
        level=wanted.level,
        max_auth_age=wanted.max_auth_age,
        verification=verification or wanted.verification,
        outage_grace=_grace(request, wanted),
    )


def _grace(request: Request, wanted: requests.VerifyQuery) -> float | None:
    """Return no grace for a request that may change something; otherwise the one requested."""
    for name in _FORWARDED_METHOD:
        if request.headers.get(name, "GET").upper() not in _SAFE_METHODS:
            return 0
    return wanted.outage_grace


def _check_conditions(session: Session, wanted: requests.VerifyQuery) -> None:
    for scope in wanted.not_banned:
        session.require_not_banned(scope, 1 if wanted.ban_level is None else wanted.ban_level)
    for scope in wanted.scope:
        session.require_scope(scope)
