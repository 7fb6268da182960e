"""The cookies that a request brings, read from its Cookie header.

Frameworks read cookies too, but not as browsers write them. Some strip the white space of Unicode
off a name: a browser takes ``U+2000 __Host-session`` for another name than ``__Host-session``, so
that any subdomain may set it, and the framework then takes it for the cookie that no subdomain may
set. And of a name that is sent twice some take the first value, and some the last.
"""

from collections.abc import Sequence
from typing import Final

_SPACE: Final = " \t"
"""What may surround a name and a value; no other character is stripped off (RFC 6265 section
5.2)."""


def sent_cookies(headers: Sequence[str]) -> dict[str, str]:
    """Return the values of the cookies by their names.

    ``headers``: the values of all Cookie headers, in which every byte that is not ASCII stands for
    a character that is not. A pair of double quotes around a value is none of it. A name that is
    sent twice with different values is left out.
    """
    found: dict[str, str] = {}
    ambiguous: set[str] = set()
    for header in headers:
        for pair in header.split(";"):
            name, equals, value = pair.partition("=")
            if not equals:
                continue
            name, value = name.strip(_SPACE), value.strip(_SPACE)
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if found.setdefault(name, value) != value:
                ambiguous.add(name)
    # One of the two may have been set by a subdomain, and nothing tells which. It counts as absent
    # and the request is not refused, so that a login, which sets new cookies, is still possible.
    for name in ambiguous:
        del found[name]
    return found
