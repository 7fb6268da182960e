"""The identity headers that tell an upstream who calls.

Every 200 has all of these headers, empty where there is nothing to say. The proxy overwrites the
client's headers with them; if one were missing, the client's own would get through.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from clusterpass import (
    Session,
)
from clusterpass.service.asgi.messages import Headers
from clusterpass.web.identity_headers import encode_header, identity_headers

ASSERTION: Final = "X-Auth-Assertion"
OWN_HEADERS: Final = (
    "X-Auth-Subject",
    "X-Auth-Session",
    "X-Auth-Level",
    "X-Auth-Scope",
    "X-Auth-Actor",
    "X-Auth-Grace",
    ASSERTION,
)
"""The identity headers that are in every 200, whatever the settings."""


def _text(name: str) -> Callable[[Session], str]:
    def read(session: Session) -> str:
        value = session.claims.get(name)
        return encode_header(value) if isinstance(value, str) else ""

    return read


def _groups(session: Session) -> str:
    value: Any = session.claims.get("groups")
    groups = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(groups, list | tuple):
        return ""
    texts = (each for each in groups if isinstance(each, str))
    # A comma separates groups, so that one within a name is encoded too.
    return ",".join(encode_header(each).replace(",", "%2C") for each in texts)


def _subject(session: Session) -> str:
    return encode_header(session.subject)


HEADER_SETS: Final[Mapping[str, Mapping[str, Callable[[Session], str]]]] = {
    "remote": {
        "Remote-User": _subject,
        "Remote-Groups": _groups,
        "Remote-Email": _text("email"),
        "Remote-Name": _text("name"),
    },
    "x-auth-request": {
        "X-Auth-Request-User": _subject,
        "X-Auth-Request-Groups": _groups,
        "X-Auth-Request-Email": _text("email"),
        "X-Auth-Request-Preferred-Username": _text("preferred_username"),
    },
}
"""The sets that a setting adds, by their names: what programs behind other proxies expect."""


class Identity:
    """Makes the headers."""

    def __init__(self, sets: tuple[str, ...]) -> None:
        """``sets``: names of ``HEADER_SETS``."""
        self._more: Final = {
            name: read for each in sets for name, read in HEADER_SETS[each].items()
        }
        self._nobody: Final = dict.fromkeys((*OWN_HEADERS, *self._more), "")
        self._names: Final = {name: name.lower().encode("ascii") for name in self._nobody}

    def of(self, session: Session | None, assertion: str = "") -> dict[str, str]:
        """Return all headers; ``session``: None where nobody is identified."""
        headers = dict(self._nobody)
        if session is not None:
            headers.update(identity_headers(session))
            headers.update((name, read(session)) for name, read in self._more.items())
            headers[ASSERTION] = assertion
        return headers

    def encoded(self, session: Session | None, assertion: str = "") -> Headers:
        """Return all headers as ASGI passes them."""
        told = self.of(session, assertion).items()
        return [(self._names[name], value.encode("latin-1")) for name, value in told]
