"""Responses to proxies' HTTP authorization requests that can be answered from memory."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

from clusterpass import (
    Session,
)
from clusterpass.service.asgi.messages import Headers, Scope
from clusterpass.service.asgi.request_log import REQUEST_ID, request_id
from clusterpass.service.asgi.security_headers import DEFAULTS
from clusterpass.service.authz.caches import KeptBySession
from clusterpass.service.authz.endpoints import Endpoint, find_endpoint
from clusterpass.service.authz.identity import Identity
from clusterpass.service.authz.original_request import FAMILIES, Asked, describing_headers
from clusterpass.service.authz.warm import Warm, decoded
from clusterpass.web.client_address import is_trusted_peer

_MOST_PATHS: Final = 256
_LONGEST_PATH: Final = 256
_LENGTH: Final = (b"content-length", b"0")


class _Place(NamedTuple):
    """An endpoint, and the headers by which its proxies describe a request."""

    endpoint: Endpoint
    names: tuple[bytes, ...]
    has_uri: bool
    """Whether the last of ``names`` has the path and the query."""

    def described(self, headers: Mapping[bytes, bytes]) -> list[bytes] | None:
        """Return what the headers say, without the query; None where that takes a closer look."""
        found = [headers[name] for name in self.names if name in headers]
        if len(found) < len(self.names):
            return None
        if self.has_uri:
            found[-1] = path = found[-1].partition(b"?")[0]
            # Blanks at an end are stripped, which is another one without the query.
            return None if b" " in path or b"\t" in path else found
        return found


class WarmResponses:
    """The headers of a 200 to those questions that memory is enough to answer."""

    def __init__(
        self,
        warm: Warm | None,
        identity: Identity,
        networks: Sequence[IPv4Network | IPv6Network],
    ) -> None:
        """``warm``: None: nothing is answered from memory. ``identity``: makes the headers about a
        session. ``networks``: those of the trusted proxies."""
        self._warm: Final = warm
        self._identity: Final = identity
        self._networks: Final = networks
        self._places: Final = lru_cache(_MOST_PATHS)(_place)
        self._is_trusted: Final = lru_cache(_MOST_PATHS)(self._find_trusted)
        self._kept: Final = KeptBySession(self._make)

    def headers(self, scope: Scope) -> Headers | None:
        """Return all headers of the response; None where more is needed than memory."""
        if self._warm is None:
            return None
        try:
            return self._found(self._warm, scope)
        except Exception:  # noqa: BLE001 (who judges the request from the beginning reports it)
            return None

    def _found(self, warm: Warm, scope: Scope) -> Headers | None:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        client = scope.get("client")
        came_twice = len(headers) != len(scope["headers"])
        if came_twice or client is None or not self._is_trusted(client[0]):
            return None
        raw: bytes = (scope.get("raw_path") or b"").partition(b"?")[0]
        place = self._places(raw) if len(raw) <= _LONGEST_PATH else None
        described = None if place is None else place.described(headers)
        if place is None or described is None:
            return None
        method: str = scope["method"]
        endpoint = place.endpoint

        def asked() -> Asked:
            family = FAMILIES[endpoint.proxy]
            return Asked(family, True, decoded(headers), method, endpoint.suffix)

        key = (raw, method.encode("latin-1"), *described)
        allowed = warm.allows(key, endpoint.policy, asked, headers)
        if allowed is None:
            return None
        others = warm.other_cookies(endpoint.proxy, headers)
        more = [] if others is None else [(b"cookie", others)]
        this_id = (REQUEST_ID, request_id(headers.get(REQUEST_ID)))
        return [*self._kept.of(allowed), *more, this_id]

    def _find_trusted(self, peer: str) -> bool:
        return is_trusted_peer(peer, self._networks)

    def _make(self, session: Session | None, assertion: str) -> Headers:
        return [_LENGTH, *self._identity.encoded(session, assertion), *DEFAULTS]


def _place(raw: bytes) -> _Place | None:
    endpoint = find_endpoint(raw.decode("latin-1"))
    if endpoint is None:
        return None
    method, proto, host, uri = describing_headers(FAMILIES[endpoint.proxy])
    names = tuple(name.encode("ascii") for name in (method, proto, host, uri) if name)
    return _Place(endpoint, names, bool(uri))
