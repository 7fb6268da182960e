"""Settings: where the page is, its public URL, and the hosts to which browsers may be led back."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from pydantic import Field, field_validator

from clusterpass.service.settings.cross_domain_hosts import check_hand_over_hosts
from clusterpass.service.settings.lists import Names, split
from clusterpass.service.settings.metrics import MonitoringSettings
from clusterpass.web.cookies import Cookie, own_cookie, session_cookies
from clusterpass.web.settings import WebSettings

_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_LONGEST_PREFIX: Final = 100
_AUTHORITY: Final = re.compile(
    r"(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?::[1-9][0-9]{0,4})?"
)
_PORTAL: Final = re.compile(
    rf"(?P<origin>(?P<scheme>https?)://(?P<authority>{_AUTHORITY.pattern}))(?P<path>(?:/[^/?#]+)*)"
)
_DOMAIN: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_TAKEN: Final = frozenset(
    {
        ".well-known",
        "admin",
        "authz",
        "healthz",
        "login",
        "logout",
        "openapi.json",
        "page",
        "password",
        "readyz",
        "refresh",
        "sessions",
        "step-up",
        "verify",
    }
)
"""First segments of the paths that the service has, whatever the prefix."""
_NO_PROXY: Final = (
    "needs trusted_proxies: only a trusted proxy is believed where its client wants to go"
)
_NO_LOGIN: Final = "needs login_enabled: it is the page that browsers log in at"
_NO_HTTPS: Final = (
    "must begin with https://, as browsers send no cookie of the page over HTTP; for a trial on"
    " localhost, turn cookie_secure off"
)
_OTHER_PATH: Final = "must end with page_prefix: the URL and the setting name the same page"
_STATELESS: Final = (
    "needs verification=cached or strict: a browser's cookie is good for as long as its session,"
    " which a stateless service never looks up"
)
_SHARED_PATHS: Final = (
    "needs page_prefix, such as /auth, so that the application has the other paths of the host; or,"
    " for a host of the page's own, authz_cookie_domain or authz_hand_over_hosts"
)
_REFUSED: Final = "has a host that the setting hosts does not list, so that it would be refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings(WebSettings):
    """Settings of the page's session cookies."""

    page_path: str = "/"
    """The only paths that browsers send the cookies of the page to."""

    def __post_init__(self) -> None:
        WebSettings.__post_init__(self)
        former: tuple[Cookie, ...] = ()
        if self.page_path != "/" and self.cookie_secure:
            # Those of a page that was at "/" before would still be sent to the application.
            former = tuple(own_cookie(name, secure=True) for name in ("access", "refresh"))
        cookies = session_cookies(secure=self.cookie_secure, path=self.page_path, old=former)
        object.__setattr__(self, "cookies", cookies)


@dataclass(frozen=True, slots=True)
class Portal:
    """The public URL of the page."""

    url: str
    """Without a slash at its end."""
    scheme: str
    authority: str
    """The host, with the port if that is not the usual one."""
    host: str
    """Without a port."""
    path: str
    """Empty, or as ``page_prefix`` is written."""

    @classmethod
    def parse(cls, text: str) -> "Portal | None":
        """Return the portal at the URL ``text``; None when it is none."""
        found = _PORTAL.fullmatch(text)
        if found is None:
            return None
        scheme, path = found["scheme"], found["path"]
        authority = found["authority"].removesuffix(_DEFAULT_PORTS[scheme])
        return cls(f"{scheme}://{authority}{path}", scheme, authority, found["host"], path)


