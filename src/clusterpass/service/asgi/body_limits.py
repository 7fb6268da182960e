"""Limits on request bodies: their size and their Content-Type.

The whole body is read here, since it is small, so that one rule covers bodies with a Content-Length
and chunked ones.
"""

from collections.abc import Container
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass.service.bodies.problem_responses import problem_response
from clusterpass.web.problems import Problem, of_status

MOST_BODY_BYTES: Final = 64 * 1024
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class BodyLimits:
    """ASGI middleware: 413 for a body over 64 KiB, 415 for another Content-Type than expected."""

    def __init__(self, app: ASGIApp, *, form_paths: Container[str] = frozenset()) -> None:
        """``form_paths``: the paths that expect an HTML form instead of JSON."""
        self._app = app
        self._form_paths = form_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request, or pass it on with its body read."""
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _content_length(headers) > MOST_BODY_BYTES:
            await problem_response(_too_large())(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > MOST_BODY_BYTES:
                await problem_response(_too_large())(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        expected = _FORM if scope["path"] in self._form_paths else _JSON
        if body and _media_type(headers) != expected:
            problem = of_status(415, f"Send the body as {expected}.")
            await problem_response(problem)(scope, receive, send)
            return
        await self._app(scope, _replay(bytes(body), receive), send)


def _content_length(headers: Headers) -> int:
    length = headers.get("content-length", "")
    # No int() on a very long number. An invalid length is for the server to reject.
    if not (length.isascii() and length.isdigit()):
        return 0
    return int(length) if len(length) < 19 else MOST_BODY_BYTES + 1


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large() -> Problem:
    return of_status(
        413, f"The body may have at most {MOST_BODY_BYTES} bytes.", {"Connection": "close"}
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    is_sent = False

    async def replayed() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
