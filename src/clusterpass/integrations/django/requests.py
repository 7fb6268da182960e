"""Requests and responses of the integration with Django."""

from collections.abc import Sequence
from typing import Any, Final

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, HttpResponse

from clusterpass.integrations.django.conf import installed
from clusterpass.model.errors import ClusterPassError, InvalidInput
from clusterpass.web import endpoints
from clusterpass.web.messages import WebAnswer, method_of

_JSON: Final = "application/json"


class DjangoRequest:
    """Django's request, as :class:`clusterpass.web.messages.WebRequest`."""

    __slots__ = ("_request",)

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def method(self) -> str:
        """The method, or SOCKET: under WSGI a view may open a WebSocket."""
        return method_of(self._request.method or "", self.header("upgrade"))

    @property
    def target(self) -> str:
        """The path and the query."""
        return self._request.get_full_path()

    @property
    def host(self) -> str:
        """The Host header."""
        host: str = self._request.META.get("HTTP_HOST", "")
        return host

    @property
    def peer(self) -> str | None:
        """The address of the connection."""
        return self._request.META.get("REMOTE_ADDR") or None

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name."""
        value = self._request.headers.get(name)
        return () if value is None else (value,)

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name.

        Raises InvalidInput for more parameters than Django reads.
        """
        try:
            return self._request.GET.getlist(name)
        except TooManyFieldsSent:
            raise InvalidInput("The query has too many parameters.") from None


def response_of(answer: WebAnswer) -> HttpResponse:
    """Return the response of Django that says what ``answer`` says."""
    response = HttpResponse(answer.body(), status=answer.status, content_type=answer.media_type)
    if answer.status == 204:
        del response["Content-Type"]
    add_headers(response, answer.headers)
    return response


def refusal_of(request: HttpRequest, error: ClusterPassError) -> HttpResponse:
    """Return the response to a request that was refused with ``error``."""
    return response_of(endpoints.error_answer(installed().gate, DjangoRequest(request), error))


def add_headers(response: Any, headers: Sequence[tuple[str, str]]) -> None:
    """Add ``headers``, those of cookies included, to a response of Django."""
    for name, value in headers:
        if name == "Set-Cookie":
            response.cookies.load(value)
        else:
            response[name] = value
