"""A bare callable with a constant answer, as long as that of ``/verify``, over ASGI and RSGI."""

from typing import Any

from starlette.types import Receive, Scope, Send

BODY = b'{"subject":"alice","session_id":"' + b"x" * 220 + b'"}'
_NAMES = (
    *("x-auth-subject", "x-auth-session", "x-auth-level", "x-auth-scope", "cache-control"),
    *("content-security-policy", "referrer-policy", "x-content-type-options", "x-frame-options"),
    "x-request-id",
)
HEADERS = [
    ("content-type", "application/json"),
    ("content-length", str(len(BODY))),
    *((name, "a value of some length") for name in _NAMES),
]
_ASGI_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS]


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI without a framework."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": _ASGI_HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def rsgi(_: Any, protocol: Any) -> None:
    """RSGI without a framework."""
    protocol.response_bytes(200, HEADERS, BODY)
