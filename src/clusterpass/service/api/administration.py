"""The administration API, under ``/admin``.

- An administrator is a subject that the setting ``administrators`` names, in a session of its own;
  an impersonation of an administrator has no access.
- A call that changes something also requires a recent authentication (RFC 9470).
- The log line of a change names the administrator and the subject.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from clusterpass import (
    AdministratorRequired,
    InvalidInput,
    Session,
)
from clusterpass.service.api.dependencies import (
    CurrentService,
    FreshSession,
    Operation,
    Token,
    log_fields,
    unrepeated,
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
from clusterpass.service.calls.verify import STRICT
from clusterpass.service.calls.worker_state import Service

router: Final = APIRouter(prefix="/admin", tags=["administration"])
_ONCE: Final = [Depends(unrepeated())]


async def _administrator(
    request: Request, service: CurrentService, session: FreshSession
) -> Session:
    error = None
    if session.subject not in service.settings.administrators:
        error = AdministratorRequired()
    elif session.act is not None:
        error = AdministratorRequired(reason="impersonated")
    if error is None:
        return session
    await service.note_refusal("administration", error, path=request.scope["path"])
    raise error


Administrator = Annotated[Session, Depends(_administrator)]
"""The session of the administrator who calls."""


async def _recent_administrator(
    service: CurrentService, token: Token, administrator: Administrator
) -> Session:
    await service.sessions.verify(
        token, max_auth_age=service.settings.administration_max_age, verification=STRICT
    )
    return administrator


RecentAdministrator = Annotated[Session, Depends(_recent_administrator)]
"""The session of the administrator who calls, after a recent authentication."""
OfSubject = Annotated[schemas.SubjectQuery, Query()]


async def _subject_of_query(service: CurrentService, query: OfSubject) -> str:
    return await service.subject_of(query.subject)


NamedSubject = Annotated[str, Depends(_subject_of_query)]
"""The subject whom the query names, however the name is spelt."""


async def meant(request: Request, service: Service, name: str) -> str:
    """Return the subject of an act, and tell it the log."""
    log_fields(request)["target"] = name  # also where the store cannot be asked for another one
    log_fields(request)["target"] = subject = await service.subject_of(name)
    return subject


@router.get(
    "/online",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def online(
    service: CurrentService, _: Administrator, query: Annotated[schemas.OnlineQuery, Query()]
) -> schemas.OnlineResponse:
    """List the live sessions of the online users, one page at a time; `next_cursor` continues."""
    page = await service.sessions.online.page(query.cursor, limit=query.limit)
    return schemas.OnlineResponse.of(page)


@router.get("/online/count", openapi_extra=BEARER_ONLY, responses=problems(400, 401, 403, 503))
async def online_count(service: CurrentService, _: Administrator) -> schemas.OnlineCountResponse:
    """Count the online users and their sessions."""
    return schemas.OnlineCountResponse.of(await service.sessions.online.count())


@router.get(
    "/sessions",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def list_sessions(
    service: CurrentService, _: Administrator, subject: NamedSubject
) -> schemas.SubjectSessionsResponse:
    """List a subject's live sessions, newest first."""
    found = await service.sessions.sessions(subject)
    return schemas.SubjectSessionsResponse(sessions=[SessionResponse.of(each) for each in found])


@router.delete(
    "/sessions",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 404, 413, 415, 422, 503),
    dependencies=_ONCE,
)
async def end_sessions(
    request: Request,
    service: CurrentService,
    _: RecentAdministrator,
    operation: Operation,
    query: Annotated[schemas.EndSessionsQuery, Query()],
) -> RevokedResponse:
    """End a subject's sessions: one, those on one type of device, or all."""
    subject = await meant(request, service, query.subject)
    if query.session_id is None:
        ended = await service.sessions.revoke_all(
            subject,
            device_type=query.device_type,
            reason=query.reason,
            operation_id=operation,
        )
    elif query.device_type is None:
        ended = await service.sessions.revoke(
            subject, query.session_id, reason=query.reason, operation_id=operation
        )
    else:
        raise InvalidInput("Send session_id or device_type, not both.")
    return RevokedResponse.of(ended)


