"""GET /verify answered from memory, before any routing.

- The response for a token and a query is reused while the manager's cache returns the very same
  session object for the token: a changed session is another object, an ended one is none.
- Only 200 responses are cached, and no query whose outcome depends on the time; everything else is
  passed to the application.
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass import (
    Session,
)
from clusterpass.service.asgi.request_log import REQUEST_ID, request_id

SESSION: Final = "clusterpass.session"
"""The key in an ASGI scope of a list: the route appends the session that it returned."""
_MOST_RESPONSES: Final = 10_000
_LONGEST_QUERY: Final = 512
_DEPENDS_ON_TIME: Final = b"max_auth_age"
Recall = Callable[[str], Session | None]


class WarmVerify:
    """ASGI middleware, the outermost unless its responses are logged."""

    def __init__(self, app: ASGIApp, *, recall: Callable[[], Recall], adds_id: bool = True) -> None:
        """``recall`` returns the lookup of cached sessions by token, once the application runs.

        ``adds_id``: whether to add a request id, which no outer middleware does.
        """
        self._app = app
        self._get_recall = recall
        self._recall: Recall | None = None
        self._adds_id = adds_id
        self._responses: dict[tuple[bytes | None, bytes], _Response] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond from memory, or pass the request on and cache the response."""
        if scope["type"] != "http" or scope["path"] != "/verify" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        authorization = given_id = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                # The application rejects a second Authorization header.
                authorization = value if authorization is None else b""
            elif name == REQUEST_ID:
                given_id = value
        key = authorization, scope["query_string"]
        cached = self._responses.get(key)
        if cached is not None and cached.session is self._recalled(cached.token):
            if self._adds_id:
                headers = [*cached.headers, (REQUEST_ID, request_id(given_id))]
            else:
                headers = cached.headers
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send(cached.body)
            return
        await self._call(key, scope, receive, send)

    def _recalled(self, token: str) -> Session | None:
        recall = self._recall
        if recall is None:
            recall = self._recall = self._get_recall()
        return recall(token)

    async def _call(
        self, key: tuple[bytes | None, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        authorization, query = key
        token = _bearer(authorization)
        if token is None or len(query) > _LONGEST_QUERY or _DEPENDS_ON_TIME in query:
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []

        async def recorded(message: Message) -> None:
            messages.append(message)
            await send(message)

        found: list[Session] = []
        await self._app({**scope, SESSION: found}, receive, recorded)
        if (
            len(messages) == 2
            and messages[0]["status"] == 200
            and found
            and self._recalled(token) is found[0]
        ):
            if len(self._responses) >= _MOST_RESPONSES:
                del self._responses[next(iter(self._responses))]
            assert authorization is not None
            self._responses[authorization, query] = _Response(token, found[0], messages)


class _Response:
    """A response of the application about one session, without the request id."""

    __slots__ = ("body", "headers", "session", "token")

    def __init__(self, token: str, session: Session, messages: list[Message]) -> None:
        head, self.body = messages
        self.token = token
        self.session = session
        self.headers = [each for each in head["headers"] if each[0].lower() != REQUEST_ID]


def _bearer(authorization: bytes | None) -> str | None:
    """Return the token of a header in the usual form, ``Bearer TOKEN``; None for other forms."""
    if authorization is None or authorization[:7] != b"Bearer ":
        return None
    try:
        return authorization[7:].decode("ascii")
    except UnicodeDecodeError:
        return None
