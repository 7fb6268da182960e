"""A web application that says what reached it, over HTTP and over a WebSocket."""

import json
from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An ASGI application."""
    if scope["type"] == "http":
        await _respond(scope, receive, send)
    elif scope["type"] == "websocket":
        await _converse(scope, receive, send)


def _about(scope: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [(name.decode(), value.decode()) for name, value in scope["headers"]],
    }


async def _respond(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    seen = {"method": scope["method"], "body": body.decode(), **_about(scope)}
    _, _, wanted = scope["path"].partition("/status/")
    status = int(wanted or 200)
    headers = [(b"content-type", b"application/json"), (b"x-upstream", b"1")]
    _, _, cookie = scope["path"].partition("/cookie/")
    if cookie:
        headers.append((b"set-cookie", f"{cookie}=1".encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


async def _converse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Send what the handshake was, then every text that comes."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": json.dumps(_about(scope))})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
