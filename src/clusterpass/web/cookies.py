"""The cookies of a browser session: their names and attributes.

- Over HTTPS they are ``__Host-`` cookies (RFC 6265bis section 4.1.3.2): Secure, HttpOnly, Path=/
  and no Domain, so that no other host, no subdomain and no plaintext connection can set or read
  them. SameSite=Lax unless configured. Those of a site under a path have that path and the prefix
  ``__Secure-``, so that the rest of the host does not receive them.
- Over plaintext HTTP, for trials on a loopback address, they lack the prefix and Secure.
- Scripts read one cookie, the CSRF token, which authenticates nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from clusterpass.model.values import TokenPair

SameSite = Literal["lax", "strict", "none"]


@dataclass(frozen=True, slots=True)
class Cookie:
    """The name and the attributes of one cookie."""

    name: str
    secure: bool
    path: str = "/"
    http_only: bool = True
    same_site: SameSite = "lax"
    domain: str | None = None
    """The Domain attribute of a cookie of another library; ours have none."""

    def header(self, value: str, seconds: int | None) -> tuple[str, str]:
        """Return the Set-Cookie header that sets the cookie, or deletes it (``seconds`` is 0).

        ``seconds``: None: until the browser is closed. ``value``: of the characters that RFC 6265
        section 4.1.1 allows, as tokens are.
        """
        parts = [f"{self.name}={value}"]
        if seconds is not None:
            parts.append(f"Max-Age={seconds}")
        parts.append(f"Path={self.path}")
        if self.domain is not None:
            parts.append(f"Domain={self.domain}")
        if self.secure:
            parts.append("Secure")
        if self.http_only:
            parts.append("HttpOnly")
        parts.append(f"SameSite={self.same_site.capitalize()}")
        return "Set-Cookie", "; ".join(parts)


@dataclass(frozen=True, slots=True)
class SessionCookies:
    """The cookies of one deployment."""

    access: Cookie
    """Carries the access token."""
    refresh: Cookie
    """Carries the refresh token."""
    csrf: Cookie
    """Carries the CSRF token, for scripts to send in a header."""
    notice: Cookie
    """Carries the code of a message that the next page shows."""
    old: tuple[Cookie, ...] = ()
    """The cookies of another library, deleted as soon as a browser has its own session."""

    def keep(
        self, pair: TokenPair, csrf_token: str | None, *, is_lasting: bool = True
    ) -> tuple[tuple[str, str], ...]:
        """Return the headers that give ``pair`` to a browser, until the session ends unused.

        ``csrf_token``: None where no cookie carries it. ``is_lasting``: False: until the browser is
        closed.
        """
        seconds = pair.session_expires_in if is_lasting else None
        headers = [
            self.access.header(pair.access_token, seconds),
            self.refresh.header(pair.refresh_token, seconds),
        ]
        if csrf_token is not None:
            headers.append(self.csrf.header(csrf_token, seconds))
        headers += [each.header("", 0) for each in self.old]
        return tuple(headers)

    def clear(self, *, csrf: bool = True) -> tuple[tuple[str, str], ...]:
        """Return the headers that take the tokens away from a browser.

        ``csrf``: whether the CSRF token is one of them.
        """
        cookies = (self.access, self.refresh, *((self.csrf,) if csrf else ()), *self.old)
        return tuple(each.header("", 0) for each in cookies)


def own_cookie(
    name: str,
    *,
    secure: bool,
    path: str = "/",
    domain: str | None = None,
    http_only: bool = True,
    same_site: SameSite = "lax",
) -> Cookie:
    """Return the cookie ``clusterpass-NAME``, with the strictest prefix that its attributes allow.

    ``secure``: whether browsers reach the site over HTTPS; without it there is no prefix.
    """
    prefix = ""
    if secure:
        prefix = "__Host-" if path == "/" and domain is None else "__Secure-"
    return Cookie(f"{prefix}clusterpass-{name}", secure, path, http_only, same_site, domain)


def session_cookies(
    *,
    secure: bool,
    same_site: SameSite = "lax",
    path: str = "/",
    old: Sequence[Cookie] = (),
) -> SessionCookies:
    """Return the cookies.

    ``secure``: whether browsers reach the site over HTTPS. ``path``: the only paths that browsers
    send them to. ``old``: the cookies of another library, which are to be deleted.
    """
    make = partial(own_cookie, secure=secure, path=path, same_site=same_site)
    return SessionCookies(
        access=make("access"),
        refresh=make("refresh"),
        csrf=make("csrf", http_only=False),
        notice=make("notice"),
        old=tuple(old),
    )
