"""The body of a request: its size, its Content-Type, and the whole of it in one piece.

The whole body is read at once, since it is small, so that one rule covers bodies with a
Content-Length and chunked ones.
"""

from typing import Final

from clusterpass.service.asgi.messages import Message, Receive, Scope, first_header
from clusterpass.web.problems import Problem, of_status

MOST_BODY_BYTES: Final = 64 * 1024
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


async def read_body(scope: Scope, receive: Receive, expected: str) -> bytes | Problem | None:
    """Return the body of a request, or the problem with it; None when the client has left.

    ``expected``: the media type that a body has to have, unless it is empty.
    """
    if _content_length(scope) > MOST_BODY_BYTES:
        return _too_large()
    body = b""
    is_complete = False
    while not is_complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            return _too_large()
        is_complete = not message.get("more_body", False)
    if body and _media_type(scope) != expected:
        return of_status(415, f"Send the body as {expected}.")
    return body


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives ``body``, which was read already, once more."""
    is_sent = False

    async def replayed() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _content_length(scope: Scope) -> int:
    length = first_header(scope, b"content-length") or b""
    # No int() on a very long number. An invalid length is for the server to reject.
    if not length.isdigit():
        return 0
    return int(length) if len(length) < 19 else MOST_BODY_BYTES + 1


def _media_type(scope: Scope) -> str:
    sent = first_header(scope, b"content-type") or b""
    return sent.partition(b";")[0].strip().lower().decode("latin-1")


def _too_large() -> Problem:
    return of_status(
        413, f"The body may have at most {MOST_BODY_BYTES} bytes.", {"Connection": "close"}
    )
