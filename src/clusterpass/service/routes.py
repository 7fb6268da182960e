"""The calls of the service. Each is a few lines: the library decides, HTTP is said here."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from clusterpass.aio import AsyncSessionManager
from clusterpass.models import Session
from clusterpass.service import schemas
from clusterpass.service.bearer import bearer_token, header_text
from clusterpass.service.client_address import client_address
from clusterpass.service.credentials import Doorkeeper
from clusterpass.service.describe import BEARER_ONLY, problems
from clusterpass.service.logs import FACTS
from clusterpass.service.settings import Settings

router: Final = APIRouter()
login_router: Final = APIRouter()


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes work with; made when a worker starts."""

    settings: Settings
    sessions: AsyncSessionManager
    doorkeeper: Doorkeeper
    jwks: dict[str, list[dict[str, Any]]]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _token(request: Request) -> str:
    return bearer_token(request.headers.getlist("authorization"))


Serving = Annotated[Service, Depends(_service)]
Token = Annotated[str, Depends(_token)]


async def _session(request: Request, service: Serving, token: Token) -> Session:
    session = await service.sessions.verify(token)
    _note_subject(request, session.subject)
    return session


Current = Annotated[Session, Depends(_session)]


def _note_subject(request: Request, subject: str) -> None:
    facts = request.scope.get(FACTS)
    if facts is not None:
        facts["subject"] = subject


@login_router.post("/login", tags=["tokens"], responses=problems(400, 401, 413, 415, 422, 429, 503))
async def login(
    request: Request, service: Serving, body: schemas.LoginRequest
) -> schemas.TokenResponse:
    """Open a session with a name and a password."""
    address = client_address(
        request.client.host if request.client else None,
        request.headers.getlist("x-forwarded-for"),
        service.settings.trusted_proxies,
    )
    pair = await service.doorkeeper.login(
        body.username, body.password.get_secret_value(), device=body.device, address=address
    )
    _note_subject(request, pair.subject)
    return schemas.TokenResponse.of(pair)


@router.post("/refresh", tags=["tokens"], responses=problems(400, 401, 413, 415, 422, 503))
async def refresh(
    request: Request, service: Serving, body: schemas.RefreshRequest
) -> schemas.TokenResponse:
    """Exchange a refresh token for a new pair."""
    pair = await service.sessions.refresh(body.refresh_token.get_secret_value())
    _note_subject(request, pair.subject)
    return schemas.TokenResponse.of(pair)


@router.post(
    "/logout",
    tags=["tokens"],
    status_code=204,
    response_class=Response,
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 413, 415, 503),
)
async def logout(service: Serving, token: Token) -> None:
    """End the session of the access token, also of an expired one."""
    await service.sessions.logout(token)


@router.get(
    "/verify", tags=["sessions"], openapi_extra=BEARER_ONLY, responses=problems(400, 401, 503)
)
async def verify(session: Current, response: Response) -> schemas.SessionResponse:
    """The live session of the access token; for proxies also in X-Auth-Subject, X-Auth-Session.

    X-Auth-Subject is percent-encoded (UTF-8) but for visible ASCII characters.
    """
    response.headers["X-Auth-Subject"] = header_text(session.subject)
    response.headers["X-Auth-Session"] = session.session_id
    return schemas.SessionResponse.of(session)


@router.get(
    "/sessions", tags=["sessions"], openapi_extra=BEARER_ONLY, responses=problems(400, 401, 503)
)
async def list_sessions(service: Serving, session: Current) -> schemas.SessionsResponse:
    """The caller's live sessions, newest first."""
    found = await service.sessions.sessions(session.subject)
    return schemas.SessionsResponse(
        sessions=[
            schemas.ListedSession.listed(each, current=each.session_id == session.session_id)
            for each in found
        ]
    )


@router.delete(
    "/sessions", tags=["sessions"], openapi_extra=BEARER_ONLY, responses=problems(400, 401, 503)
)
async def end_other_sessions(service: Serving, session: Current) -> schemas.RevokedResponse:
    """End all of the caller's sessions but the current one."""
    ended = await service.sessions.revoke_all(session.subject, keep=session.session_id)
    return schemas.RevokedResponse(revoked=ended.count)


@router.delete(
    "/sessions/{session_id}",
    tags=["sessions"],
    status_code=204,
    response_class=Response,
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 404, 503),
)
async def end_session(service: Serving, session: Current, session_id: str) -> None:
    """End one of the caller's sessions."""
    await service.sessions.revoke(session.subject, session_id)


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
async def healthz() -> schemas.StateResponse:
    """Whether this process answers."""
    return schemas.StateResponse()


@router.get("/readyz", tags=["health"], responses=problems(503))
async def readyz(service: Serving) -> schemas.StateResponse:
    """Whether the session store answers too."""
    await service.sessions.ping()
    return schemas.StateResponse()
