"""The middleware of the integration with Litestar: it sends what a visit adds to the response."""

from typing import TYPE_CHECKING, Any, Final, cast

from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass.integrations.litestar_requests import (
    CONNECTION,
    OWNER,
    REFUSAL,
    VISIT,
    Connection,
    LitestarRequest,
)
from clusterpass.model.errors import ClusterPassError
from clusterpass.web import endpoints
from clusterpass.web.caching import protect
from clusterpass.web.gate import Gate, Visit

if TYPE_CHECKING:
    from clusterpass.integrations.litestar import ClusterPass

_DENIAL: Final = "websocket.http.response"


def with_visits(owner: "ClusterPass", app: ASGIApp) -> ASGIApp:
    """Return ``app`` with the middleware of ``owner``."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        kept = cast("dict[str, Any]", scope)
        connection: Connection = ASGIConnection(scope, receive)
        visit = Visit(LitestarRequest(connection))
        kept |= {OWNER: owner, CONNECTION: connection, VISIT: visit}

        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Litestar's cache stores the message that it has sent: it must not have tokens.
                message = {**message, "headers": [*message["headers"]]}
                headers = MutableScopeHeaders.from_message(message)
                protect(visit, headers, headers.getall("Vary", []))
                for name, value in visit.headers:
                    headers.add(name, value)
            if message["type"] == "websocket.accept":  # the handler lets it in all the same
                kept.pop(REFUSAL, None)
            refusal = kept.get(REFUSAL) if message["type"] == "websocket.close" else None
            if refusal is not None and _DENIAL in (kept.get("extensions") or {}):
                await _deny(owner.gate, refusal, visit, send)
            else:
                await send(message)

        await app(scope, receive, send_more)

    return wrapped


async def _deny(gate: Gate, error: ClusterPassError, visit: Visit, send: Send) -> None:
    """Answer a handshake that was refused with the response that a request would get."""
    answer = endpoints.error_answer(gate, visit.request, error)
    headers = (("Content-Type", answer.media_type), *answer.headers)
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    start = {"type": f"{_DENIAL}.start", "status": answer.status, "headers": encoded}
    await send(cast("Message", start))
    await send(cast("Message", {"type": f"{_DENIAL}.body", "body": answer.body()}))
