"""The configuration with which a process of the campaign opens its manager."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from clusterpass import Config, KeyRing
from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.store_url import parse_store_url

ISSUER = "https://staleness.example"


@dataclass(frozen=True)
class Opening:
    """The settings that a process needs to open a manager."""

    url: str
    keys: str
    """The JWK Set, private keys included: made for this run alone."""
    bound: float
    reached_at: Mapping[Address, Address]
    """Where a proxy stands for an address of the cluster."""


def location_of(opening: Opening) -> StoreLocation:
    """Return the location of the store as the client reaches it."""
    return dataclasses.replace(parse_store_url(opening.url), reached_at=opening.reached_at)


def configuration(opening: Opening) -> Config:
    """Return the configuration that all managers of the campaign share."""
    return Config(
        issuer=ISSUER,
        keys=KeyRing.from_jwks(opening.keys),
        staleness_bound=opening.bound,
        index_online=False,
    )
