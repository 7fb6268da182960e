"""GET /verify answered from memory, before any routing.

- The response for a token and a query is reused while the manager's cache returns the very same
  session object for the token: a changed session is another object, an ended one is none.
- Only 200 responses are cached, and only for queries of conditions that the session alone decides:
  a parameter that is not on the list (``verification=strict``, ``max_auth_age``, one that is yet
  to be invented) is passed to the application each time.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass import (
    Session,
)
from clusterpass.service.asgi.request_log import REQUEST_ID, request_id

SESSION: Final = "clusterpass.session"
"""The key in an ASGI scope of a list: the route appends the session that it returned."""
_MOST_RESPONSES: Final = 10_000
_LONGEST_QUERY: Final = 512
_CACHEABLE: Final = frozenset({"level", "scope", "not_banned", "ban_level", "outage_grace"})
"""The parameters that ask something of the session, which does not change while it is cached.

``outage_grace`` matters only while the session is not cached."""
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
        if token is None or not _may_be_cached(query):
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


def _may_be_cached(query: bytes) -> bool:
    """Return whether every parameter of ``query`` is on the list of those that may be cached."""
    if not query:
        return True
    if len(query) > _LONGEST_QUERY:
        return False
    try:
        names = parse_qs(query.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return False
    return names.keys() <= _CACHEABLE


def _bearer(authorization: bytes | None) -> str | None:
    """Return the token of a header in the usual form, ``Bearer TOKEN``; None for other forms."""
    if authorization is None or authorization[:7] != b"Bearer ":
        return None
    try:
        return authorization[7:].decode("ascii")
    except UnicodeDecodeError:
        return None
