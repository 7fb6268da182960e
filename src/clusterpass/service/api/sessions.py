"""The calls about sessions, keys and health. Each is a few lines: the library decides."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from clusterpass import (
    InvalidInput,
    ScopeMissing,
    Session,
    SessionExpired,
    SessionNotFound,
    SessionRevoked,
    SessionUnknown,
    SubjectBanned,
    VerificationMode,
    granted_scopes,
)
from clusterpass.service.api.dependencies import (
    STRICT,
    Confirmed,
    Current,
    Operation,
    Service,
    Serving,
    Token,
    each_once,
    note_session,
)
from clusterpass.service.api.openapi import BEARER_ONLY, PROXY_HEADERS, problems
from clusterpass.service.asgi.warm_verify import SESSION
from clusterpass.service.bodies import requests, responses
from clusterpass.web.bearer import header_text

__all__ = ["Service", "router"]

router: Final = APIRouter()
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED_METHOD: Final = ("x-forwarded-method", "x-original-method")
"""How proxies name the method of the request that is to be admitted."""


@router.get(
    "/verify",
    tags=["sessions"],
    openapi_extra=BEARER_ONLY,
    responses={**PROXY_HEADERS, **problems(400, 401, 403, 422, 503)},
    dependencies=[Depends(each_once("scope", "not_banned"))],
)
async def verify(
    request: Request,
    response: Response,
    service: Serving,
    token: Token,
    wanted: Annotated[requests.VerifyQuery, Query()],
) -> responses.SessionResponse:
    """The live session of the access token; for proxies also in headers.

    Each parameter is a condition: where it does not hold the answer is 401 (`level`,
    `max_auth_age`: authenticate again) or 403 (`scope`, `not_banned`).
    """
    if wanted.ban_level is not None and not wanted.not_banned:
        raise InvalidInput("ban_level goes with not_banned")
    session = await _verified(request, service, token, wanted)
    note_session(request, session)
    try:
        _check_conditions(session, wanted)
    except (ScopeMissing, SubjectBanned):
        # Nobody is refused from memory: a right may have been given a moment ago.
        session = await _verified(request, service, token, wanted, STRICT)
        _check_conditions(session, wanted)
    request.scope.get(SESSION, []).append(session)
    response.headers["X-Auth-Subject"] = header_text(session.subject)
    response.headers["X-Auth-Session"] = session.session_id
    response.headers["X-Auth-Level"] = header_text(session.acr)
    response.headers["X-Auth-Scope"] = " ".join(
        header_text(scope) for scope in granted_scopes(session.claims)
    )
    if session.in_grace:
        response.headers["X-Auth-Grace"] = "1"
    if session.act is not None:
        response.headers["X-Auth-Actor"] = header_text(session.act.subject)
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
    """What is not a mere read has no grace: the session may have been ended meanwhile."""
    for name in _FORWARDED_METHOD:
        if request.headers.get(name, "GET").upper() not in _SAFE_METHODS:
            return 0
    return wanted.outage_grace


def _check_conditions(session: Session, wanted: requests.VerifyQuery) -> None:
    for scope in wanted.not_banned:
        session.require_not_banned(scope, 1 if wanted.ban_level is None else wanted.ban_level)
    for scope in wanted.scope:
        session.require_scope(scope)


@router.get(
    "/sessions", tags=["sessions"], openapi_extra=BEARER_ONLY, responses=problems(400, 401, 503)
)
async def list_sessions(service: Serving, session: Current) -> responses.SessionsResponse:
    """The caller's live sessions, newest first."""
    found = await service.sessions.sessions(session.subject)
    return responses.SessionsResponse(
        sessions=[
            responses.ListedSession.listed(each, current=each.session_id == session.session_id)
            for each in found
        ]
    )


@router.delete(
    "/sessions",
    tags=["sessions"],
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 413, 415, 422, 503),
    dependencies=[Depends(each_once())],
)
async def end_other_sessions(
    service: Serving,
    session: Confirmed,
    operation: Operation,
    which: Annotated[requests.OwnSessionsQuery, Query()],
) -> responses.RevokedResponse:
    """End all of the caller's sessions but the current one, or those on one type of device."""
    ended = await service.sessions.revoke_all(
        session.subject,
        keep=session.session_id,
        device_type=which.device_type,
        operation_id=operation,
    )
    return responses.RevokedResponse.of(ended)


@router.delete(
    "/sessions/{session_id}",
    tags=["sessions"],
    status_code=204,
    response_class=Response,
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 404, 413, 415, 503),
)
async def end_session(
    service: Serving, session: Confirmed, operation: Operation, session_id: str
) -> None:
    """End one of the caller's sessions."""
    await service.sessions.revoke(session.subject, session_id, operation_id=operation)


@router.patch(
    "/sessions/{session_id}",
    tags=["sessions"],
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 404, 413, 415, 422, 503),
)
async def shorten_session(
    service: Serving, session: Confirmed, session_id: str, body: requests.ShortenRequest
) -> responses.ListedSession:
    """Let one of the caller's sessions end earlier than it would; never later."""
    is_current = session_id == session.session_id
    try:
        shortened = await service.sessions.shorten(
            session.subject,
            session_id,
            lifetime=body.lifetime,
            idle_lifetime=body.idle_lifetime,
        )
    except (SessionExpired, SessionRevoked, SessionUnknown):
        if is_current:
            raise
        # A 401 would say that the caller's own session is over.
        raise SessionNotFound from None
    return responses.ListedSession.listed(shortened, current=is_current)


@router.get(
    "/history", tags=["sessions"], openapi_extra=BEARER_ONLY, responses=problems(400, 401, 503)
)
async def history(service: Serving, session: Current) -> responses.HistoryResponse:
    """What happened to the caller's sessions, newest first."""
    return responses.HistoryResponse.of(await service.sessions.history(session.subject))


@router.get(
    "/hello",
    tags=["sessions"],
    response_class=PlainTextResponse,
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 503),
)
async def hello(session: Current) -> str:
    """Greet the caller."""
    return f"Hello, {session.subject}!"


@router.get("/.well-known/jwks.json", tags=["keys"])
async def jwks(service: Serving) -> JSONResponse:
    """The public keys that verify access tokens (RFC 7517); empty for a shared secret."""
    return JSONResponse(service.jwks, headers={"Cache-Control": "public, max-age=300"})


@router.get("/healthz", tags=["health"])
async def healthz() -> responses.StateResponse:
    """Whether this process answers."""
    return responses.StateResponse()


@router.get("/readyz", tags=["health"], responses=problems(503))
async def readyz(service: Serving) -> responses.StateResponse:
    """Whether the session store answers too."""
    await service.sessions.ping()
    return responses.StateResponse()
