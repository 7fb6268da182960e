"""The cookies of a browser session: their names and attributes.

- Over HTTPS they are ``__Host-`` cookies (RFC 6265bis section 4.1.3.2): Secure, HttpOnly, Path=/
  and no Domain, so that no other host, no subdomain and no plaintext connection can set or read
  them. SameSite=Lax.
- Over plaintext HTTP, for trials on a loopback address, they lack the prefix and Secure.
"""

from dataclasses import dataclass
from typing import Final, Literal

_HOST_PREFIX: Final = "__Host-"


@dataclass(frozen=True, slots=True)
class Cookie:
    """The name and the attributes of one cookie."""

    name: str
    secure: bool
    path: str = "/"
    http_only: bool = True
    same_site: Literal["lax", "strict", "none"] = "lax"


@dataclass(frozen=True, slots=True)
class SessionCookies:
    """The cookies of one deployment."""

    access: Cookie
    """Carries the access token."""
    refresh: Cookie
    """Carries the refresh token."""
    notice: Cookie
    """Carries the code of a message that the next page shows."""


def session_cookies(*, secure: bool) -> SessionCookies:
    """Return the cookies; ``secure``: whether browsers reach the site over HTTPS."""
    prefix = _HOST_PREFIX if secure else ""
    return SessionCookies(
        access=Cookie(f"{prefix}clusterpass-access", secure),
        refresh=Cookie(f"{prefix}clusterpass-refresh", secure),
        notice=Cookie(f"{prefix}clusterpass-notice", secure),
    )
