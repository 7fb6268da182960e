"""Settings of a web integration: cookies, CSRF, pages, proxies. Frozen, validated once."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, Literal, get_args

from clusterpass.model.errors import ConfigurationError
from clusterpass.web.cookies import Cookie, SameSite, SessionCookies, session_cookies

TokenPlace = Literal["header", "cookie", "query"]
_PLACES: Final = get_args(TokenPlace)
_MODES: Final = get_args(SameSite)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""A token (RFC 9110 section 5.6.2)."""
_URL: Final = re.compile(r"[!-~]+")
_SWITCHES: Final = ("cookie_secure", "csrf", "csrf_cookie", "silent_refresh")
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
        self._check_types()
        if self.cookie_same_site not in _MODES:
            raise ConfigurationError("cookie_same_site must be 'lax', 'strict' or 'none'")
        if self.cookie_same_site == "none" and not (self.cookie_secure and self.csrf):
            raise ConfigurationError("cookie_same_site='none' needs cookie_secure and csrf")
        for name in ("login_url", "step_up_url"):
            url = getattr(self, name)
            if url is not None and not (isinstance(url, str) and _URL.fullmatch(url)):
                raise ConfigurationError(
                    f"{name} must be a URL of printable ASCII characters, or None"
                )
        networks = _networks(self.trusted_proxies)
        for name in ("old_access_cookie", "old_refresh_cookie"):
            cookie = getattr(self, name)
            if cookie is not None and not (isinstance(cookie, str) and _TOKEN.fullmatch(cookie)):
                raise ConfigurationError(f"{name} must be the name of a cookie, or None")
        path = self.old_cookie_path
        if not isinstance(path, str) or path[:1] != "/" or not _ATTRIBUTE.fullmatch(path):
            raise ConfigurationError("old_cookie_path must be the path of a cookie, such as '/'")
        domain = self.old_cookie_domain
        if domain is not None and not (isinstance(domain, str) and _ATTRIBUTE.fullmatch(domain)):
            raise ConfigurationError("old_cookie_domain must be the domain of a cookie, or None")
        object.__setattr__(self, "networks", networks)
        object.__setattr__(
            self,
            "cookies",
            session_cookies(
                secure=self.cookie_secure, same_site=self.cookie_same_site, old=self.old_cookies
            ),
        )

    def _check_types(self) -> None:
        """Raise ConfigurationError for a switch, a place or a name that is none."""
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):  # a text or a number says nothing safe
                value = getattr(self, name)
                raise ConfigurationError(f"{name} must be True or False, not {value!r}")
        places = self.token_places
        if (
            not isinstance(places, tuple)
            or not places
            or not all(map(_PLACES.__contains__, places))
        ):
            raise ConfigurationError(
                "token_places must be a list of some of 'header', 'cookie', 'query'"
            )
        header, field_name = self.csrf_header, self.csrf_field
        if not isinstance(header, str) or not _TOKEN.fullmatch(header):
            raise ConfigurationError("csrf_header must be the name of a header")
        if not isinstance(field_name, str) or not field_name:
            raise ConfigurationError("csrf_field must be the name of a field")

    @property
    def old_cookies(self) -> tuple[Cookie, ...]:
        """The cookies of another library that are read."""
        names = dict.fromkeys((self.old_access_cookie, self.old_refresh_cookie))
        return tuple(
            Cookie(name, self.cookie_secure, self.old_cookie_path, domain=self.old_cookie_domain)
            for name in names
            if name
        )


def _networks(given: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return ``trusted_proxies``, parsed; raise ConfigurationError if they are none."""
    if isinstance(given, tuple) and all(isinstance(each, str) for each in given):
        with suppress(ValueError):
            return tuple(ip_network(each) for each in given)
    raise ConfigurationError("trusted_proxies must be a list of networks such as ['10.0.0.0/8']")
