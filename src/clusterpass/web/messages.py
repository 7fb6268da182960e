"""The request that an integration hands in, and the answer that it gets.

An integration is a thin adapter: it wraps its framework's request as a :class:`WebRequest`, runs a
flow, and turns the :class:`WebAnswer` into its framework's response.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, Self
from urllib.parse import quote

_IN_URLS: Final = "%:/?#[]@!$&'()*+,;="
"""What has a meaning in a URL (RFC 3986 section 2), which the caller has given it already."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""The methods that change nothing (RFC 9110 section 9.2.1)."""


SOCKET = "WEBSOCKET"
"""What stands for the method of the handshake of a WebSocket, which is a GET request that another
site can make a browser send with its cookies."""


def method_of(method: str, upgrade: Sequence[str]) -> str:
    """Return what a server that leaves handshakes to the application has to call a request.

    ``method``: of the request; ``upgrade``: the values of all its Upgrade headers.
    """
    protocols = (each.strip().lower() for value in upgrade for each in value.split(","))
    return SOCKET if method == "GET" and "websocket" in protocols else method


class WebRequest(Protocol):
    """A request as the integrations pass it on. Nothing here reads the body."""

    @property
    def method(self) -> str:
        """The method, in capitals; :data:`SOCKET` for the handshake of a WebSocket."""

    @property
    def target(self) -> str:
        """The path and the query, as the browser has to ask for them again."""

    @property
    def host(self) -> str:
        """The value of the Host header; empty when there is none."""

    @property
    def peer(self) -> str | None:
        """The address of the connection; None when it is not known."""

    def header(self, name: str) -> Sequence[str]:
        """Return the values of all headers of a name, which is in lower case.

        As they were sent: cookies are read from the header ``cookie`` (``sent_cookies``).
        """

    def query(self, name: str) -> Sequence[str]:
        """Return the values of all query parameters of a name."""


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """A whole response, or headers to add to the application's own one."""

    status: int = 200
    """The status; not used where only headers are added."""
    members: Mapping[str, Any] | Sequence[Any] | None = field(default=None, repr=False)
    """The JSON body; None: no body."""
    media_type: str = "application/json"
    """The Content-Type of the body."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """All other headers, those of cookies (``Set-Cookie``) included."""
    text: bytes | None = field(default=None, repr=False)
    """The body where it is no JSON object of ``members``."""

    def body(self) -> bytes:
        """Return the body, in ASCII if it is JSON: a lone surrogate in a name must not break it."""
        if self.text is not None:
            return self.text
        if self.members is None:
            return b""
        return json.dumps(self.members, separators=(",", ":")).encode("ascii")

    def adding(self, *headers: tuple[str, str]) -> Self:
        """Return the answer with more headers."""
        return replace(self, headers=(*self.headers, *headers))


NO_STORE = ("Cache-Control", "no-store")
"""For every answer that carries a token, or depends on who asks (RFC 6749 section 5.1)."""


def redirect(location: str, *headers: tuple[str, str]) -> WebAnswer:
    """Return an answer that leads a browser to ``location`` with a GET request.

    What may not stand in a URL, or in a header, is escaped.
    """
    escaped = quote(location, safe=_IN_URLS, errors="replace")
    return WebAnswer(status=303, headers=(("Location", escaped), NO_STORE, *headers))
