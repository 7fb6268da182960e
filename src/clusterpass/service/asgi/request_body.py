"""The body of a request: its size, Content-Type and deadline, and the whole of it in one piece.

- The whole body is read at once, since it is small, so that one rule covers bodies with a
  Content-Length and chunked ones.
- A body has to arrive in time. Of those of one client, only so many may take longer than most do:
  a client that opens many requests and sends nothing is refused, while the others are read.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from clusterpass.service.asgi.messages import Message, Receive, Scope, first_header
from clusterpass.web.problems import Problem, of_status

MOST_BODY_BYTES: Final = 64 * 1024
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_SLOW_SECONDS: Final = 0.5
"""The time after which a body that has not arrived is a slow one."""
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
        self._seconds: Final = seconds
        self._most_slow: Final = most_slow
        self._client_of: Final = client_of
        self._slow: Final[Counter[str]] = Counter()

    async def read(self, scope: Scope, receive: Receive, expected: str) -> bytes | Problem | None:
        """Return the body of a request, or the problem with it; None when the client has left.

        ``expected``: the media type that a body has to have, unless it is empty.
        """
        if _content_length(scope) > MOST_BODY_BYTES:
            return _too_large()
        problem = of_status(408, headers=_CLOSE)
        slow_client: str | None = None

        def become_slow() -> None:
            nonlocal problem, slow_client
            client = self._client_of(scope)
            if self._slow[client] < self._most_slow:
                self._slow[client] += 1
                slow_client = client
            else:
                problem = _too_many()
                deadline.reschedule(loop.time())

        loop = asyncio.get_running_loop()
        slowness = loop.call_later(min(_SLOW_SECONDS, self._seconds / 2), become_slow)
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                body = await _read_all(scope, receive)
        except TimeoutError:
            return problem
        finally:
            slowness.cancel()
            if slow_client is not None:
                self._slow[slow_client] -= 1
                if not self._slow[slow_client]:
                    del self._slow[slow_client]
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
