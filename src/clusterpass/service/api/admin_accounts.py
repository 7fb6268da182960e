"""The account calls of the administration API: a subject's data, and the users of the directory.

The data is exported and erased. Access is restricted as in :mod:`.administration`.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from clusterpass import AsyncUserDirectory, InvalidInput, OneTimeLink
from clusterpass.service.api.administration import (
    Administrator,
    NamedSubject,
    RecentAdministrator,
    meant,
)
from clusterpass.service.api.dependencies import CurrentService, log_fields, unrepeated
from clusterpass.service.api.openapi import BEARER_ONLY, problems
from clusterpass.service.bodies import administration as schemas
from clusterpass.service.bodies.responses import RevokedResponse
from clusterpass.service.calls.one_time_links import address_of_link, mail_with, require_page
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.mail import MailKind, check_address, send_in_time

router: Final = APIRouter(prefix="/admin", tags=["administration"])
directory_router: Final = APIRouter(prefix="/admin", tags=["administration"])
"""What needs the user directory."""
_ONCE: Final = [Depends(unrepeated())]


async def _users(service: CurrentService) -> AsyncUserDirectory:
    users = service.authenticator.users
    assert users is not None  # these calls are offered with a directory alone
    return users


Users = Annotated[AsyncUserDirectory, Depends(_users)]
"""The user directory."""


@router.get(
    "/export",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 422, 503),
    dependencies=_ONCE,
)
async def export(
    service: CurrentService, _: Administrator, subject: NamedSubject
) -> dict[str, Any]:
    """Return all that the store holds of a subject, without secrets, for the subject's own eyes."""
    users = service.authenticator.users
    if users is None:
        return await service.sessions.export(subject)
    return await users.export(subject)


@router.post(
    "/erase",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 503),
)
async def erase(
    request: Request, service: CurrentService, _: RecentAdministrator, body: schemas.SubjectRequest
) -> RevokedResponse:
    """End a subject's sessions, and erase its history, live claims, devices and addresses.

    Bans stay in force.
    """
    subject = await meant(request, service, body.subject)
    return RevokedResponse.of(await service.sessions.erase(subject))


@directory_router.delete(
    "/users",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 404, 413, 415, 422, 503),
    dependencies=_ONCE,
)
async def delete_user(
    request: Request,
    users: Users,
    administrator: RecentAdministrator,
    query: Annotated[schemas.DeleteUserQuery, Query()],
) -> RevokedResponse:
    """Remove a user from the directory, and end the user's sessions.

    With `erase`, what is known of the user is erased, too. Bans of the name stay in force.
    """
    log_fields(request)["target"] = query.subject
    if await users.name_of(query.subject) == administrator.subject:
        raise InvalidInput("You cannot delete yourself.")
    return RevokedResponse.of(await users.delete(query.subject, erase=query.erase))


@directory_router.post(
    "/reset-link",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 404, 413, 415, 422, 502, 503),
)
async def make_reset_link(
    request: Request,
    service: CurrentService,
    users: Users,
    _: RecentAdministrator,
    body: schemas.MakeLinkRequest,
) -> schemas.LinkResponse:
    """Make a link by which a user sets a new password, once; an older one of the user ends."""
    log_fields(request)["target"] = body.subject
    _check_sending(service, body.send_to)
    made = await users.make_link(body.subject, for_seconds=service.settings.reset_link_lifetime)
    return await _handed_over(service, "reset", made, body.send_to)


@directory_router.post(
    "/invite",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 409, 413, 415, 422, 502, 503),
)
async def invite(
    request: Request,
    service: CurrentService,
    users: Users,
    _: RecentAdministrator,
    body: schemas.MakeLinkRequest,
) -> schemas.LinkResponse:
    """Add a user to the directory, and make a link by which the user sets the first password."""
    log_fields(request)["target"] = body.subject
    _check_sending(service, body.send_to)
    made = await users.invite(body.subject, for_seconds=service.settings.invitation_lifetime)
    return await _handed_over(service, "invitation", made, body.send_to)


def _check_sending(service: Service, to: str | None) -> None:
    """Raise InvalidInput, before anything is changed, for what could not be sent."""
    if to is not None:
        require_page(service.settings)
        check_address(service.mail, to)


async def _handed_over(
    service: Service, kind: MailKind, made: OneTimeLink, to: str | None
) -> schemas.LinkResponse:
    if to is None:
        has_page = service.settings.login_enabled
        address = address_of_link(service.settings, made.token) if has_page else None
        return schemas.LinkResponse.of(made, address)
    send = check_address(service.mail, to)
    await send_in_time(send, mail_with(service.settings, kind, made, to))
    return schemas.LinkResponse.sent(made, to)
