"""The calls for administrators, under ``/admin``.

- An administrator is a subject that the settings name, in a session of their own: in one that
  somebody else acts in, nobody is.
- What changes something needs a recent authentication besides (RFC 9470); what shows does not.
- The log says who did it, and to whom.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from clusterpass import (
    AdministratorRequired,
    InvalidInput,
    Session,
)
from clusterpass.service.api.dependencies import (
    STRICT,
    Confirmed,
    Operation,
    Serving,
    Token,
    each_once,
    note_fact,
)
from clusterpass.service.api.openapi import BEARER_ONLY, problems
from clusterpass.service.bodies import administration as schemas
from clusterpass.service.bodies.responses import (
    BanResponse,
    HistoryResponse,
    RevokedResponse,
    SessionResponse,
    TokenResponse,
)

router: Final = APIRouter(prefix="/admin", tags=["administration"])
_ONCE: Final = [Depends(each_once())]


async def _administrator(service: Serving, session: Confirmed) -> Session:
    if session.subject not in service.settings.administrators:
        raise AdministratorRequired
    if session.act is not None:
        raise AdministratorRequired(reason="impersonated")
    return session


Administrator = Annotated[Session, Depends(_administrator)]


async def _acting(service: Serving, token: Token, administrator: Administrator) -> Session:
    await service.sessions.verify(
        token, max_auth_age=service.settings.administration_max_age, verification=STRICT
    )
    return administrator


Acting = Annotated[Session, Depends(_acting)]
OfSubject = Annotated[schemas.SubjectQuery, Query()]


@router.get(
    "/online",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def online(
    service: Serving, _: Administrator, query: Annotated[schemas.OnlineQuery, Query()]
) -> schemas.OnlineResponse:
    """The live sessions of some of those who are online; `next_cursor` leads to the next."""
    page = await service.sessions.online.page(query.cursor, limit=query.limit)
    return schemas.OnlineResponse.of(page)


@router.get("/online/count", openapi_extra=BEARER_ONLY, responses=problems(400, 401, 403, 503))
async def online_count(service: Serving, _: Administrator) -> schemas.OnlineCountResponse:
    """How many are online."""
    return schemas.OnlineCountResponse.of(await service.sessions.online.count())


@router.get(
    "/sessions",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def list_sessions(
    service: Serving, _: Administrator, query: OfSubject
) -> schemas.SubjectSessionsResponse:
    """A subject's live sessions, newest first."""
    found = await service.sessions.sessions(query.subject)
    return schemas.SubjectSessionsResponse(sessions=[SessionResponse.of(each) for each in found])


@router.delete(
    "/sessions",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 404, 413, 415, 422, 503),
    dependencies=_ONCE,
)
async def end_sessions(
    request: Request,
    service: Serving,
    _: Acting,
    operation: Operation,
    query: Annotated[schemas.EndSessionsQuery, Query()],
) -> RevokedResponse:
    """End one session of a subject, those on one type of device, or all."""
    note_fact(request, "target", query.subject)
    if query.session_id is None:
        ended = await service.sessions.revoke_all(
            query.subject,
            device_type=query.device_type,
            reason=query.reason,
            operation_id=operation,
        )
    elif query.device_type is None:
        ended = await service.sessions.revoke(
            query.subject, query.session_id, reason=query.reason, operation_id=operation
        )
    else:
        raise InvalidInput("Give session_id or device_type, not both.")
    return RevokedResponse.of(ended)


@router.get(
    "/history",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def history(service: Serving, _: Administrator, query: OfSubject) -> HistoryResponse:
    """What happened to a subject's sessions, newest first."""
    return HistoryResponse.of(await service.sessions.history(query.subject))


@router.get(
    "/bans",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def list_bans(service: Serving, _: Administrator, query: OfSubject) -> schemas.BansResponse:
    """A subject's bans in force."""
    found = await service.sessions.bans.list(query.subject)
    return schemas.BansResponse(bans=[BanResponse.of(ban) for ban in found])


@router.post(
    "/bans",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 409, 413, 415, 422, 503),
)
async def ban(
    request: Request,
    service: Serving,
    administrator: Acting,
    operation: Operation,
    body: schemas.BanRequest,
) -> RevokedResponse:
    """Ban a subject; from everything, this ends its sessions. One of the same scope is replaced."""
    note_fact(request, "target", body.subject)
    if body.subject == administrator.subject and not body.scope:
        raise InvalidInput("You cannot ban yourself from everything.")
    ended = await service.sessions.bans.add(
        body.subject,
        reason=body.reason,
        for_seconds=body.for_seconds,
        scope=body.scope,
        level=body.level,
        operation_id=operation,
    )
    return RevokedResponse.of(ended)


@router.delete(
    "/bans",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
    dependencies=_ONCE,
)
async def lift_ban(
    request: Request, service: Serving, _: Acting, query: Annotated[schemas.LiftBanQuery, Query()]
) -> schemas.LiftedResponse:
    """End a ban early."""
    note_fact(request, "target", query.subject)
    applied = await service.sessions.bans.lift(query.subject, scope=query.scope)
    return schemas.LiftedResponse.of(applied)


@router.get(
    "/claims",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def read_claims(
    service: Serving, _: Administrator, query: OfSubject
) -> schemas.ClaimsResponse:
    """A subject's live claims, which lie over those of each login."""
    return schemas.ClaimsResponse(claims=dict(await service.sessions.claims.get(query.subject)))


@router.put(
    "/claims",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
)
async def set_claims(
    request: Request, service: Serving, _: Acting, body: schemas.ClaimsRequest
) -> schemas.ClaimsSetResponse:
    """Replace a subject's live claims; the next verify anywhere returns them."""
    note_fact(request, "target", body.subject)
    applied = await service.sessions.claims.set(body.subject, body.claims)
    return schemas.ClaimsSetResponse.of(applied)


@router.post(
    "/impersonate",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
)
async def impersonate(
    request: Request, service: Serving, administrator: Acting, body: schemas.ImpersonationRequest
) -> TokenResponse:
    """Open a session of a subject in which the administrator acts (RFC 8693 section 4.1)."""
    note_fact(request, "target", body.subject)
    pair = await service.sessions.impersonate(
        administrator, body.subject, reason=body.reason, for_seconds=body.for_seconds
    )
    return TokenResponse.of(pair)


@router.post(
    "/revoke-before",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
)
async def revoke_before(
    service: Serving, _: Acting, body: schemas.RevokeBeforeRequest
) -> schemas.RevokedBeforeResponse:
    """End every session of everybody that was opened before a time; it is never taken back."""
    return schemas.RevokedBeforeResponse.of(await service.sessions.revoke_before(body.time))
