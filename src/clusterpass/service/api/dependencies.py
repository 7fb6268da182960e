"""FastAPI dependencies of the routes: service, token, session, operation id, client's address.

- Query parameters are as strict as a body: unknown and repeated names are rejected. A misspelt
  condition would be ignored otherwise, and a misspelt filter would end every session.
- The caller is authenticated before the rest of the request is validated.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError

from clusterpass import (
    Session,
    acting,
)
from clusterpass.service.asgi.request_log import LOG_FIELDS
from clusterpass.service.calls.requests import (
    actor_of,
    address_of,
    log_session,
    operation_id_of,
)
from clusterpass.service.calls.verify import verify_fresh
from clusterpass.service.calls.worker_state import Service
from clusterpass.web.bearer import bearer_token


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _token(request: Request) -> str:
    return bearer_token(request.headers.getlist("authorization"))


CurrentService = Annotated[Service, Depends(_service)]
Token = Annotated[str, Depends(_token)]


async def _address(request: Request, service: CurrentService) -> str | None:
    return address_of(service, request.scope)


async def _session(request: Request, service: CurrentService, token: Token) -> Session:
    session = await service.sessions.verify(token)
    log_session(log_fields(request), session)
    return session


async def _fresh_session(
    request: Request, service: CurrentService, token: Token
) -> AsyncIterator[Session]:
    session = await verify_fresh(service, token, log_fields(request))
    with acting(actor_of(session), address=address_of(service, request.scope)):
        yield session


CurrentSession = Annotated[Session, Depends(_session)]
"""The caller's session, for read-only calls."""
FreshSession = Annotated[Session, Depends(_fresh_session)]
"""The caller's session, verified with the store, for calls that change something."""


async def _operation_id(request: Request, session: FreshSession) -> str | None:
    """Return the operation id of a call in ``session``: the key belongs to the caller."""
    actor = "" if session.act is None else session.act.subject
    return operation_id_of(request.scope, "session", session.subject, actor)


Operation = Annotated[str | None, Depends(_operation_id)]
"""The operation id of a call in the caller's session; None without an ``Idempotency-Key``."""
Address = Annotated[str | None, Depends(_address)]


def log_fields(request: Request) -> dict[str, Any]:
    """Return the fields that are added to the log line of the request; never a secret."""
    fields: dict[str, Any] = request.scope.get(LOG_FIELDS, {})
    return fields


def unrepeated(*exceptions: str) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that rejects repeated query parameters, except for ``exceptions``."""

    async def check(request: Request) -> None:
        counted = Counter(name for name, _ in request.query_params.multi_items())
        repeated = [
            {"type": "repeated", "loc": ("query", name)}
            for name, count in counted.items()
            if count > 1 and name not in exceptions
        ]
        if repeated:
            raise RequestValidationError(repeated)

    return check
