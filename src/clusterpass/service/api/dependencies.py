"""What the calls are handed: the service, the token, the session, the client's address.

- A query is as strict as a body: a name that is not known is refused, and so is one that stands
  twice. A misspelt condition would be no condition, a misspelt restriction would end everything.
- Who is asking is found out before it is said what is wrong with the rest of the request.
"""

import hashlib
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
from clusterpass.service.api.password_check import Doorkeeper
from clusterpass.service.asgi.request_log import FACTS
from clusterpass.service.settings.service import Settings
from clusterpass.web.bearer import bearer_token
from clusterpass.web.client_address import client_address

_LONGEST_KEY: Final = 128
STRICT: Final = "strict"
"""How sessions are verified before something is changed: by asking the store."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes work with; made when a worker starts."""

    settings: Settings
    sessions: AsyncSessionManager
    doorkeeper: Doorkeeper
    jwks: dict[str, list[dict[str, Any]]]


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _token(request: Request) -> str:
    return bearer_token(request.headers.getlist("authorization"))


Serving = Annotated[Service, Depends(_service)]
Token = Annotated[str, Depends(_token)]


async def _address(request: Request, service: Serving) -> str | None:
    return client_address(
        request.client.host if request.client else None,
        request.headers.getlist("x-forwarded-for"),
        service.settings.trusted_proxies,
    )


async def _session(request: Request, service: Serving, token: Token) -> Session:
    session = await service.sessions.verify(token)
    note_session(request, session)
    return session


async def _confirmed_session(request: Request, service: Serving, token: Token) -> Session:
    session = await service.sessions.verify(token, verification=STRICT)
    note_session(request, session)
    return session


async def _operation_id(request: Request) -> str | None:
    """The same for each repetition of a request that names itself by ``Idempotency-Key``.

    draft-ietf-httpapi-idempotency-key-header. Where the key is kept is the subject's business, so
    two subjects may use the same one.
    """
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not 1 <= len(keys[0]) <= _LONGEST_KEY:
        raise InvalidInput(f"Idempotency-Key must stand once and have 1 to {_LONGEST_KEY} bytes.")
    named = f"{request.method} {request.url.path}?{request.url.query} {keys[0]}"
    return hashlib.sha256(named.encode(errors="surrogateescape")).hexdigest()[:16]


Operation = Annotated[str | None, Depends(_operation_id)]
Address = Annotated[str | None, Depends(_address)]
Current = Annotated[Session, Depends(_session)]
"""The caller's session, for calls that only show something."""
Confirmed = Annotated[Session, Depends(_confirmed_session)]
"""The caller's session as the store has it now, for calls that change something."""


def note_session(request: Request, session: Session) -> None:
    """Say in the log line whose session the request is of, and who acts in it."""
    note_fact(request, "subject", session.subject)
    if session.act is not None:
        note_fact(request, "actor", session.act.subject)


def note_fact(request: Request, name: str, value: str) -> None:
    """Add to the log line of the request; never a secret."""
    facts = request.scope.get(FACTS)
    if facts is not None:
        facts[name] = value


def each_once(*but: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses names that stand more than once in the query, ``but`` these."""

    async def check(request: Request) -> None:
        counted = Counter(name for name, _ in request.query_params.multi_items())
        wrong = [
            {"type": "repeated", "loc": ("query", name)}
            for name, count in counted.items()
            if count > 1 and name not in but
        ]
        if wrong:
            raise RequestValidationError(wrong)

    return check
