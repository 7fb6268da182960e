"""The calls on the caller's own sessions: list, end, shorten, history."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import PlainTextResponse

from clusterpass import (
    SessionExpired,
    SessionNotFound,
    SessionRevoked,
    SessionUnknown,
)
from clusterpass.service.api.dependencies import (
    CurrentService,
    CurrentSession,
    FreshSession,
    Operation,
    unrepeated,
)
from clusterpass.service.api.openapi import BEARER_ONLY, problems
from clusterpass.service.bodies import requests, responses

router: Final = APIRouter()


@router.get(
    "/sessions", tags=["sessions"], openapi_extra=BEARER_ONLY, responses=problems(400, 401, 503)
)
async def list_sessions(
    service: CurrentService, session: CurrentSession
) -> responses.SessionsResponse:
    """List the caller's live sessions, newest first."""
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
    dependencies=[Depends(unrepeated())],
)
async def end_other_sessions(
    service: CurrentService,
    session: FreshSession,
    operation: Operation,
    query: Annotated[requests.OwnSessionsQuery, Query()],
) -> responses.RevokedResponse:
    """End the caller's other sessions: all of them, or those on one type of device."""
    ended = await service.sessions.revoke_all(
        session.subject,
        keep=session.session_id,
        device_type=query.device_type,
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
    service: CurrentService, session: FreshSession, operation: Operation, session_id: str
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
    service: CurrentService, session: FreshSession, session_id: str, body: requests.ShortenRequest
) -> responses.ListedSession:
    """Shorten the lifetime of one of the caller's sessions; it is never extended."""
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
        # A 401 would mean that the caller's own session has ended.
        raise SessionNotFound from None
    return responses.ListedSession.listed(shortened, current=is_current)


@router.get(
    "/history", tags=["sessions"], openapi_extra=BEARER_ONLY, responses=problems(400, 401, 503)
)
async def history(service: CurrentService, session: CurrentSession) -> responses.HistoryResponse:
    """List what happened to the caller's sessions, newest first."""
    return responses.HistoryResponse.of(await service.sessions.history(session.subject))


@router.get(
    "/hello",
    tags=["sessions"],
    response_class=PlainTextResponse,
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 503),
)
async def hello(session: CurrentSession) -> str:
    """Greet the caller by name, to try out an access token."""
    return f"Hello, {session.subject}!"
