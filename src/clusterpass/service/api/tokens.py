"""The calls that issue or revoke tokens, as the framework routes them and OpenAPI describes them.

The hot paths (:mod:`clusterpass.service.hot.tokens`) answer in their place, unless the request is
invalid.
"""

from typing import Final

from fastapi import APIRouter, Request, Response

from clusterpass.service.api.dependencies import (
    Address,
    CurrentService,
    FreshSession,
    Token,
    log_fields,
)
from clusterpass.service.api.openapi import BEARER_ONLY, problems
from clusterpass.service.asgi.security_headers import FORGET_SITE
from clusterpass.service.bodies import requests, responses
from clusterpass.service.calls import tokens as calls

router: Final = APIRouter(tags=["tokens"])
login_router: Final = APIRouter(tags=["tokens"])
directory_router: Final = APIRouter(tags=["tokens"])
"""What needs the user directory."""


@login_router.post("/login", responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503))
async def login(
    request: Request,
    response: Response,
    service: CurrentService,
    address: Address,
    body: requests.LoginRequest,
) -> responses.TokenResponse:
    """Open a session with a user name and a password.

    The response has a header `X-Device-Token`. A client that sends it with its next login as this
    user is counted apart from strangers; it admits nobody.
    """
    pair, (name, value) = await calls.login(
        service, body, request.scope, address, log_fields(request)
    )
    response.headers[name.decode()] = value.decode()
    return responses.TokenResponse.of(pair)


@login_router.post(
    "/step-up",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 503),
)
async def step_up(
    service: CurrentService, session: FreshSession, address: Address, body: requests.StepUpRequest
) -> responses.TokenResponse:
    """Confirm the password (RFC 9470): for `step_up_seconds`, the authentication counts as recent.

    Each session has a count of attempts of its own. The response contains new tokens for the same
    session; only they count as recent. Tokens that were issued before keep the authentication of
    the login.
    """
    return responses.TokenResponse.of(await calls.step_up(service, session, body, address))


@directory_router.post(
    "/password",
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 503),
)
async def change_password(
    service: CurrentService, session: FreshSession, address: Address, body: requests.PasswordRequest
) -> responses.TokenResponse:
    """Replace the caller's password; the other sessions end, unless `end_others` is false.

    The response contains new tokens for the same session, as that of a step-up does; all tokens
    that were issued before end. Each session has a count of attempts of its own.
    """
    return responses.TokenResponse.of(await calls.change_password(service, session, body, address))


@directory_router.post(
    "/password/link",
    status_code=204,
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422, 503),
)
async def use_link(
    request: Request, service: CurrentService, body: requests.LinkRequest
) -> Response:
    """Set a password by a one-time link, which ends, as do all sessions of its user."""
    await calls.use_link(service, body, log_fields(request))
    return Response(status_code=204)


@router.post("/refresh", responses=problems(400, 401, 413, 415, 422, 503))
async def refresh(
    request: Request, service: CurrentService, address: Address, body: requests.RefreshRequest
) -> responses.TokenResponse:
    """Exchange a refresh token for a new pair of tokens."""
    pair = await calls.refresh(service, body, address, log_fields(request))
    return responses.TokenResponse.of(pair)


@router.post(
    "/logout",
    status_code=204,
    response_class=Response,
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 413, 415, 503),
)
async def logout(
    request: Request, service: CurrentService, token: Token, address: Address
) -> Response:
    """End the session of the access token, which may have expired."""
    await calls.logout(service, token, address, request.scope)
    name, value = FORGET_SITE
    return Response(status_code=204, headers={name.decode(): value.decode()})
