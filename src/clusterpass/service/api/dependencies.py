"""What the routes are given: the service, the token, the session, the client's address.

- Query parameters are as strict as a body: unknown and repeated names are rejected. A misspelt
  condition would be ignored otherwise, and a misspelt filter would end every session.
- The caller is authenticated before the rest of the request is validated.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError

from clusterpass import (
    AsyncSessionManager,
    InvalidInput,
    Session,
)
from clusterpass.integrations.starlette_requests import StarletteRequest
from clusterpass.service.api.password_check import Authenticator
from clusterpass.service.asgi.request_log import LOG_FIELDS
from clusterpass.service.settings.service import Settings
from clusterpass.web.bearer import bearer_token
from clusterpass.web.gate import Gate

_LONGEST_KEY: Final = 128
STRICT: Final = "strict"
"""The verification mode for calls that change something: always ask the store."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes work with; created when a worker starts."""

    settings: Settings
    sessions: AsyncSessionManager
    authenticator: Authenticator
    jwks: dict[str, list[dict[str, Any]]]
    gate: Gate


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _token(request: Request) -> str:
    return bearer_token(request.headers.getlist("authorization"))


CurrentService = Annotated[Service, Depends(_service)]
Token = Annotated[str, Depends(_token)]


async def _address(request: Request, service: CurrentService) -> str | None:
    return service.gate.address(StarletteRequest(request))


async def _session(request: Request, service: CurrentService, token: Token) -> Session:
    session = await service.sessions.verify(token)
    log_session(request, session)
    return session


async def _fresh_session(request: Request, service: CurrentService, token: Token) -> Session:
    session = await service.sessions.verify(token, verification=STRICT)
    log_session(request, session)
    return session


CurrentSession = Annotated[Session, Depends(_session)]
"""The caller's session, for read-only calls."""
FreshSession = Annotated[Session, Depends(_fresh_session)]
"""The caller's session, verified with the store, for calls that change something."""


async def _operation_id(request: Request, session: FreshSession) -> str | None:
    """Return the operation id of a call in ``session``: the key belongs to the caller."""
    actor = "" if session.act is None else session.act.subject
    return _derive_operation_id(request, "session", session.subject, actor)


async def _logout_operation_id(request: Request, token: Token) -> str | None:
    """Return the operation id of a logout: the key belongs to the token, whose session may be over.

    So two devices of a user may log out with the same key.
    """
    return _derive_operation_id(request, "token", token)


def _derive_operation_id(request: Request, *caller: str) -> str | None:
    """Return an operation id derived from the ``Idempotency-Key`` of the request, if it has one.

    The id identifies the caller, the method, the path and the key, so callers may choose equal
    keys. The store compares the rest of the request, the query and the body, as far as it decides
    what is done, and refuses another request with the same id
    (draft-ietf-httpapi-idempotency-key-header, section 2.7).
    """
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not 1 <= len(keys[0]) <= _LONGEST_KEY:
        raise InvalidInput(f"Send Idempotency-Key once, with 1 to {_LONGEST_KEY} bytes.")
    named = json.dumps([*caller, request.method, request.url.path, keys[0]])
    return hashlib.sha256(named.encode("ascii")).hexdigest()[:16]


Operation = Annotated[str | None, Depends(_operation_id)]
"""The operation id of a call in the caller's session; None without an ``Idempotency-Key``."""
LogoutOperation = Annotated[str | None, Depends(_logout_operation_id)]
"""The operation id of a logout; None without an ``Idempotency-Key``."""
Address = Annotated[str | None, Depends(_address)]


def log_session(request: Request, session: Session) -> None:
    """Add the subject of ``session`` to the log line, and the actor of an impersonation."""
    add_log_field(request, "subject", session.subject)
    if session.act is not None:
        add_log_field(request, "actor", session.act.subject)


def add_log_field(request: Request, name: str, value: str) -> None:
    """Add a field to the log line of the request; never a secret."""
    fields = request.scope.get(LOG_FIELDS)
    if fields is not None:
        fields[name] = value


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
