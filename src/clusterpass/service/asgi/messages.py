"""The messages of ASGI: their types, headers of a request, and a response in two messages."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of all headers of a name, which is in lower case."""
    return [value.decode("latin-1") for given, value in scope["headers"] if given == name]


def first_header(scope: Scope, name: bytes) -> bytes | None:
    """Return the value of the first header of a name; None when there is none."""
    for given, value in scope["headers"]:
        if given == name:
            found: bytes = value
            return found
    return None


async def send_response(
    send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
