"""GET /verify, answered from memory where possible, before anything else is looked at.

- A response is kept with the session in the manager's cache, and served while the session may be.
  It depends on the session alone: the query decides only whether the caller gets it.
- A strict verify asks the store, and gets the same response as long as the session is the same.
"""

from typing import Any, Final

from clusterpass import (
    Session,
)
from clusterpass.service.asgi.messages import App, Receive, Scope, Send, header_values
from clusterpass.service.asgi.request_log import REQUEST_ID, request_id
from clusterpass.service.asgi.security_headers import DEFAULTS
from clusterpass.service.bodies.requests import VerifyQuery
from clusterpass.service.calls.verify import verify
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.hot.query import read_query
from clusterpass.service.hot.rendering import render_session, unpack_session
from clusterpass.service.hot.responder import Answer, Responder
from clusterpass.web.bearer import bearer_token

_METHODS: Final = ("GET", "HEAD")
_SCHEME: Final = b"Bearer "


class Verify:
    """The handler of /verify."""

    def __init__(self, service: Service, responder: Responder, framework: App) -> None:
        """``framework``: answers what this handler does not."""
        self._service: Final = service
        self._sessions: Final = service.sessions
        self._recall: Final = service.sessions.responses.recall
        self._responder: Final = responder
        self._framework: Final = framework
        self._warm: Final = service.requests.warm["/verify", "GET"]
        self._logs_all: Final = service.settings.log_warm_verifies
        self._remembers: Final = service.settings.verification != "strict"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond from memory, or by asking the store, or pass the request on."""
        method, query = scope["method"], scope["query_string"]
        if self._remembers and method == "GET" and not query and not self._logs_all:
            authorization = given_id = None
            for name, value in scope["headers"]:
                if name == b"authorization":
                    # A second header is an error, which is not for this path to report.
                    authorization = value if authorization is None else b""
                elif name == REQUEST_ID and given_id is None:
                    given_id = value
            rendered = self._rendered(authorization)
            if rendered is not None:
                self._warm.count += 1
                headers, body = unpack_session(rendered)
                headers += DEFAULTS
                headers.append((REQUEST_ID, request_id(given_id)))
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        wanted = read_query(query) if method in _METHODS else None
        if wanted is None:
            await self._framework(scope, receive, send)
            return
        fields: dict[str, Any] = {}
        await self._responder.respond(scope, send, self._answer(scope, wanted, fields), fields)

    def _rendered(self, authorization: bytes | None) -> bytes | None:
        """Return the response kept for a header in the usual form, ``Bearer TOKEN``."""
        if authorization is None or authorization[:7] != _SCHEME:
            return None
        return self._recall(authorization[7:].decode("latin-1"))

    async def _answer(self, scope: Scope, wanted: VerifyQuery, fields: dict[str, Any]) -> Answer:
        token = bearer_token(header_values(scope, b"authorization"))
        recalled = self._recalled(token, wanted)
        known = recalled if wanted.level is None else None
        session = await verify(self._service, token, wanted, scope, fields, recalled=known)
        headers, body = unpack_session(self._response(token, session))
        return Answer(200, headers, body, self._logs_all or session is not recalled)

    def _recalled(self, token: str, wanted: VerifyQuery) -> Session | None:
        """Return the session from memory, unless the query asks for more than it can tell."""
        if not self._remembers or wanted.verification is not None:
            return None
        if wanted.max_auth_age is not None:
            return None
        return self._sessions.recall(token)

    def _response(self, token: str, session: Session) -> bytes:
        responses = self._sessions.responses
        rendered = responses.of(token, session)
        if rendered is None:
            rendered = render_session(session)
            responses.keep(token, session, rendered)
        return rendered
