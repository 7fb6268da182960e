"""The calls that issue or revoke tokens. They raise the errors of the library."""

from typing import Any, Final

from clusterpass import (
    ImpersonationRefused,
    InvalidCredentials,
    Session,
    TokenPair,
    TooManyAttempts,
)
from clusterpass.service.asgi.messages import Scope, header_values
from clusterpass.service.bodies.requests import (
    LinkRequest,
    LoginRequest,
    PasswordRequest,
    RefreshRequest,
    StepUpRequest,
)
from clusterpass.service.calls.requests import log_attempt, operation_id_of
from clusterpass.service.calls.worker_state import Service
from clusterpass.web.known_devices import DEVICE_HEADER

DEVICE_TOKEN: Final = DEVICE_HEADER.encode("ascii")
"""The header by which a client that keeps no cookies is told from strangers."""


async def login(
    service: Service, body: LoginRequest, scope: Scope, address: str | None, fields: dict[str, Any]
) -> tuple[TokenPair, tuple[bytes, bytes]]:
    """Open a session with a user name and a password. ``fields``: of the log line.

    Returns the tokens, and the header by which the client is known at its next login.
    """
    sent = header_values(scope, DEVICE_TOKEN)
    known = service.devices.known(sent[0], body.username) if len(sent) == 1 else None
    try:
        pair = await service.authenticator.login(
            body.username,
            body.password.get_secret_value(),
            device=body.device,
            device_type=body.device_type,
            remember=body.remember,
            replace=body.replace,
            address=address,
            known=known,
        )
    except (InvalidCredentials, TooManyAttempts):
        log_attempt(fields, body.username, address)
        raise
    fields["subject"] = pair.subject
    return pair, (DEVICE_TOKEN, service.devices.make(body.username, known).encode("ascii"))


async def step_up(
    service: Service, session: Session, body: StepUpRequest, address: str | None
) -> TokenPair:
    """Confirm the password of the user of ``session``, which was verified with the store."""
    if session.act is not None:
        raise ImpersonationRefused(
            "Step-up is not possible in an impersonation.", reason="impersonated"
        )
    await service.authenticator.confirm(
        session.subject,
        body.password.get_secret_value(),
        address=address,
        known=session.session_id,
    )
    return await service.sessions.elevate(
        session,
        service.sessions.config.levels[0],
        for_seconds=service.settings.step_up_seconds,
        amr=("pwd",),
        address=address,
    )


async def change_password(
    service: Service, session: Session, body: PasswordRequest, address: str | None
) -> TokenPair:
    """Replace the password of the user of ``session``, which was verified with the store."""
    users = service.authenticator.users
    assert users is not None  # the call is offered with a directory alone
    return await users.change_password(
        session,
        body.current_password.get_secret_value(),
        body.new_password.get_secret_value(),
        address=address,
        end_others=body.end_others,
        for_seconds=service.settings.step_up_seconds,
    )


async def use_link(service: Service, body: LinkRequest, fields: dict[str, Any]) -> None:
    """Set a password by a one-time link. ``fields``: of the log line."""
    users = service.authenticator.users
    assert users is not None  # the call is offered with a directory alone
    token = body.token.get_secret_value()
    fields["subject"] = await users.user_of_link(token)
    await users.use_link(token, body.new_password.get_secret_value())


async def refresh(
    service: Service, body: RefreshRequest, address: str | None, fields: dict[str, Any]
) -> TokenPair:
    """Exchange a refresh token for a new pair of tokens. ``fields``: of the log line."""
    pair = await service.sessions.refresh(body.refresh_token.get_secret_value(), address=address)
    fields["subject"] = pair.subject
    return pair


async def logout(service: Service, token: str, address: str | None, scope: Scope) -> None:
    """End the session of an access token, which may have expired.

    An ``Idempotency-Key`` belongs to the token, whose session may be over, so two devices of a user
    may log out with the same key.
    """
    operation_id = operation_id_of(scope, "token", token)
    await service.sessions.logout(token, address=address, operation_id=operation_id)