@router.get(
    "/history",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def history(
    service: CurrentService, _: Administrator, subject: NamedSubject
) -> HistoryResponse:
    """List what happened to a subject's sessions, newest first."""
    return HistoryResponse.of(await service.sessions.history(subject))


@router.get(
    "/bans",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def list_bans(
    service: CurrentService, _: Administrator, subject: NamedSubject
) -> schemas.BansResponse:
    """List a subject's active bans."""
    found = await service.sessions.bans.list(subject)
    return schemas.BansResponse(bans=[BanResponse.of(ban) for ban in found])


@router.post(
    "/bans",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 409, 413, 415, 422, 503),
)
async def ban(
    request: Request,
    service: CurrentService,
    administrator: RecentAdministrator,
    operation: Operation,
    body: schemas.BanRequest,
) -> schemas.BannedResponse:
    """Ban a subject from a scope, or from everything, which also ends its sessions.

    An existing ban from the same scope is replaced. A name that nobody has can be banned in
    advance; `known` tells whether somebody has it.
    """
    subject = await meant(request, service, body.subject)
    if subject == administrator.subject and not body.scope:
        raise InvalidInput("You cannot ban yourself from everything.")
    ended = await service.sessions.bans.add(
        subject,
        reason=body.reason,
        for_seconds=body.for_seconds,
        scope=body.scope,
        level=body.level,
        operation_id=operation,
    )
    # A shard that needed the journals is not asked again.
    is_known = None if ended.journaled else await service.is_known(subject)
    return schemas.BannedResponse.of_ban(ended, subject, is_known=is_known)


@router.delete(
    "/bans",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
    dependencies=_ONCE,
)
async def lift_ban(
    request: Request,
    service: CurrentService,
    _: RecentAdministrator,
    query: Annotated[schemas.LiftBanQuery, Query()],
) -> schemas.LiftedResponse:
    """Lift a ban before it expires."""
    subject = await meant(request, service, query.subject)
    applied = await service.sessions.bans.lift(subject, scope=query.scope)
    if not applied.count and subject != query.subject:
        # A ban of before, when names were taken as they were spelt.
        applied = await service.sessions.bans.lift(query.subject, scope=query.scope)
    return schemas.LiftedResponse.of(applied)


@router.get(
    "/claims",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def read_claims(
    service: CurrentService, _: Administrator, subject: NamedSubject
) -> schemas.ClaimsResponse:
    """Return a subject's live claims, which override the claims of each login."""
    return schemas.ClaimsResponse(claims=dict(await service.sessions.claims.get(subject)))


@router.put(
    "/claims",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
)
async def set_claims(
    request: Request, service: CurrentService, _: RecentAdministrator, body: schemas.ClaimsRequest
) -> schemas.ClaimsSetResponse:
    """Replace a subject's live claims; every later verify returns them."""
    subject = await meant(request, service, body.subject)
    applied = await service.sessions.claims.set(subject, body.claims)
    return schemas.ClaimsSetResponse.of(applied)


@router.post(
    "/impersonate",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
)
async def impersonate(
    request: Request,
    service: CurrentService,
    administrator: RecentAdministrator,
    body: schemas.ImpersonationRequest,
) -> TokenResponse:
    """Open a session in which the administrator impersonates a subject (RFC 8693 section 4.1)."""
    subject = await meant(request, service, body.subject)
    pair = await service.sessions.impersonate(
        administrator, subject, reason=body.reason, for_seconds=body.for_seconds
    )
    return TokenResponse.of(pair)


@router.post(
    "/revoke-before",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
)
async def revoke_before(
    service: CurrentService, _: RecentAdministrator, body: schemas.RevokeBeforeRequest
) -> schemas.RevokedBeforeResponse:
    """End the sessions of all subjects that were opened before a time; this cannot be undone."""
    return schemas.RevokedBeforeResponse.of(await service.sessions.revoke_before(body.time))
