"""Validates the address to which a browser returns after a login: listed hosts, nothing else.

Anybody can write a return address: it comes from the query of a link or a field of a form. Whatever
a browser and this module could read differently is refused: characters outside RFC 3986, user
names, fragments, relative addresses, a path that begins with two slashes, and a host or a port that
is not listed exactly as it is written.
"""

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

from clusterpass.service.authz.original_request import OriginalRequest
from clusterpass.service.settings.portal import BrowserSettings

LONGEST: Final = 2000
"""The longest return address, in characters."""
_PLAIN: Final = r"A-Za-z0-9._~!$&'()*+,;=:@/-"
_ADDRESS: Final = re.compile(
    r"(?P<origin>(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9-]|\.(?!\.)){0,251}[A-Za-z0-9])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?)"
    rf"(?P<rest>/(?!/)(?:[{_PLAIN}]|%[0-9A-Fa-f]{{2}})*(?:\?(?:[?{_PLAIN}]|%[0-9A-Fa-f]{{2}})*)?)",
    re.IGNORECASE | re.ASCII,
)
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT: Final = "%/?:@!$&'()*+,;=~"
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """An address to which a browser may return."""

    origin: str
    """``https://app.example``, or with a port that is not the usual one; in lower case."""
    rest: str
    """The path and the query."""

    @property
    def authority(self) -> str:
        """The host, with a port that is not the usual one."""
        return self.origin.partition("//")[2]

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.origin}{self.rest}"


class ReturnAddresses:
    """Decides which addresses are allowed."""

    def __init__(self, hosts: frozenset[str], domain: str | None, *, secure: bool) -> None:
        """``hosts``: in lower case, with a port if it is not the usual one. ``domain``: allows
        every host in it, at the usual port. ``secure``: whether only HTTPS is allowed."""
        self._hosts: Final = hosts
        self._domain: Final = domain
        self._secure: Final = secure

    @classmethod
    def of(cls, settings: BrowserSettings, *, secure: bool) -> Self | None:
        """Return those of the settings; None where no browser is led anywhere."""
        if settings.portal is None:
            return None
        listed = (*settings.authz_hosts, *settings.authz_hand_over_hosts)
        hosts = frozenset({settings.portal.authority, *listed})
        domain = None if settings.authz_hosts else settings.authz_cookie_domain
        return cls(hosts, domain, secure=secure)

    def read(self, text: object) -> ReturnAddress | None:
        """Return the address ``text``; None when nobody may be led to it."""
        if not isinstance(text, str) or len(text) > LONGEST:
            return None
        found = _ADDRESS.fullmatch(text)
        if found is None:
            return None
        scheme, host, port = found["scheme"].lower(), found["host"].lower(), found["port"]
        if self._secure and scheme != "https":
            return None
        authority = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
        if not self._is_allowed(authority):
            return None
        return ReturnAddress(f"{scheme}://{authority}", found["rest"])

    def of_request(self, original: OriginalRequest) -> ReturnAddress | None:
        """Return the address that the original request asks for; None when it is not allowed."""
        if original.authority is None or not original.target.startswith("/"):
            return None
        scheme = "https" if self._secure else original.scheme or "http"
        target = _LONE_PERCENT.sub("%25", original.target).encode("latin-1")
        rests = (quote(target, safe=_KEPT), quote(target.partition(b"?")[0], safe=_KEPT), "/")
        # Behind another proxy that ends TLS, the port is not the one that browsers know.
        for authority in dict.fromkeys((original.authority, original.host)):
            for rest in rests:
                address = self.read(f"{scheme}://{authority}{rest}")
                if address is not None:
                    return address
        return None

    def _is_allowed(self, authority: str) -> bool:
        if authority in self._hosts:
            return True
        return self._domain is not None and f".{authority}".endswith(f".{self._domain}")
