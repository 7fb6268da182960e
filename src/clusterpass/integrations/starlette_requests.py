"""Requests and responses of Starlette, and middleware, for the integrations and the service."""

from collections.abc import Sequence
from typing import Final, cast

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clusterpass.web.gate import Visit
from clusterpass.web.messages import SOCKET, WebAnswer

_VISIT: Final = "clusterpass.visit"


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
    """ASGI middleware: adds the headers of a visit (renewed or deleted cookies) to the response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            visit: Visit | None = scope.get(_VISIT)
            if message["type"] == "http.response.start" and visit is not None:
                headers = MutableHeaders(scope=message)
                for name, value in visit.headers:
                    headers.append(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def visit_of(connection: HTTPConnection) -> Visit:
    """Return the visit of a connection, which is made when it is first asked for."""
    visit = connection.scope.get(_VISIT)
    if visit is None:
        visit = connection.scope[_VISIT] = Visit(StarletteRequest(connection))
    return cast("Visit", visit)


def respond(answer: WebAnswer) -> Response:
    """Return ``answer`` as a response of Starlette."""
    response = Response(answer.body(), status_code=answer.status)
    if answer.members is not None or answer.text is not None:
        response.headers["content-type"] = answer.media_type
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response
