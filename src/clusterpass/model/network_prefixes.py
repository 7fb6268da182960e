"""Network prefixes by which limits count IP addresses.

An IPv4 address counts by itself, an IPv6 address by its /64 (one customer) or /48 (one site).
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_CUSTOMER_BITS: Final = 64
_SITE_BITS: Final = 48
_LONGEST: Final = 64


def counted_address(address: str) -> str:
    """Return what ``address`` is counted as: IPv4 as itself, IPv6 as its /64 network.

    Text that is not an IP address, such as the path of a Unix socket, is truncated to 64
    characters.
    """
    parsed = _parse(address)
    if parsed is None:
        return address.encode("utf-8", "replace").decode("utf-8")[:_LONGEST]
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), _CUSTOMER_BITS), strict=False))
    return str(parsed)


def counted_site(address: str) -> str | None:
    """Return the /48 network of an IPv6 address; None for every other address."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), _SITE_BITS), strict=False))
    return None


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
