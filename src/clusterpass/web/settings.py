"""How a web application uses sessions: cookies, CSRF, pages, proxies. Frozen, validated once."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal, get_args

from clusterpass.model.errors import ConfigurationError
from clusterpass.web.cookies import Cookie, SameSite, SessionCookies, session_cookies

TokenPlace = Literal["header", "cookie", "query"]
_PLACES: Final = frozenset(get_args(TokenPlace))
_MODES: Final = frozenset(get_args(SameSite))
_COOKIE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""A token (RFC 9110 section 5.6.2)."""
_ATTRIBUTE: Final = re.compile(r"[!-:<-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """The settings of an integration. Raises ConfigurationError for an unsafe combination."""

    token_places: tuple[TokenPlace, ...] = ("header", "cookie")
    """Where access tokens are accepted. ``query`` (``?access_token=``) is for WebSockets and
    server-sent events alone, whose browser APIs cannot set headers."""
    cookie_secure: bool = True
    """Whether browsers reach the site over HTTPS. False only for trials on a loopback address."""
    cookie_same_site: SameSite = "lax"
    """The SameSite attribute of the cookies; ``none`` for a page on another site."""
    csrf: bool = True
    """Whether requests that change something need a CSRF token when a cookie authenticates them."""
    csrf_header: str = "x-csrf-token"
    """The header in which scripts send the CSRF token."""
    csrf_field: str = "csrf_token"
    """The field in which forms send the CSRF token."""
    csrf_cookie: bool = True
    """Whether scripts find the CSRF token in a cookie. False where forms alone need it."""
    silent_refresh: bool = True
    """Whether a browser's expired access token is renewed by its refresh token while it is asked
    for something, so that server-rendered pages need no script."""
    login_url: str | None = None
    """Where a browser without a session is led (with ``?next=``); None: it gets a 401 answer."""
    step_up_url: str | None = None
    """Where a browser is led that has to authenticate again; None: it gets a 401 answer."""
    trusted_proxies: tuple[str, ...] = ()
    """The networks of reverse proxies whose X-Forwarded-For counts."""
    old_access_cookie: str | None = None
    """The cookie in which another library kept access tokens that a migrating session manager
    accepts (``clusterpass.migrate``); None: none."""
    old_refresh_cookie: str | None = None
    """The cookie in which another library kept tokens that are exchanged for sessions; None: none.
    A browser that brings one gets a session of its own, and loses the old cookies."""
    old_cookie_domain: str | None = None
    """The Domain attribute that the old cookies were set with, without which no browser deletes
    them; None: they had none."""
    old_cookie_path: str = "/"
    """The Path attribute that the old cookies were set with."""
    cookies: SessionCookies = field(init=False, repr=False)
    """The cookies, by these settings."""
    networks: tuple[IPv4Network | IPv6Network, ...] = field(init=False, repr=False)
    """``trusted_proxies``, parsed."""

    def __post_init__(self) -> None:
        unknown = set(self.token_places) - _PLACES
        if unknown or not self.token_places:
            raise ConfigurationError("token_places must be some of 'header', 'cookie', 'query'")
        if self.cookie_same_site not in _MODES:
            raise ConfigurationError("cookie_same_site must be 'lax', 'strict' or 'none'")
        if self.cookie_same_site == "none" and not (self.cookie_secure and self.csrf):
            raise ConfigurationError("cookie_same_site='none' needs cookie_secure and csrf")
        for name in ("login_url", "step_up_url"):
            url = getattr(self, name)
            if url is not None and not (isinstance(url, str) and url):
                raise ConfigurationError(f"{name} must be a URL or None")
        try:
            networks = tuple(ip_network(network) for network in self.trusted_proxies)
        except ValueError:
            raise ConfigurationError(
                "trusted_proxies must be networks such as '10.0.0.0/8'"
            ) from None
        for name in ("old_access_cookie", "old_refresh_cookie"):
            cookie = getattr(self, name)
            if cookie is not None and not (isinstance(cookie, str) and _COOKIE.fullmatch(cookie)):
                raise ConfigurationError(f"{name} must be the name of a cookie, or None")
        if not _ATTRIBUTE.fullmatch(self.old_cookie_path) or not self.old_cookie_path[:1] == "/":
            raise ConfigurationError("old_cookie_path must be the path of a cookie, such as '/'")
        domain = self.old_cookie_domain
        if domain is not None and not _ATTRIBUTE.fullmatch(domain):
            raise ConfigurationError("old_cookie_domain must be the domain of a cookie, or None")
        object.__setattr__(self, "networks", networks)
        object.__setattr__(
            self,
            "cookies",
            session_cookies(
                secure=self.cookie_secure, same_site=self.cookie_same_site, old=self.old_cookies
            ),
        )

    @property
    def old_cookies(self) -> tuple[Cookie, ...]:
        """The cookies of another library that are read."""
        names = dict.fromkeys((self.old_access_cookie, self.old_refresh_cookie))
        return tuple(
            Cookie(name, self.cookie_secure, self.old_cookie_path, domain=self.old_cookie_domain)
            for name in names
            if name
        )
