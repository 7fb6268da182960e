"""The client's address: the peer of the connection, or what trusted reverse proxies report.

Each proxy appends its peer's address to X-Forwarded-For, so the list is read from the right: the
first address that is not a trusted proxy is the client. Anything further left may be forged.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Final

from clusterpass.model.network_prefixes import counted_address

_LONGEST: Final = 80
"""More characters than an address has, with brackets, a zone and a port."""

__all__ = ["client_address", "counted_address"]


def client_address(
    peer: str | None,
    forwarded: Iterable[str],
    trusted: Sequence[IPv4Network | IPv6Network],
) -> str | None:
    """Return the client's address; None when the server does not know the peer.

    ``peer``: the address of the connection; ``forwarded``: the values of all X-Forwarded-For
    headers, in order; ``trusted``: the networks of the trusted proxies.
    """
    if not trusted:
        return peer
    hop = _parse(peer or "")
    if hop is None or not _is_trusted(hop, trusted):
        return peer
    entries = [part.strip() for value in forwarded for part in value.split(",")]
    for entry in reversed(entries):
        previous = _parse(entry)
        if previous is None:
            break
        hop = previous
        if not _is_trusted(hop, trusted):
            break
    return str(hop)


def is_trusted_peer(peer: str | None, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Return whether the peer of the connection is a trusted proxy, whose headers count.

    ``peer``: the address of the connection; ``trusted``: the networks of the trusted proxies.
    """
    hop = _parse(peer or "")
    return hop is not None and _is_trusted(hop, trusted)


def _is_trusted(
    address: IPv4Address | IPv6Address, trusted: Sequence[IPv4Network | IPv6Network]
) -> bool:
    return any(address in network for network in trusted if network.version == address.version)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    return _parse_short(text) if len(text) <= _LONGEST else None


@lru_cache(1024)
def _parse_short(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
