"""Reads the request to authorize from a proxy's headers: method, scheme, host and path.

Each endpoint reads one family of headers alone. If it fell back to another one, a client could
send the headers that its proxy does not set.

- ``original``: X-Original-Method, -Proto, -Host and -URI, which the configuration of nginx,
  HAProxy or Apache has to set, all four.
- ``forwarded``: X-Forwarded-Method, -Proto, -Host and -Uri, as Traefik and Caddy send them.
- ``request``: the request itself, as Envoy sends it, with the path behind that of the endpoint.

Only what a trusted proxy says counts. A header that comes twice is refused: two programs could
read two values.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from clusterpass.service.authz.patterns import one_spelling
from clusterpass.service.authz.request_path import normal_path

Family = Literal["original", "forwarded", "request"]
FAMILIES: Final[Mapping[str, Family]] = {
    "nginx": "original",
    "haproxy": "original",
    "apache": "original",
    "traefik": "forwarded",
    "caddy": "forwarded",
    "forward-auth": "forwarded",
    "envoy": "request",
}
"""What each proxy sends; the keys are the names of the endpoints."""
ENVOY_OVER_GRPC: Final = "envoy-grpc"
"""Who asks where no path of an endpoint says so."""
_HEADERS: Final[Mapping[Family, tuple[str, str, str, str]]] = {
    "original": ("x-original-method", "x-original-proto", "x-original-host", "x-original-uri"),
    "forwarded": (
        "x-forwarded-method",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-uri",
    ),
    "request": ("", "x-forwarded-proto", "host", ""),
}
_METHOD: Final = re.compile(r"[A-Za-z](?:[A-Za-z_-]{0,30}[A-Za-z])?")
_HOST: Final = re.compile(
    r"(?P<name>[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\])\.?(?::[0-9]{1,5})?"
)
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_ORIGIN: Final = "origin"
_WANTED_METHOD: Final = "access-control-request-method"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request to an authorization endpoint says about the original request."""

    family: Family
    is_trusted: bool
    """Whether a trusted proxy sent it."""
    headers: Mapping[str, Sequence[str]]
    """The values of each header, by the name in lower case."""
    method: str = ""
    """The method of the request to the endpoint."""
    suffix: str = ""
    """The path behind that of the endpoint, not decoded."""
    query: str = ""
    """The query of the request to the endpoint; decides nothing."""
    proxy: str = ""
    """Who asks: a key of ``FAMILIES``, or ENVOY_OVER_GRPC."""

    def of(self, name: str) -> Sequence[str]:
        """Return the values of a header."""
        return self.headers.get(name, ())


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """The request to authorize, as far as it is known."""

    method: str | None = None
    """In capitals."""
    scheme: str | None = None
    """``http`` or ``https``."""
    host: str | None = None
    """In lower case, without a port."""
    path: str | None = None
    """Decoded, as :func:`normal_path` returns it."""
    uri: str = ""
    """The path as the client sent it, for the log; not checked."""
    preflight_for: str | None = None
    """For a CORS preflight, the method of the request that is to follow."""
    fault: str | None = None
    """Why no rule can judge the request: a reason of ``denial``; None: one can."""
    authority: str | None = None
    """The host in lower case, with the port if the proxy names it."""
    target: str = ""
    """The path and the query as the client sent them, to lead a browser back to; not checked."""


def describing_headers(family: Family) -> tuple[str, str, str, str]:
    """Return the headers for method, scheme, host and path; empty: no header describes it."""
    return _HEADERS[family]


def read_original(asked: Asked) -> OriginalRequest:
    """Return what a trusted proxy says of the request to authorize; nothing without one."""
    if not asked.is_trusted:
        return OriginalRequest(fault="untrusted_proxy")
    names = _HEADERS[asked.family]
    values = [asked.of(name) for name in names if name]
    # Nothing of a request that is ambiguous is believed: a method could bring it a grace.
    if any(len(each) > 1 for each in values):
        return OriginalRequest(fault="repeated_header")
    method_name, proto_name, host_name, uri_name = names
    given_method = _only(asked.of(method_name)) if method_name else asked.method
    uri = _only(asked.of(uri_name)) if uri_name else asked.suffix
    host = _only(asked.of(host_name))
    method = given_method.upper() if given_method and _METHOD.fullmatch(given_method) else None
    named = _HOST.fullmatch(host.lower()) if host else None
    path = normal_path(uri) if uri else None
    fault = None
    if given_method and method is None:
        fault = "invalid_method"
    elif not uri or not host:
        fault = "missing_header"
    elif named is None:
        fault = "invalid_host"
    elif path is None:
        fault = "unsafe_path"
    return OriginalRequest(
        method=method,
        scheme=_SCHEMES.get((_only(asked.of(proto_name)) or "").lower()),
        host=one_spelling(named["name"]) if named else None,
        authority=named[0] if named else None,
        path=path,
        uri=(uri or "").partition("?")[0],
        target=_target(asked, uri or ""),
        preflight_for=_preflight(asked, method),
        fault=fault,
    )


def _target(asked: Asked, uri: str) -> str:
    """Return the path with its query, which Envoy appends to the path of the endpoint."""
    return f"{uri}?{asked.query}" if asked.family == "request" and asked.query else uri


def _preflight(asked: Asked, method: str | None) -> str | None:
    """Return the method that a CORS preflight asks for (fetch.spec.whatwg.org, CORS-preflight)."""
    wanted = asked.of(_WANTED_METHOD)
    if method != "OPTIONS" or len(asked.of(_ORIGIN)) != 1 or len(wanted) != 1:
        return None
    return wanted[0].upper() if _METHOD.fullmatch(wanted[0]) else None


def _only(values: Sequence[str]) -> str | None:
    return values[0].strip(" \t") if values else None
