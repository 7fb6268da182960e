"""``embedded://``: start a local cluster and go on with its address."""

import dataclasses
from typing import Final

from clusterpass.embedded import EmbeddedCluster
from clusterpass.model.errors import ConfigurationError
from clusterpass.store.location import StoreLocation, parse_store_url

_DEFAULT_NODES: Final = "6"


def open_embedded(location: StoreLocation) -> tuple[StoreLocation, EmbeddedCluster | None]:
    """``location`` itself, or for ``embedded://`` that of a cluster that was started, and it."""
    if not location.is_embedded:
        return location, None
    nodes = location.embedded_options.get("nodes", _DEFAULT_NODES)
    if not nodes.isdecimal() or not 1 <= len(nodes) <= 2:
        raise ConfigurationError("nodes of embedded:// must be a whole number")
    data_folder = location.embedded_options.get("data") or None
    cluster = EmbeddedCluster(
        nodes=int(nodes), data_folder=data_folder, persistent=data_folder is not None
    )
    cluster.start()
    started = parse_store_url(cluster.url)
    return (
        dataclasses.replace(started, keyspace=location.keyspace, patience=location.patience),
        cluster,
    )
