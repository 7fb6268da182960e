"""Opens the store at a URL. A URL that begins with ``embedded://`` starts a local cluster first."""

import dataclasses
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from clusterpass.embedded import EmbeddedCluster
from clusterpass.model.errors import ConfigurationError
from clusterpass.store.location import StoreLocation, parse_store_url

_DEFAULT_NODES: Final = "6"
Opened_co = TypeVar("Opened_co", covariant=True)


class Driver(Protocol[Opened_co]):
    """A class of stores."""

    def __call__(
        self, location: StoreLocation, on_close: Callable[[], None] | None = None
    ) -> Opened_co:
        """Return a store at ``location``; ``on_close`` is called when the store is closed."""


def open_store(url: str, driver: Driver[Opened_co]) -> Opened_co:
    """Return the store at ``url``, created by ``driver``.

    An ``embedded://`` URL blocks for some seconds while its cluster starts; the cluster is stopped
    when the store is closed. Raises ConfigurationError for an invalid URL, and
    EmbeddedClusterError when the cluster does not start.
    """
    location = parse_store_url(url)
    if not location.is_embedded:
        return driver(location)
    cluster = _start(location)
    started = parse_store_url(cluster.url)
    return driver(
        dataclasses.replace(started, keyspace=location.keyspace, patience=location.patience),
        cluster.stop,
    )


def _start(location: StoreLocation) -> EmbeddedCluster:
    nodes = location.embedded_options.get("nodes", _DEFAULT_NODES)
    if not nodes.isdecimal() or not 1 <= len(nodes) <= 2:
        raise ConfigurationError("the option nodes of an embedded:// URL must be a whole number")
    data_folder = location.embedded_options.get("data") or None
    cluster = EmbeddedCluster(
        nodes=int(nodes), data_folder=data_folder, persistent=data_folder is not None
    )
    cluster.start()
    return cluster
