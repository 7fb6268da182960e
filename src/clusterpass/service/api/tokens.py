"""The calls that issue or revoke tokens: login, step-up, refresh, logout."""

from typing import Final

from fastapi import APIRouter, Request, Response

from clusterpass import (
    ImpersonationRefused,
)
from clusterpass.service.api.dependencies import (
    Address,
    CurrentService,
    FreshSession,
    LogoutOperation,
    Token,
    add_log_field,
)
from clusterpass.service.api.openapi import BEARER_ONLY, problems
from clusterpass.service.bodies import requests, responses

router: Final = APIRouter(tags=["tokens"])
login_router: Final = APIRouter(tags=["tokens"])


@login_router.post("/login", responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 429, 503))
async def login(
    request: Request, service: CurrentService, address: Address, body: requests.LoginRequest
) -> responses.TokenResponse:
    """Open a session with a user name and a password."""
    pair = await service.authenticator.login(
        body.username,
        body.password.get_secret_value(),
        device=body.device,
        device_type=body.device_type,
        remember=body.remember,
        replace=body.replace,
        address=address,
    )
    add_log_field(request, "subject", pair.subject)
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

    Each call counts as a login attempt. The response contains new tokens for the same session; only
    they count as recent. Tokens that were issued before keep the authentication of the login.
    """
    if session.act is not None:
        raise ImpersonationRefused(
            "Step-up is not possible in an impersonation.", reason="impersonated"
        )
    await service.authenticator.confirm(
        session.subject, body.password.get_secret_value(), address=address
    )
    pair = await service.sessions.elevate(
        session,
        service.sessions.config.levels[0],
        for_seconds=service.settings.step_up_seconds,
        amr=("pwd",),
        address=address,
    )
    return responses.TokenResponse.of(pair)


@router.post("/refresh", responses=problems(400, 401, 413, 415, 422, 503))
async def refresh(
    request: Request, service: CurrentService, address: Address, body: requests.RefreshRequest
) -> responses.TokenResponse:
    """Exchange a refresh token for a new pair of tokens."""
    pair = await service.sessions.refresh(body.refresh_token.get_secret_value(), address=address)
    add_log_field(request, "subject", pair.subject)
    return responses.TokenResponse.of(pair)


@router.post(
    "/logout",
    status_code=204,
    response_class=Response,
    openapi_extra=BEARER_ONLY,
    responses=problems(400, 401, 413, 415, 503),
)
async def logout(
    service: CurrentService, token: Token, address: Address, operation: LogoutOperation
) -> None:
    """End the session of the access token, which may have expired."""
    await service.sessions.logout(token, address=address, operation_id=operation)
