"""Requests and responses of the integration with Quart."""

from collections.abc import Sequence
from typing import Any, cast

from quart import Response, g, has_websocket_context, request, websocket

from clusterpass.web.caching import protect
from clusterpass.web.gate import Visit
from clusterpass.web.messages import SOCKET, WebAnswer


class QuartRequest:
    """Quart's request or WebSocket, as :class:`clusterpass.web.messages.WebRequest`."""

    __slots__ = ("_found",)

    def __init__(self, found: Any) -> None:
        self._found = found

    @property
    def method(self) -> str:
        """The method, or SOCKET."""
        return SOCKET if self._found.scope["type"] == "websocket" else str(self._found.method)

    @property
    def target(self) -> str:
        """The path and the query."""
        return f"{self._found.root_path}{self._found.full_path}".rstrip("?")

    @property
    def host(self) -> str:
        """The Host header."""
        return str(self._found.headers.get("Host", ""))

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        client = self._found.scope.get("client")
        return str(client[0]) if client else None

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name."""
        return cast("list[str]", self._found.headers.getlist(name))

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""
        return cast("list[str]", self._found.args.getlist(name))


def current_visit() -> Visit:
    """Return the visit of the current request or WebSocket."""
    if "_clusterpass_visit" not in g:
        found: Any = websocket if has_websocket_context() else request
        g._clusterpass_visit = Visit(QuartRequest(found._get_current_object()))
    visit: Visit = g._clusterpass_visit
    return visit


def respond(answer: WebAnswer) -> Response:
    """Return ``answer`` as a response of Quart."""
    response = Response(answer.body(), status=answer.status, mimetype=answer.media_type)
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response


async def add_headers(response: Any) -> Any:
    """Return ``response`` with what the visit adds to it; called by Quart."""
    if "_clusterpass_visit" in g:
        visit, headers = current_visit(), response.headers
        protect(visit, headers, headers.getlist("Vary"))
        for name, value in visit.headers:
            headers.add(name, value)
    return response
