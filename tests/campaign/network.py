"""The network between the nodes and their clients, with the faults that a campaign needs.

- Between the nodes: each announces a proxy of ours as its cluster bus. The links of replication go
  to the clients' port and cannot be led through a proxy without leading the clients there too; they
  are cut by ending them, and kept cut by letting the replica give a wrong password.
- Between a process and the nodes: the process is told to connect to proxies, and its connections
  are ended, so that it does.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import redis

from clusterpass import EmbeddedCluster
from clusterpass.embedded import Node
from clusterpass.store.address import Address
from tests.staleness.cluster_operations import (
    WAITING,
    address_of,
    announce_buses,
    await_that,
    identity,
)
from tests.staleness.proxies import FORWARD, Behaviour
from tests.staleness.proxy_process import Proxies

Reach = Callable[[str, Mapping[Address, Address]], None]
_WRONG_PASSWORD = "of a node that is cut off"


class Network:
    """All of it. Close it at the end."""

    def __init__(self, cluster: EmbeddedCluster, seed: int, reach: Reach) -> None:
        """``reach``: tells a process, by its name, where to connect to instead."""
        self._cluster = cluster
        self._reach = reach
        self._proxies = Proxies(seed)
        self._buses: dict[bytes, Address] = {}
        self._before: dict[str, dict[Address, Address]] = {}

    def close(self) -> None:
        """End the proxies."""
        self._proxies.stop()

    @contextlib.contextmanager
    def between_nodes(self) -> Iterator["Buses"]:
        """Within, nodes can be parted; they are whole again afterwards."""
        buses = self.lead_buses()
        try:
            yield buses
        finally:
            buses.meet()
            self._cluster.wait_until_healthy(WAITING)
            announce_buses(self._cluster, {})

    def lead_buses(self) -> "Buses":
        """Lead the buses of all nodes through proxies, for good: from now on they can be parted."""
        cluster = self._cluster
        ids = {node: identity(cluster, node).encode() for node in cluster.nodes}
        if not self._buses:
            targets = {ids[node]: Address(node.host, node.bus_port) for node in ids}
            self._buses = self._proxies.open_buses(targets)
        announce_buses(cluster, {node: self._buses[ids[node]].port for node in ids})
        return Buses(cluster, self._proxies, ids)

    @contextlib.contextmanager
    def before(self, process: str) -> Iterator[Callable[[Behaviour, Sequence[Node]], None]]:
        """Within, what passes between ``process`` and nodes behaves as the function is told."""
        addresses = [address_of(node) for node in self._cluster.nodes]
        if process not in self._before:
            self._before[process] = self._proxies.open(process, addresses)
        self._reach(process, self._before[process])
        self._end_connections()

        def behave(behaviour: Behaviour, nodes: Sequence[Node]) -> None:
            targets = [address_of(node) for node in nodes]
            self._proxies.behave(behaviour, clients=[process], targets=targets)

        try:
            yield behave
        finally:
            self._proxies.behave(FORWARD, clients=[process])
            with contextlib.suppress(KeyError):  # the process was killed meanwhile
                self._reach(process, {})
            self._end_connections()

    def _end_connections(self) -> None:
        for node in self._cluster.nodes:
            with contextlib.suppress(redis.RedisError, OSError):
                with self._cluster.client(node) as client:
                    # A connection that pushes has subscribed, and is of a type of its own.
                    for kind in ("normal", "pubsub"):
                        client.execute_command("CLIENT", "KILL", "TYPE", kind)


class Buses:
    """The traffic between the nodes."""

    def __init__(
        self, cluster: EmbeddedCluster, proxies: Proxies, ids: Mapping[Node, bytes]
    ) -> None:
        """``ids``: of the nodes within the cluster."""
        self._cluster, self._proxies, self._ids = cluster, proxies, ids
        self._cut: list[Node] = []

    def part(self, *nodes: Node) -> None:
        """Nothing passes between these and the others, either way; no replication either."""
        self._proxies.part({self._ids[node]: 1 for node in nodes})
        self._cut_replication(nodes)

    def silence(self, node: Node) -> None:
        """The others do not hear ``node``, which hears them."""
        own = self._ids[node]
        self._proxies.block({(own, other) for other in self._ids.values() if other != own})

    def deafen(self, node: Node) -> None:
        """``node`` does not hear the others, who hear it."""
        own = self._ids[node]
        self._proxies.block({(other, own) for other in self._ids.values() if other != own})

    def meet(self) -> None:
        """All pass again."""
        self._proxies.part({})
        self._mend_replication()

    def follow_another(self, replaced: Node) -> None:
        """Let those that were cut off from ``replaced`` follow whoever has taken its place."""
        for node in self._cut:
            await_that(lambda node=node: self._follows_not(node, replaced), "it follows another")
        self._mend_replication()

    def _follows_not(self, node: Node, primary: Node) -> bool:
        with self._cluster.client(node) as client:
            role = client.execute_command("ROLE")
        return bool(role[0] != b"slave" or role[2] != primary.port)

    def _mend_replication(self) -> None:
        for node in self._cut:
            with contextlib.suppress(redis.RedisError, OSError):
                with self._cluster.client(node) as client:
                    client.config_set("masterauth", "")
        self._cut.clear()

    def _cut_replication(self, side: Sequence[Node]) -> None:
        """The links between the two sides."""
        for node in self._cluster.nodes:
            with self._cluster.client(node) as client:
                role = client.execute_command("ROLE")
                if role[0] != b"slave":
                    continue
                primary = next(each for each in self._cluster.nodes if each.port == role[2])
                if (node in side) == (primary in side):
                    continue
                client.config_set("masterauth", _WRONG_PASSWORD)
                self._cut.append(node)
            # Another replica, on the side of its primary, comes back at once.
            with self._cluster.client(primary) as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "replica")
            with self._cluster.client(node) as client:
                await_that(
                    lambda client=client: (
                        client.info("replication")["master_link_status"] == "down"
                    ),
                    "the replica is cut off",
                )
