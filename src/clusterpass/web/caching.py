"""The Cache-Control and Vary headers that keep a user's responses from others behind a cache."""

from collections.abc import Iterable
from typing import Final, Protocol

from clusterpass.web.gate import Visit
from clusterpass.web.messages import NO_STORE

VARY: Final = ("Cookie", "Authorization")
"""The headers of a request by which a session is found."""
_OVERRIDING: Final = ("CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires")
"""What caches heed before Cache-Control (RFC 9213; Edge Architecture Specification; nginx)."""


class ResponseHeaders(Protocol):
    """The headers of a response, in the class that a framework has for them."""

    def __contains__(self, name: str, /) -> bool:
        """Return whether there is a header of that name, in any case."""

    def __setitem__(self, name: str, value: str, /) -> None:
        """Replace all headers of that name by one."""

    def __delitem__(self, name: str, /) -> None:
        """Remove all headers of that name."""


def protect(visit: Visit, headers: ResponseHeaders, vary: Iterable[str]) -> None:
    """Keep caches from giving the response to ``visit`` to anyone else.

    A response that sets cookies is stored by no cache, whatever the application has said; one that
    depends on who sent the request, only beside those to others. ``headers``: those of the
    application, which are changed; ``vary``: the values of its Vary headers.
    """
    if any(name == "Set-Cookie" for name, _ in visit.headers):
        name, value = NO_STORE
        headers[name] = value
        for name in _OVERRIDING:
            if name in headers:
                del headers[name]
    if visit.is_judged:
        headers["Vary"] = varying(vary)


def varying(vary: Iterable[str]) -> str:
    """Return the value of Vary that names what a session is found by, too.

    ``vary``: the values of the Vary headers that a response has.
    """
    names = [name.strip() for value in vary for name in value.split(",") if name.strip()]
    if "*" in names:
        return "*"
    known = {name.lower() for name in names}
    return ", ".join([*names, *(name for name in VARY if name.lower() not in known)])