class BrowserSettings(MonitoringSettings):
    """Settings for the path of the page, and for the browsers that are led to it."""

    page_prefix: str = Field(
        default="",
        max_length=_LONGEST_PREFIX,
        description="The path under which the page is, such as `/auth`, so that an application on"
        " the same host has all others. The page's cookies are sent to these paths alone. Empty:"
        " the page is at `/`.",
    )

    authz_portal: str | None = Field(
        default=None,
        description="The public URL of the page, such as `https://app.example/auth`, to which"
        " /authz/... leads browsers without a session, and back. Requires trusted_proxies, and"
        " page_prefix, authz_cookie_domain or authz_hand_over_hosts. Not set: no browser is led"
        " anywhere.",
    )
    authz_hosts: Names = Field(
        default=(),
        description="The hosts that browsers may be led back to, besides that of authz_portal,"
        " separated by commas; `app.example:8443` where the port is not the usual one. With"
        " authz_cookie_domain and without this, every host in the domain.",
    )
    authz_cookie_domain: str | None = Field(
        default=None,
        description="The domain of all hosts behind the proxies and of authz_portal, such as"
        " `example.org`: the cookie for the proxies is sent to every host in it. Not set: to the"
        " host of authz_portal alone.",
    )

    authz_hand_over_hosts: Names = Field(
        default=(),
        description="Hosts of other domains, separated by commas, such as `app.example.net`. A"
        " browser that has a session at authz_portal is handed over to them by a signed code, and"
        " gets a cookie of each host. Their proxies pass `/_clusterpass/` to the service.",
    )

    @field_validator("authz_hosts", "authz_hand_over_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return split(value.lower() if isinstance(value, str) else value)

    @field_validator("authz_hosts", "authz_hand_over_hosts")
    @classmethod
    def _valid_return_hosts(cls, value: Names) -> Names:
        if not all(_AUTHORITY.fullmatch(each) for each in value):
            raise ValueError("give names such as app.example or app.example:8443; no *")
        return tuple(each.removesuffix(_DEFAULT_PORTS["https"]) for each in value)

    @field_validator("authz_portal")
    @classmethod
    def _valid_portal(cls, value: str | None) -> str | None:
        portal = None if value is None else Portal.parse(value)
        if value is not None and portal is None:
            raise ValueError(
                "give a URL such as https://app.example/auth, in lower case, without a query and"
                " without a slash at its end"
            )
        return None if portal is None else portal.url

    @field_validator("authz_cookie_domain")
    @classmethod
    def _valid_domain(cls, value: str | None) -> str | None:
        if value is None:
            return None
        domain = value.lower().removeprefix(".")
        if "." not in domain and domain:
            raise ValueError(
                "every site below a domain without a dot would receive the cookie; give one of"
                " your own, such as example.org"
            )
        if not _DOMAIN.fullmatch(domain) or _is_address(domain):
            raise ValueError("give a domain such as example.org, without a scheme and a port")
        return domain

    @field_validator("page_prefix")
    @classmethod
    def _usable_prefix(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value):
            raise ValueError("give a path such as /auth, with a slash before it and none behind it")
        if value.split("/")[1:2] and value.split("/")[1] in _TAKEN:
            raise ValueError("the service has calls at this path; choose another, such as /auth")
        return value

    @property
    def page_path(self) -> str:
        """The path of the page's cookies."""
        return self.page_prefix or "/"

    @property
    def portal(self) -> Portal | None:
        """The public URL of the page; None where no browser is led to it."""
        return None if self.authz_portal is None else Portal.parse(self.authz_portal)

    def check_portal(self, *, secure: bool, has_login: bool, trusts_a_proxy: bool) -> None:
        """Return if browsers can be led to the page and back; raise ValueError if not.

        ``secure``, ``has_login``, ``trusts_a_proxy``: the settings cookie_secure, login_enabled,
        and whether there are trusted_proxies.
        """
        portal = self.portal
        if portal is None:
            hosts = self.authz_hosts or self.authz_hand_over_hosts
            if hosts or self.authz_cookie_domain is not None:
                raise ValueError(
                    "authz_hosts, authz_hand_over_hosts and authz_cookie_domain say where browsers"
                    " are led back to; set authz_portal, the public URL of the page, or leave them"
                    " out"
                )
            return
        has_own_host = self.authz_cookie_domain is not None or bool(self.authz_hand_over_hosts)
        for fault, sentence in (
            (not trusts_a_proxy, _NO_PROXY),
            (not has_login, _NO_LOGIN),
            (secure and portal.scheme != "https", _NO_HTTPS),
            (portal.path != self.page_prefix, _OTHER_PATH),
            (self.verification == "stateless", _STATELESS),
            (not self.page_prefix and not has_own_host, _SHARED_PATHS),
            (bool(self.hosts) and not {portal.host, portal.authority} & {*self.hosts}, _REFUSED),
        ):
            if fault:
                raise ValueError(f"authz_portal {sentence}")
        self._check_hosts(portal)
        domain, accepted = self.authz_cookie_domain, self.hosts
        check_hand_over_hosts(self.authz_hand_over_hosts, portal.host, domain, accepted)

    def _check_hosts(self, portal: Portal) -> None:
        domain = self.authz_cookie_domain
        for authority in (portal.authority, *self.authz_hosts):
            host = authority.partition(":")[0]
            if domain is None and host != portal.host:
                raise ValueError(
                    f"authz_hosts: no browser sends the cookie of {portal.host} to {host}; set"
                    " authz_cookie_domain to the domain of both"
                )
            if domain is not None and not f".{host}".endswith(f".{domain}"):
                raise ValueError(
                    f"authz_cookie_domain: {host} is not in {domain}, so that browsers would not"
                    " send it the cookie; give a domain that holds all of authz_portal and"
                    " authz_hosts"
                )
        if not self.page_prefix and portal.authority in self.authz_hosts:
            raise ValueError(
                f"authz_hosts: the page has all paths of {portal.authority}; set page_prefix, or"
                " leave this host out"
            )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
