"""A cluster whose nodes can be restarted at other addresses of the loopback network."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from clusterpass.store.topology.cluster_nodes import parse_members
from tests.cluster.stored import eventually
from tests.ports import free_port

SLOTS = 16_384
PRIMARIES = 3
NODE_TIMEOUT = 10_000
"""In milliseconds: nobody fails over while a node is restarted."""


class MovingNode:
    """One node, which knows the others by the file of its cluster."""

    def __init__(self, program: str, folder: Path, host: str, port: int) -> None:
        self._program, self._folder, self.host, self.port = program, folder, host, port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        placed = ("--port", str(self.port), "--bind", self.host, "--dir", str(self._folder))
        clustered = ("--cluster-enabled", "yes", "--cluster-announce-ip", self.host)
        patient = ("--cluster-node-timeout", str(NODE_TIMEOUT), "--repl-diskless-sync-delay", "0")
        kept = ("--appendonly", "yes", "--save", "", "--protected-mode", "no")
        command = [self._program, *placed, *clustered, *patient, *kept]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        eventually(lambda: self.ask("PING"))

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def ask(self, *command: str) -> Any:
        """The reply to ``command``; None where the node does not answer."""
        with redis.Redis(host=self.host, port=self.port) as client:
            try:
                return client.execute_command(*command)
            except redis.ConnectionError:
                return None

    def knows(self, addresses: set[str]) -> bool:
        """Whether the node takes part in a cluster of exactly these nodes, which works."""
        told = self.ask("CLUSTER", "NODES")
        state = self.ask("CLUSTER", "INFO")
        if told is None or state is None:
            return False
        members = parse_members(told.decode())
        connected = {f"{each.host}:{each.port}" for each in members if each.connected}
        return connected == addresses and b"cluster_state:ok" in state


class MovingCluster:
    """Three primaries, with replicas for the first of them."""

    def __init__(
        self, program: str, folder: Path, replicas: int, place: Callable[[int], str]
    ) -> None:
        self.nodes: list[MovingNode] = []
        self._has_formed = False
        for number in range(PRIMARIES + replicas):
            home = folder / str(number)
            home.mkdir()
            self.nodes.append(MovingNode(program, home, place(number + 1), free_port()))

    @property
    def primaries(self) -> list[MovingNode]:
        return self.nodes[:PRIMARIES]

    def url(self, *nodes: MovingNode) -> str:
        hosts = (f"[{node.host}]" if ":" in node.host else node.host for node in nodes)
        seeds = (f"{host}:{node.port}" for host, node in zip(hosts, nodes, strict=True))
        return f"redis+cluster://{','.join(seeds)}"

    def form(self) -> None:
        for node in self.nodes:
            node.start()
        share = SLOTS // PRIMARIES
        for number, node in enumerate(self.primaries):
            last = SLOTS - 1 if number == PRIMARIES - 1 else (number + 1) * share - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        first = self.nodes[0]
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", first.host, str(first.port))
        self._await()
        for node in self.nodes[PRIMARIES:]:
            identity = first.ask("CLUSTER", "MYID").decode()
            eventually(lambda node=node, to=identity: node.ask("CLUSTER", "REPLICATE", to))
        self._has_formed = True
        self._await()

    def move(self, *nodes: MovingNode) -> None:
        """Restart ``nodes`` one after the other, each at an address where nobody was before."""
        for node in nodes:
            network, number = node.host.rsplit(".", 1)
            self.move_to(node, f"127.0.{int(network.rsplit('.', 1)[1]) + 1}.{number}")

    def move_to(self, node: MovingNode, host: str) -> None:
        """Restart ``node`` at another address; wait until all know it."""
        node.stop()
        node.host = host
        node.start()
        self._await()

    def _online(self) -> int:
        """Return how many replicas the first primary counts for a confirmation."""
        told = self.nodes[0].ask("INFO", "replication")
        return sum(
            isinstance(each, dict) and each.get("state") == "online" for each in told.values()
        )

    def _await(self) -> None:
        addresses = {node.address for node in self.nodes}
        eventually(lambda: all(node.knows(addresses) for node in self.nodes))
        if self._has_formed:
            replicas = self.nodes[PRIMARIES:]
            eventually(lambda: all(b"connected" in node.ask("ROLE") for node in replicas))
            eventually(lambda: self._online() == len(replicas))


@contextmanager
def moving_cluster(
    program: str,
    folder: Path,
    *,
    replicas: int = 0,
    place: Callable[[int], str] = "127.0.1.{}".format,
) -> Iterator[MovingCluster]:
    """A cluster of ``program``, which has formed.

    ``folder``: an empty one. ``place``: returns the address of the node of a number, from 1 on.
    """
    cluster = MovingCluster(program, folder, replicas, place)
    try:
        cluster.form()
        yield cluster
    finally:
        for node in cluster.nodes:
            node.stop()
