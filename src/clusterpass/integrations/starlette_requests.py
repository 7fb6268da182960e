"""Requests of Starlette, for the integrations and for the auth service."""

from collections.abc import Sequence

from starlette.requests import HTTPConnection

from clusterpass.web.messages import SOCKET


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

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie."""
        return self._connection.cookies.get(name)

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""
        return self._connection.query_params.getlist(name)
