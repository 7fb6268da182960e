"""GET /verify before any router, where the session may be served from memory.

- What the application answered for a token and a query is answered again for as long as the very
  same session is served from memory: one that changed, ended or expired is another one, or none.
- Only 200 is remembered, and no query whose outcome depends on the time: everything else goes to
  the application.
"""

from collections.abc import Callable
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass.models import Session
from clusterpass.service.logs import REQUEST_ID, request_id

SESSION: Final = "clusterpass.session"
"""Where the route leaves the session that it answered about, in the scope of the request."""
_MOST_ANSWERS: Final = 10_000
_LONGEST_QUERY: Final = 512
_DEPENDS_ON_TIME: Final = b"max_auth_age"
Recall = Callable[[str], Session | None]


class WarmVerify:
    """ASGI middleware, outside of all others."""

    def __init__(self, app: ASGIApp, *, recall: Callable[[], Recall], adds_id: bool) -> None:
        """``recall`` gives what recalls the session of a token, once the application runs.

        ``adds_id``: whether an answer from memory lacks the id of its request.
        """
        self._app = app
        self._get_recall = recall
        self._recall: Recall | None = None
        self._adds_id = adds_id
        self._answers: dict[tuple[str, bytes], _Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or hand on and remember the answer."""
        if (
            scope["type"] != "http"
            or scope["path"] != "/verify"
            or scope["method"] != "GET"
            or (token := _bearer(scope)) is None
        ):
            await self._app(scope, receive, send)
            return
        recall = self._recall
        if recall is None:
            recall = self._recall = self._get_recall()
        query = scope["query_string"]
        answer = self._answers.get((token, query))
        if answer is not None and answer.session is recall(token):
            head = answer.head
            if self._adds_id:
                named = (REQUEST_ID, request_id(scope).encode())
                head = {**head, "headers": [*head["headers"], named]}
            await send(head)
            await send(answer.body)
            return
        if len(query) > _LONGEST_QUERY or _DEPENDS_ON_TIME in query:
            await self._app(scope, receive, send)
            return
        await self._ask(token, query, {**scope, SESSION: []}, receive, send)

    async def _ask(
        self, token: str, query: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        said: list[Message] = []

        async def noted(message: Message) -> None:
            said.append(message)
            await send(message)

        await self._app(scope, receive, noted)
        found: list[Session] = scope[SESSION]
        if (
            len(said) == 2
            and said[0]["status"] == 200
            and found
            and self._recall is not None
            and self._recall(token) is found[0]
        ):
            if len(self._answers) >= _MOST_ANSWERS:
                del self._answers[next(iter(self._answers))]
            self._answers[token, query] = _Answer(found[0], said[0], said[1])


class _Answer:
    """What the application said of one session, without the id of the request."""

    __slots__ = ("body", "head", "session")

    def __init__(self, session: Session, head: Message, body: Message) -> None:
        self.session = session
        headers = [each for each in head["headers"] if each[0].lower() != REQUEST_ID]
        self.head: dict[str, Any] = {**head, "headers": headers}
        self.body = body


def _bearer(scope: Scope) -> str | None:
    """The one token in the one Authorization header, when it is written as nearly all write it."""
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                return None
            found = value
    if found is None or found[:7] != b"Bearer ":
        return None
    try:
        return found[7:].decode("ascii")
    except UnicodeDecodeError:
        return None
