"""GET /verify before any router, where the session may be served from memory.

- What the application answered for a token and a query is answered again for as long as the very
  same session is served from memory: one that changed, ended or expired is another one, or none.
- Only 200 is remembered, and no query whose outcome depends on the time: everything else goes to
  the application.
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass import (
    Session,
)
from clusterpass.service.asgi.request_log import REQUEST_ID, request_id

SESSION: Final = "clusterpass.session"
"""Where the route leaves the session that it answered about, in the scope of the request."""
_MOST_ANSWERS: Final = 10_000
_LONGEST_QUERY: Final = 512
_DEPENDS_ON_TIME: Final = b"max_auth_age"
Recall = Callable[[str], Session | None]


class WarmVerify:
    """ASGI middleware, outside of all others."""

    def __init__(self, app: ASGIApp, *, recall: Callable[[], Recall], adds_id: bool = True) -> None:
        """``recall`` gives what recalls the session of a token, once the application runs.

        ``adds_id``: whether an answer from memory lacks the id of its request.
        """
        self._app = app
        self._get_recall = recall
        self._recall: Recall | None = None
        self._adds_id = adds_id
        self._answers: dict[tuple[bytes | None, bytes], _Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or hand on and remember the answer."""
        if scope["type"] != "http" or scope["path"] != "/verify" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        authorization = given_id = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                # Two of them are for the application to refuse.
                authorization = value if authorization is None else b""
            elif name == REQUEST_ID:
                given_id = value
        key = authorization, scope["query_string"]
        answer = self._answers.get(key)
        if answer is not None and answer.session is self._recalled(answer.token):
            if self._adds_id:
                headers = [*answer.headers, (REQUEST_ID, request_id(given_id))]
            else:
                headers = answer.headers
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send(answer.body)
            return
        await self._ask(key, scope, receive, send)

    def _recalled(self, token: str) -> Session | None:
        recall = self._recall
        if recall is None:
            recall = self._recall = self._get_recall()
        return recall(token)

    async def _ask(
        self, key: tuple[bytes | None, bytes], scope: Scope, receive: Receive, send: Send
    ) -> None:
        authorization, query = key
        token = _bearer(authorization)
        if token is None or len(query) > _LONGEST_QUERY or _DEPENDS_ON_TIME in query:
            await self._app(scope, receive, send)
            return
        said: list[Message] = []

        async def noted(message: Message) -> None:
            said.append(message)
            await send(message)

        found: list[Session] = []
        await self._app({**scope, SESSION: found}, receive, noted)
        if (
            len(said) == 2
            and said[0]["status"] == 200
            and found
            and self._recalled(token) is found[0]
        ):
            if len(self._answers) >= _MOST_ANSWERS:
                del self._answers[next(iter(self._answers))]
            assert authorization is not None
            self._answers[authorization, query] = _Answer(token, found[0], said)


class _Answer:
    """What the application said of one session, without the id of the request."""

    __slots__ = ("body", "headers", "session", "token")

    def __init__(self, token: str, session: Session, said: list[Message]) -> None:
        head, self.body = said
        self.token = token
        self.session = session
        self.headers = [each for each in head["headers"] if each[0].lower() != REQUEST_ID]


def _bearer(authorization: bytes | None) -> str | None:
    """The token, when it is written as nearly all write it."""
    if authorization is None or authorization[:7] != b"Bearer ":
        return None
    try:
        return authorization[7:].decode("ascii")
    except UnicodeDecodeError:
        return None
