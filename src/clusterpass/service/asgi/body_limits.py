"""What a request body may be, before anything reads it: its size and its type.

The whole body is read here, as it is small, so one rule holds for bodies that announce their length
and for chunked ones.
"""

from collections.abc import Container
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass.service.bodies.problems import Problem, of_status

MOST_BODY_BYTES: Final = 64 * 1024
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class BodyLimits:
    """ASGI middleware: 413 for a body over 64 KiB, 415 for one that is not JSON."""

    def __init__(self, app: ASGIApp, *, form_paths: Container[str] = frozenset()) -> None:
        """``form_paths``: where a browser's form is expected in place of JSON."""
        self._app = app
        self._form_paths = form_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or hand it on with its body read."""
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _announced(headers) > MOST_BODY_BYTES:
            await _too_large().response()(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > MOST_BODY_BYTES:
                await _too_large().response()(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        wanted = _FORM if scope["path"] in self._form_paths else _JSON
        if body and _media_type(headers) != wanted:
            problem = of_status(415, f"Send the body as {wanted}.")
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, _replay(bytes(body), receive), send)


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    # No int() on endless digits; what is no number is the server's to refuse, not ours.
    if not (length.isascii() and length.isdigit()):
        return 0
    return int(length) if len(length) < 19 else MOST_BODY_BYTES + 1


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large() -> Problem:
    return of_status(413, f"A body has at most {MOST_BODY_BYTES} bytes.", {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    is_sent = False

    async def replayed() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
