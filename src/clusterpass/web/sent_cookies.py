"""The cookies that a request brings, read from its Cookie header, byte by byte.

Frameworks read cookies too, but differently from browsers. Some strip the white space of Unicode or
of Latin-1 (the bytes A0, 85, 1C to 1F) off a name. For a browser, the byte A0 before
``__Host-session`` makes another name, so any subdomain may set that cookie; the framework then
takes it for the cookie that no subdomain may set. And when a name is sent twice, some frameworks
take the first value and some the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_SPACE: Final = " \t"
"""What may surround a name and a value; no other character is stripped off (RFC 6265 section
5.2)."""


@dataclass(frozen=True, slots=True)
class SentCookies:
    """The cookies of a request."""

    values: dict[str, str] = field(repr=False)
    """The values by name, without the names that were sent more than once."""
    repeated: frozenset[str]
    """The names that were sent more than once, whatever their values."""


def read_cookies(headers: Sequence[str]) -> SentCookies:
    """Return the cookies in the values of all Cookie headers.

    ``headers``: texts in which every byte that is not ASCII stands for a character that is not.
    Names are compared as they are, in the case that they have, and a value is what was sent:
    quotes and escapes are part of it.
    """
    found: dict[str, str] = {}
    repeated: set[str] = set()
    for header in headers:
        for pair in header.split(";"):
            name, equals, value = pair.partition("=")
            if not equals:
                continue
            name = name.strip(_SPACE)
            if name in found:
                repeated.add(name)
            found[name] = value.strip(_SPACE)
    # One of the two may have been set by a subdomain, and nothing tells which. It counts as absent
    # and the request is not refused, so that a login, which sets new cookies, is still possible.
    for name in repeated:
        del found[name]
    return SentCookies(found, frozenset(repeated))


def sent_cookies(headers: Sequence[str]) -> dict[str, str]:
    """Return the values of the cookies that were sent once, by their names.

    ``headers``: as for :func:`read_cookies`.
    """
    return read_cookies(headers).values
