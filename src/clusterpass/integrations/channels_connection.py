"""An ASGI WebSocket that the integration can close while the application is using it."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

from clusterpass.integrations.attached import reason_of
from clusterpass.model.errors import ClusterPassError
from clusterpass.web.messages import WebAnswer

Message = Any
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_FIRST_CODE: Final = 4000
"""The first of the close codes for applications (RFC 6455 section 7.4.2)."""


class Connection:
    """The messages that an application receives and sends over one WebSocket.

    Once :meth:`close` has closed the connection, the application receives a
    ``websocket.disconnect`` with that code, no matter what the client still sends or whether it
    answers. Messages that the application still sends are dropped.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive: Final = receive
        self._send: Final = send
        self._closed: Final[asyncio.Future[Message]] = asyncio.get_running_loop().create_future()
        self._is_closing = False
        self._has_told = False

    async def close(self, code: int, reason: str) -> None:
        """Close the WebSocket, or refuse it where it has not been accepted."""
        if self._is_closing:  # the application was first
            return
        self._is_closing = True
        try:
            with suppress(OSError):  # the client has left
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        finally:
            self._closed.set_result(
                {"type": "websocket.disconnect", "code": code, "reason": reason}
            )

    async def receive(self) -> Message:
        """Return the next message to the application."""
        if self._has_told:  # and a consumer goes on receiving: nothing comes any more
            await asyncio.get_running_loop().create_future()
        receiving = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait((receiving, self._closed), return_when=asyncio.FIRST_COMPLETED)
            self._has_told = self._closed.done()
            return (self._closed if self._has_told else receiving).result()
        finally:
            receiving.cancel()

    async def send(self, message: Message) -> None:
        """Send a message of the application."""
        if self._is_closing:
            return
        self._is_closing = message["type"] == "websocket.close"
        await self._send(message)


async def refuse(
    scope: MutableMapping[str, Any],
    receive: Receive,
    send: Send,
    error: ClusterPassError,
    answer: WebAnswer,
) -> None:
    """Refuse a handshake with ``answer`` where the server can send it; else servers send 403."""
    await receive()  # the message that a client wants to connect
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        code = _FIRST_CODE + error.status
        await send({"type": "websocket.close", "code": code, "reason": reason_of(error)})
        return
    headers = [("Content-Type", answer.media_type), *answer.headers]
    await send(
        {
            "type": "websocket.http.response.start",
            "status": answer.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        }
    )
    await send({"type": "websocket.http.response.body", "body": answer.body()})
