"""The request guard: checks the host, path and origin of a request before anything else does.

- ``Host``: one header, with a configured name. Health checks may use any name or address.
- The path: no encoded slash or backslash, no dot segment, no control character. Proxies and this
  service might read such a path differently, so the rules of a proxy could be evaded.
- Host names and paths are not checked in the requests by which a proxy has another request
  authorized: these judge the original request themselves.
- Listed origins may make the JSON calls from a browser (CORS), without cookies.
- Responses to requests over HTTPS get Strict-Transport-Security; with ``hsts_always`` all do.

The responses of the guard have the headers and the log line that every response has.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from clusterpass.service.asgi.messages import (
    App,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    header_values,
    send_response,
)
from clusterpass.service.asgi.problems import send_problem
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.request_log import RequestLog
from clusterpass.service.asgi.security_headers import SecurityHeaders
from clusterpass.service.settings.cross_domain_hosts import PREFIX as HAND_OVER
from clusterpass.service.settings.service import Settings
from clusterpass.web.problems import Problem, of_status

_HEALTH: Final = frozenset({"/healthz", "/readyz"})
_ROUTE: Final = "(rejected)"
"""The route under which the metrics count requests that the guard answers."""
_CLOSE: Final = {"Connection": "close"}
_PORT: Final = re.compile(r":[0-9]*$")
_ENCODED_SLASH: Final = re.compile(rb"%2f|%5c|\\", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_DOTS: Final = frozenset({".", ".."})
_ANSWER: Final = "clusterpass.guard"
"""The key in a scope under which the guard passes its response on."""
_PREFLIGHT: Final[Headers] = [
    (b"access-control-allow-methods", b"DELETE, GET, HEAD, PATCH, POST, PUT"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, X-Request-ID",
    ),
    (b"access-control-max-age", b"600"),
]
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"Retry-After, WWW-Authenticate, X-Device-Token, X-Request-ID",
)


class RequestGuard:
    """ASGI middleware in front of all else: refuses requests, and answers CORS preflights."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        *,
        logger: Any,
        requests: RequestCounts | None = None,
        judges_itself: str = "\0",
    ) -> None:
        """``logger``, ``requests``: as for
        :class:`clusterpass.service.asgi.request_log.RequestLog`.

        ``judges_itself``: how the paths begin of calls that take the path and the host of another
        request, and judge them on their own.
        """
        self._judges_itself: Final = judges_itself.encode()
        self._app: Final = app
        self._hosts: Final = frozenset(settings.hosts)
        self._origins: Final = frozenset(settings.cors_origins)
        self._hsts: Final = b"max-age=%d" % settings.hsts_seconds
        self._always_hsts: Final = settings.hsts_always and settings.hsts_seconds > 0
        self._proxies: Final = settings.web().networks if settings.hsts_seconds else ()
        self._page: Final = settings.page_prefix
        self._has_more: Final = bool(self._origins or self._always_hsts or self._proxies)
        self._judges_more: Final = bool(self._hosts) or self._has_more
        self._answer: Final = SecurityHeaders(
            RequestLog(_answer, logger=logger, requests=requests, route_of=lambda _: _ROUTE)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, answer a preflight, or pass the request on."""
        answer: Problem | Headers | None = self._problem(scope)
        if self._has_more:
            more = self._more_headers(scope)
            if more:
                send = _adding(more, send)
            if answer is None and self._is_preflight(scope):
                answer = _PREFLIGHT
        if answer is None:
            await self._app(scope, receive, send)
        else:
            await self._answer({**scope, _ANSWER: answer}, receive, send)

    def is_open_to(self, scope: Scope) -> bool:
        """Return whether there is certainly nothing to refuse or to add: most requests are so."""
        if self._judges_more:
            return False
        raw: bytes = scope.get("raw_path") or b"%"
        if b"%" in raw or b"." in raw or b"\\" in raw:  # called with each request: no functions
            return False
        has_host = False
        for name, _ in scope["headers"]:
            if name == b"host":
                if has_host:
                    return False
                has_host = True
        return True

    def _problem(self, scope: Scope) -> Problem | None:
        hosts = _hosts(scope)
        if len(hosts) > 1:
            return of_status(400, "The request has more than one Host header.", _CLOSE)
        path: str = scope["path"]
        raw: bytes = scope.get("raw_path") or path.encode("utf-8", "replace")
        if raw.startswith(self._judges_itself):
            return None
        if self._hosts and path not in _HEALTH:
            host = hosts[0].decode("latin-1").lower() if hosts else ""
            if not host:
                return of_status(400, "The request has no Host header.", _CLOSE)
            if host not in self._hosts and _PORT.sub("", host) not in self._hosts:
                return of_status(421, headers=_CLOSE)
        if _may_be_ambiguous(raw):
            return _problem_with_path(path, raw)
        return None

    def _more_headers(self, scope: Scope) -> Headers:
        more: Headers = []
        if self._always_hsts or (self._proxies and self._is_https(scope)):
            more.append((b"strict-transport-security", self._hsts))
        if self._origins and self._is_for_programs(scope["path"]):
            more.append((b"vary", b"Origin"))
            origin = self._listed_origin(scope)
            if origin is not None:
                more += [(b"access-control-allow-origin", origin.encode("latin-1")), _EXPOSED]
        return more

    def _is_https(self, scope: Scope) -> bool:
        client = scope.get("client")
        if client is None or not _is_within(client[0], self._proxies):
            return False
        told = header_values(scope, b"x-forwarded-proto")
        return bool(told) and told[-1].rpartition(",")[2].strip().lower() == "https"

    def _listed_origin(self, scope: Scope) -> str | None:
        origins = header_values(scope, b"origin")
        return origins[0] if len(origins) == 1 and origins[0] in self._origins else None

    def _is_preflight(self, scope: Scope) -> bool:
        return (
            scope["method"] == "OPTIONS"
            and self._is_for_programs(scope["path"])
            and self._listed_origin(scope) is not None
            and bool(header_values(scope, b"access-control-request-method"))
        )

    def _is_for_programs(self, path: str) -> bool:
        """Return whether ``path`` is none of the page's, which is for browsers on this site."""
        if path.startswith(HAND_OVER):
            return False
        if self._page:
            return path != self._page and not path.startswith(f"{self._page}/")
        return path != "/" and not path.startswith("/page/")


def _hosts(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"host"]


def _may_be_ambiguous(raw: bytes) -> bool:
    return b"%" in raw or b"." in raw or b"\\" in raw


def _problem_with_path(path: str, raw: bytes) -> Problem | None:
    is_ambiguous = (
        _ENCODED_SLASH.search(raw)
        or "\\" in path
        or _CONTROL.search(path)
        or not _DOTS.isdisjoint(path.split("/"))
    )
    if not is_ambiguous:
        return None
    text = "The path has an encoded slash, a backslash, a dot segment or a control character."
    return of_status(400, text, _CLOSE)


@lru_cache(256)
def _is_within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(mapped in network for network in networks if network.version == mapped.version)


def _adding(more: Headers, send: Send) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return adding


async def _answer(scope: Scope, _: Receive, send: Send) -> None:
    answer: Problem | Headers = scope[_ANSWER]
    if isinstance(answer, Problem):
        await send_problem(answer, send)
    else:
        await send_response(send, 204, answer, b"")
