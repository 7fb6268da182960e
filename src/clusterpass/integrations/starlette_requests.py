"""Requests and responses of Starlette, and middleware, for the integrations and the service."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from traceback import walk_tb
from typing import Any, Final, cast

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass.model.errors import ClusterPassError
from clusterpass.model.values import Session
from clusterpass.web.caching import protect, varying
from clusterpass.web.gate import Gate, Visit
from clusterpass.web.messages import SOCKET, WebAnswer

_VISIT: Final = "clusterpass.visit"
_IS_WRAPPED: Final = "clusterpass.is_wrapped"
_RECALLED: Final = "clusterpass.recalled"
_VARY: Final = (b"vary", varying(()).encode())
_FAILED: Final = int(HTTPStatus.INTERNAL_SERVER_ERROR)
_MOST_HELD: Final = 65_536
"""Bytes."""
_MOST_KEPT: Final = 1 << 20
Refuse = Callable[[Any, Exception], Awaitable[Response]]


class StarletteRequest:
    """A connection, as :class:`clusterpass.web.messages.WebRequest`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    @property
    def method(self) -> str:
        """The method, or SOCKET."""
        method: str = self._connection.scope.get("method", SOCKET)
        return method

    @property
    def target(self) -> str:
        """The path and the query."""
        url = self._connection.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def host(self) -> str:
        """The Host header."""
        return self._connection.headers.get("host", "")

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        return self._connection.client.host if self._connection.client else None

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name."""
        return self._connection.headers.getlist(name)

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""
        return self._connection.query_params.getlist(name)


class SessionHeaders:
    """ASGI middleware: adds the headers of a visit (renewed or deleted cookies) to the response.

    It also answers what was refused outside of the exception handlers of the application, in its
    middleware or in an application that is mounted.
    """

    def __init__(self, app: ASGIApp, refuse: Refuse | None = None) -> None:
        """``refuse``: returns the response to an error of ours that nothing inside has answered;
        None: the error is raised.
        """
        self.app = app
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        if scope["type"] not in {"http", "websocket"} or scope.get(_IS_WRAPPED):
            await self.app(scope, receive, send)
            return
        scope[_IS_WRAPPED] = True
        if Gate.on_begun is None:
            await self._run(scope, receive, send)
            return
        end = Gate.on_begun()
        try:
            await self._run(scope, receive, send)
        finally:
            end()

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(scope, send)
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:
            refusal = None if self._refuse is None or answer.has_begun else _refusal_in(error)
            if self._refuse is None or refusal is None:
                await answer.let_go()
                raise
            response = await self._refuse(HTTPConnection(scope), refusal)
            await response(scope, receive, answer.send_now)
        else:
            if answer.held:
                await answer.let_go()


class _Answer:
    """The messages that are sent to the client.

    After a refusal, a response with status 500 is held back until the application ends: Starlette
    sends such a response for an error that nothing has handled, and then raises the error.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.has_begun = False
        """Whether something has been sent."""
        self._scope: Final = scope
        self._send: Final = send
        self.held: Final[list[Message]] = []
        """What is held back."""

    async def send(self, message: Message) -> None:
        """Send a message, or hold it back."""
        if message["type"] == "http.response.start":
            message = self._with_headers(message)
            if message["status"] == _FAILED and self._may_be_of_a_refusal():
                self.held.append(message)
                return
        elif self.held:
            self.held.append(message)
            if sum(len(each.get("body", b"")) for each in self.held) > _MOST_HELD:
                await self.let_go()
            return
        self.has_begun = True
        await self._send(message)

    async def send_now(self, message: Message) -> None:
        """Send a message of the response that replaces what was held back."""
        if message["type"] == "http.response.start":
            message = self._with_headers(message)
        await self._send_on(message)

    async def let_go(self) -> None:
        """Send what was held back."""
        held = self.held[:]
        self.held.clear()
        for message in held:
            await self._send_on(message)

    async def _send_on(self, message: Message) -> None:
        self.has_begun = True
        await self._send(message)

    def _may_be_of_a_refusal(self) -> bool:
        visit: Visit | None = self._scope.get(_VISIT)
        is_refused = visit is not None and visit.is_refused
        # Starlette answers while it handles the error.
        return is_refused or isinstance(sys.exception(), ClusterPassError)

    def _with_headers(self, message: Message) -> Message:
        visit: Visit | None = self._scope.get(_VISIT)
        if visit is None and _RECALLED not in self._scope:
            return message
        # A copy: a cache inside may store the message that it has sent, and must not have tokens.
        message = {**message, "headers": [*message.get("headers", ())]}
        if visit is None and not any(name == b"vary" for name, _ in message["headers"]):
            message["headers"].append(_VARY)
            return message
        headers = MutableHeaders(scope=message)
        if visit is None:
            headers["vary"] = varying(headers.getlist("vary"))
            return message
        protect(visit, headers, headers.getlist("vary"))
        for name, value in visit.headers:
            headers.append(name, value)
        return message


def _refusal_in(error: Exception) -> ClusterPassError | None:
    """Return the error of ours that ``error`` is; None: it is none.

    Starlette's exception handlers replace an error by another one if a mounted application has
    begun a response, as that of status 500.
    """
    if isinstance(error, ClusterPassError):
        return error
    cause = error.__cause__
    if not isinstance(cause, ClusterPassError):
        return None
    *_, (origin, _) = walk_tb(error.__traceback__)
    return cause if origin.f_globals["__name__"].startswith("starlette.") else None


def visit_of(connection: HTTPConnection) -> Visit:
    """Return the visit of a connection, which is made when it is first asked for."""
    visit = connection.scope.get(_VISIT)
    if visit is None:
        visit = connection.scope[_VISIT] = Visit(StarletteRequest(connection))
        recalled: tuple[Session, str] | None = connection.scope.get(_RECALLED)
        if recalled is not None:
            visit.take(*recalled)
    return cast("Visit", visit)


def note_recalled(connection: HTTPConnection, session: Session, token: str) -> None:
    """Note that ``session``, of the bearer ``token``, was admitted from memory.

    No visit is made for it, which would cost more than the verify.
    """
    visit: Visit | None = connection.scope.get(_VISIT)
    if visit is None:
        connection.scope[_RECALLED] = (session, token)
    else:  # the application has asked before
        visit.take(session, token)


async def form_field(request: Request, name: str) -> str:
    """Return the value of a field of the form in the body; empty when there is none.

    A body of up to 1 MiB is kept, and the endpoint can read it in every way. Of a longer one the
    form is kept, with its files on disk.
    """
    body = await _short_body(request)
    if body is None:
        value = (await request.form()).get(name, "")
    else:

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async with Request(request.scope, receive).form() as form:
            value = form.get(name, "")
    return value if isinstance(value, str) else ""


async def _short_body(request: Request) -> bytes | None:
    """Return the body; None when it is long, or was read as a form before, which is kept."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _MOST_KEPT:
        return None
    try:
        return await request.body()
    except RuntimeError:
        return None


def respond(answer: WebAnswer) -> Response:
    """Return ``answer`` as a response of Starlette."""
    response = Response(answer.body(), status_code=answer.status)
    if answer.members is not None or answer.text is not None:
        response.headers["content-type"] = answer.media_type
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response
