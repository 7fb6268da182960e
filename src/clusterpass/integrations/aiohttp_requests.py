"""Requests and responses of the integration with aiohttp."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from clusterpass.web.caching import protect
from clusterpass.web.gate import Visit
from clusterpass.web.messages import WebAnswer, method_of

_VISIT: Final = web.RequestKey("clusterpass_visit", Visit)


class AiohttpRequest:
    """A request, as :class:`clusterpass.web.messages.WebRequest`."""

    __slots__ = ("_request",)

    def __init__(self, request: web.Request) -> None:
        self._request = request

    @property
    def method(self) -> str:
        """The method, or SOCKET."""
        return method_of(self._request.method, self._request.headers.getall("Upgrade", ()))

    @property
    def target(self) -> str:
        """The path and the query."""
        return self._request.path_qs

    @property
    def host(self) -> str:
        """The Host header."""
        return self._request.headers.get("Host", "")

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        return self._request.remote or None

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name."""
        return self._request.headers.getall(name, ())

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""
        return self._request.query.getall(name, ())


def visit_of(request: web.Request) -> Visit:
    """Return the visit of a request, which is made when it is first asked for."""
    visit = request.get(_VISIT)
    if visit is None:
        visit = request[_VISIT] = Visit(AiohttpRequest(request))
    return visit


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what the visit adds to the response; a signal of aiohttp."""
    visit = request.get(_VISIT)
    if visit is not None:
        headers = response.headers
        protect(visit, headers, headers.getall("Vary", ()))
        for name, value in visit.headers:
            headers.add(name, value)


def respond(answer: WebAnswer) -> web.Response:
    """Return ``answer`` as a response of aiohttp."""
    response = web.Response(body=answer.body() or None, status=answer.status)
    if answer.members is not None or answer.text is not None:
        response.headers["Content-Type"] = answer.media_type
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response
