"""The CPU time that the nodes of a store have used, by ``INFO CPU``."""

from contextlib import ExitStack
from typing import Any

from clusterpass import EmbeddedCluster


class Store:
    """The nodes of ``cluster``; of none, for servers that ask no store."""

    def __init__(self, cluster: EmbeddedCluster | None, stack: ExitStack) -> None:
        """Connect to every node, until ``stack`` is closed."""
        nodes = cluster.nodes if cluster is not None else ()
        self._clients = [
            stack.enter_context(cluster.client(node)) for node in nodes if cluster is not None
        ]

    def processor_seconds(self) -> float:
        """The CPU seconds that the nodes have used, replicas included, by ``INFO CPU``."""
        spent = 0.0
        for client in self._clients:
            info: dict[str, Any] = client.info("cpu")
            spent += info["used_cpu_sys"] + info["used_cpu_user"]
        return spent
