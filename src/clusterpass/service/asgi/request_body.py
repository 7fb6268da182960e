"""Reads the whole body of a request, and checks its size, its Content-Type and its deadline.

- Bodies are small, so each is read in one piece. One rule therefore covers bodies with a
  Content-Length and chunked ones.
- Every body has a deadline, and the number of slow bodies of one client is limited: if a
  client opens many requests and sends nothing, the excess is refused, and other bodies are read.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from clusterpass.service.asgi.messages import Message, Receive, Scope, first_header
from clusterpass.service.asgi.slow_bodies import Reading, SlowBodies
from clusterpass.web.problems import Problem, of_status

MOST_BODY_BYTES: Final = 64 * 1024
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_CLOSE: Final = {"Connection": "close"}


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


class BodyReader:
    """Reads the bodies of requests for one application."""

    def __init__(
        self,
        *,
        seconds: float = 10,
        most_slow: int = 100,
        client_of: Callable[[Scope], str] = _peer,
    ) -> None:
        """``seconds``: in which a body has to arrive. ``most_slow``: the bodies of one client that
        may be waited for at once, by ``client_of``, beyond the time that most take."""
        self._slow: Final = SlowBodies(seconds=seconds, most_slow=most_slow, client_of=client_of)

    async def read(self, scope: Scope, receive: Receive, expected: str) -> bytes | Problem | None:
        """Return the body of a request, or the problem with it; None when the client has left.

        ``expected``: the media type that a body has to have, unless it is empty.
        """
        if _content_length(scope) > MOST_BODY_BYTES:
            return _too_large()
        reading: Reading | None = None
        try:
            async with asyncio.timeout(None) as deadline:
                reading = self._slow.begin(scope, deadline)
                body = await _read_all(scope, receive)
        except TimeoutError:
            is_refused = reading is not None and reading.is_refused
            return _too_many() if is_refused else of_status(408, headers=_CLOSE)
        finally:
            if reading is not None:
                self._slow.end(reading)
        if isinstance(body, bytes) and body and _media_type(scope) != expected:
            return of_status(415, f"Send the body as {expected}.")
        return body


async def _read_all(scope: Scope, receive: Receive) -> bytes | Problem | None:
    body = b""
    is_complete = False
    while not is_complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            # So the server reports chunks that are malformed, too.
            is_chunked = first_header(scope, b"transfer-encoding") is not None
            return of_status(400, "The body is malformed.", _CLOSE) if is_chunked else None
        body += message.get("body", b"")
        if len(body) > MOST_BODY_BYTES:
            return _too_large()
        is_complete = not message.get("more_body", False)
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
    return of_status(413, f"The body may have at most {MOST_BODY_BYTES} bytes.", _CLOSE)


def _too_many() -> Problem:
    text = "Too many requests of this client are waiting for their bodies."
    return of_status(429, text, {"Retry-After": "1", **_CLOSE})
