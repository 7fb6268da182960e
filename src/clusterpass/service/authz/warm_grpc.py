"""Responses to Envoy's gRPC authorization requests that can be answered from memory."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from clusterpass import (
    Session,
)
from clusterpass.service.authz.caches import KeptBySession
from clusterpass.service.authz.grpc_messages import (
    asked_in,
    headers_in,
    peer_address,
    policy_in,
    response_of,
    with_header,
)
from clusterpass.service.authz.identity import Identity
from clusterpass.service.authz.original_request import ENVOY_OVER_GRPC, Asked
from clusterpass.service.authz.warm import Warm
from clusterpass.service.hot.responder import Answer
from clusterpass.web.client_address import is_trusted_peer

_MOST_PEERS: Final = 256
_READ: Final = frozenset({"authorization", "cookie", ":path", "x-forwarded-proto"})
"""The headers that decide, besides those of a preflight, which is not answered here."""


class WarmChecks:
    """The CheckResponse to those questions that memory is enough to answer."""

    def __init__(
        self,
        warm: Warm | None,
        identity: Identity,
        networks: Sequence[IPv4Network | IPv6Network],
    ) -> None:
        """As for :class:`clusterpass.service.authz.warm_http.WarmResponses`."""
        self._warm: Final = warm
        self._identity: Final = identity
        self._networks: Final = networks
        self._is_trusted: Final = lru_cache(_MOST_PEERS)(self._find_trusted)
        self._kept: Final = KeptBySession(self._make)

    def response(self, request: Any, peer: str) -> Any:
        """Return the message; None where more is needed than memory.

        ``peer``: as gRPC names it.
        """
        if self._warm is None:
            return None
        try:
            return self._found(self._warm, request, peer)
        except Exception:  # noqa: BLE001 (who judges the request from the beginning reports it)
            return None

    def _found(self, warm: Warm, request: Any, peer: str) -> Any:
        headers = _headers(request)
        if headers is None or not self._is_trusted(peer):
            return None
        http, policy = request.attributes.request.http, policy_in(request)
        key = (
            b"grpc",
            policy.encode(),
            http.method.encode(),
            headers.get(b"x-forwarded-proto") or http.scheme.encode(),
            http.host.encode(),
            headers[b":path"].partition(b"?")[0],
        )

        def asked() -> Asked:
            return asked_in(request, headers_in(request), is_trusted=True)

        allowed = warm.allows(key, policy, asked, headers)
        if allowed is None:
            return None
        others = warm.other_cookies(ENVOY_OVER_GRPC, headers)
        kept = self._kept.of(allowed)
        return kept if others is None else with_header(kept, b"cookie", others)

    def _find_trusted(self, peer: str) -> bool:
        return is_trusted_peer(peer_address(peer), self._networks)

    def _make(self, session: Session | None, assertion: str) -> Any:
        return response_of(Answer(200, self._identity.encoded(session, assertion)), b"")


def _headers(request: Any) -> dict[bytes, bytes] | None:
    """Return the headers that decide, where Envoy sends each of them as it is, and once."""
    found: dict[bytes, bytes] = {}
    for each in request.attributes.request.http.header_map.headers:
        name = each.key.lower()
        if name in _READ:
            encoded, value = name.encode(), each.raw_value
            if encoded in found or not value:
                return None
            found[encoded] = value
    return found if b":path" in found else None
