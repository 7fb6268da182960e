"""Opens the store at a URL, after starting a local cluster if the URL is ``embedded://``."""

import dataclasses
import os
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from clusterpass.managers.development import claim_throwaway
from clusterpass.model.errors import ConfigurationError
from clusterpass.store.address import AddressRemap
from clusterpass.store.complete_location import located
from clusterpass.store.credentials import CredentialSource
from clusterpass.store.location import StoreLocation
from clusterpass.store.store_url import parse_store_url

_DEFAULT_NODES: Final = 6
Opened_co = TypeVar("Opened_co", covariant=True)


class Driver(Protocol[Opened_co]):
    """A class of stores."""

    def __call__(
        self, location: StoreLocation, on_close: Callable[[], None] | None = None
    ) -> Opened_co:
        """Return a store at ``location``; ``on_close`` is called when the store is closed."""


def open_store(
    url: str,
    driver: Driver[Opened_co],
    *,
    credentials: CredentialSource | None = None,
    address_remap: AddressRemap | None = None,
) -> Opened_co:
    """Return the store at ``url``, created by ``driver``.

    ``credentials``: asked for the user and the password of each new connection; ``address_remap``:
    maps the addresses that the cluster announces to those that lead there.

    An ``embedded://`` URL blocks for some seconds while its cluster starts. The cluster is stopped
    when the store is closed; one in a data folder, when the last process closes it. Raises
    ConfigurationError for an invalid URL, for a password and ``credentials``, and for either of
    these arguments with ``embedded://``; EmbeddedClusterError when the cluster does not start.
    """
    location = parse_store_url(url)
    if not location.is_embedded:
        return driver(located(location, credentials, address_remap))
    if credentials is not None or address_remap is not None:
        raise ConfigurationError("embedded:// takes neither credentials nor an address_remap")
    cluster_url, on_close = _start(location)
    started = parse_store_url(cluster_url)
    return driver(
        dataclasses.replace(started, keyspace=location.keyspace, patience=location.patience),
        on_close,
    )


def _start(location: StoreLocation) -> tuple[str, Callable[[], None]]:
    """Return the URL of the cluster, and what ends it or its use."""
    from clusterpass.embedded import (  # noqa: PLC0415 - a store that runs already needs none of it
        EmbeddedCluster,
        SharedCluster,
    )

    wanted = location.embedded_options.get("nodes")
    if wanted is not None and (not wanted.isdecimal() or not 1 <= len(wanted) <= 2):
        raise ConfigurationError("the option nodes of an embedded:// URL must be a whole number")
    nodes = None if wanted is None else int(wanted)
    data_folder = location.embedded_options.get("data")
    if data_folder:
        shared = SharedCluster(data_folder, nodes=nodes)
        return shared.url, shared.close
    cluster = EmbeddedCluster(nodes=_DEFAULT_NODES if nodes is None else nodes)
    lock = claim_throwaway()
    try:
        cluster.start()
    except BaseException:
        _release(lock)
        raise

    def stop() -> None:
        cluster.stop()
        _release(lock)

    return cluster.url, stop


def _release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
