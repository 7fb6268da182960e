"""Addresses of servers, and the remap of those that a cluster announces."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from clusterpass.model.errors import ConfigurationError, StoreFailed

DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379
_WRITTEN: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
)
_HIGHEST_PORT: Final = 65_535
_LONGEST_NAME: Final = 254
_LONGEST_LABEL: Final = 63
AddressRemap = Callable[[tuple[str, int]], tuple[str, int]]
"""Takes the host and the port that a cluster announces of a node, returns those that lead there."""


class Address(NamedTuple):
    """The host and port of a server. A tuple, as every call looks one up in a dictionary."""

    host: str
    port: int

    @property
    def is_socket(self) -> bool:
        """Whether the server is reached through a Unix socket, whose path is the host."""
        return self.host.startswith("/")

    def __str__(self) -> str:
        if self.is_socket:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class SentinelAddress(Address):
    """The host and port of a Sentinel, which has a user and a password of its own."""

    __slots__ = ()


def read_address(text: str, default_port: int = DEFAULT_PORT) -> Address | None:
    """The address written as ``host``, ``host:port`` or ``[IPv6]:port``; None: there is none."""
    match = _WRITTEN.fullmatch(text)
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 1 <= port <= _HIGHEST_PORT or not can_be_looked_up(match["host"]):
        return None
    return Address(match["host"].strip("[]"), port)


def can_be_looked_up(host: str) -> bool:
    """Whether a name has the lengths of names; a point may stand at the end (RFC 1034)."""
    labels = host.removesuffix(".").split(".")
    return len(host) <= _LONGEST_NAME and all(1 <= len(label) <= _LONGEST_LABEL for label in labels)


def is_literal(host: str) -> bool:
    """Whether ``host`` is an IP address, which needs no look-up and has no alternatives."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def read_remap(text: str) -> dict[Address, Address]:
    """The addresses in ``text``, ``ANNOUNCED=REACHED,...``, each with its port.

    Raises ConfigurationError for anything else, and where an announced address stands twice.
    """
    found: dict[Address, Address] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        announced, _, reached = (part.strip() for part in pair.partition("="))
        both = [read_address(each) if _has_port(each) else None for each in (announced, reached)]
        if both[0] is None or both[1] is None:
            raise ConfigurationError(
                f"{pair!r} in address_remap is not ANNOUNCED=REACHED, each with its port, such as"
                " 10.0.0.1:7000=127.0.0.1:17000"
            )
        if both[0] in found:
            raise ConfigurationError(f"address_remap names {both[0]} twice")
        found[both[0]] = both[1]
    if not found:
        raise ConfigurationError("address_remap is empty: write ANNOUNCED=REACHED,...")
    return found


def reached_through(
    address: Address, by_text: Mapping[Address, Address], remap: AddressRemap | None
) -> Address:
    """The address at which the node is reached: as ``by_text`` says, or else as ``remap`` does.

    Raises StoreFailed where ``remap`` fails or returns no host and port.
    """
    found = by_text.get(address)
    if found is not None:
        return found
    if remap is None or address.is_socket:
        return address
    failure = "returned no (host, port)"
    try:
        host, port = remap((address.host, address.port))
        if isinstance(host, str) and host and isinstance(port, int) and 1 <= port <= _HIGHEST_PORT:
            return Address(host, port)
    except Exception as error:  # noqa: BLE001 (whatever the application's function raises)
        failure = f"failed: {type(error).__name__}"
    raise StoreFailed(f"address_remap for {address} {failure}")


def _has_port(text: str) -> bool:
    return text.rpartition(":")[2].isdecimal() and not text.endswith("]")
