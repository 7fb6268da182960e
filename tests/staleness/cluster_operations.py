"""Operations on the cluster: owners of slots, failovers, and migration of slots."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from clusterpass import EmbeddedCluster
from clusterpass.embedded import Node
from clusterpass.protocol.keyspace import slot_of
from clusterpass.store.address import Address

WAITING = 40.0
"""Seconds that nothing here comes near to unless it hangs."""


def address_of(node: Node) -> Address:
    """Return the address at which clients reach the node."""
    return Address(node.host, node.port)


def await_that(condition: Callable[[], Any], what: str, seconds: float = WAITING) -> Any:
    """Wait until ``condition`` returns what is true; returns that. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in time: {what}")
        time.sleep(0.02)
    return found


def owners(cluster: EmbeddedCluster) -> list[tuple[Node, list[tuple[int, int]]]]:
    """Each primary and its ranges of slots, as a node that is alive tells; in order of slots."""
    with cluster.client(next(node for node in cluster.nodes if node.pid is not None)) as client:
        answer = client.execute_command("CLUSTER", "SLOTS")
    ranges: dict[int, list[tuple[int, int]]] = {}
    for first, last, primary, *_ in sorted(answer, key=lambda entry: entry[0]):
        ranges.setdefault(primary[1], []).append((first, last))
    by_port = {node.port: node for node in cluster.nodes}
    return [(by_port[port], found) for port, found in ranges.items()]


def identity(cluster: EmbeddedCluster, node: Node) -> str:
    """The id of a node within the cluster."""
    with cluster.client(node) as client:
        answer: bytes = client.execute_command("CLUSTER", "MYID")
    return answer.decode()


def announce_buses(cluster: EmbeddedCluster, ports: Mapping[Node, int]) -> None:
    """Let each node announce that its bus is at this port, its own unless it is named; wait until
    all nodes have heard and have opened new connections."""
    wanted = {node.port: ports.get(node, node.bus_port) for node in cluster.nodes}
    for node in cluster.nodes:
        with cluster.client(node) as client:
            client.config_set("cluster-announce-bus-port", ports.get(node, 0))
    for node in cluster.nodes:
        with cluster.client(node) as client:
            _await_buses(client, wanted)
    cluster.wait_until_healthy(WAITING)


def _await_buses(client: "redis.Redis", wanted: Mapping[int, int]) -> None:
    await_that(lambda: _buses_seen(client) == wanted, "all know where the buses are")


def _buses_seen(client: "redis.Redis") -> dict[int, int] | None:
    """Return the bus port of each node by its port, as one node sees it; None while one is down."""
    found = {}
    for line in client.execute_command("CLUSTER", "NODES", NEVER_DECODE=True).decode().splitlines():
        columns = line.split(" ")
        if "myself" not in columns[2] and columns[7] != "connected":
            return None
        port, _, bus = columns[1].split(",")[0].rpartition(":")[2].partition("@")
        found[int(port)] = int(bus)
    return found


def fail_over(cluster: EmbeddedCluster, key: bytes) -> Node:
    """Let the replica of the owner of ``key`` take over, as an operator does; the new primary."""
    old = cluster.primary_of(key)
    (replica, *_) = cluster.replicas_of(key)
    with cluster.client(replica) as client:
        client.execute_command("CLUSTER", "FAILOVER")
    return cluster.wait_until_primary_changes(key, old, WAITING)


def move_slot(cluster: EmbeddedCluster, slot: int, source: Node, target: Node) -> int:
    """Move a slot key by key, as ``redis-cli --cluster reshard`` does; how many keys moved."""
    moved = 0
    source_id, target_id = identity(cluster, source), identity(cluster, target)
    with cluster.client(source) as old, cluster.client(target) as new:
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1):
            order = ("MIGRATE", target.host, target.port, "", 0, 5000, "KEYS", *keys)
            moved += old.execute_command(*order) == b"OK"
        for client in (new, old):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    return moved


def begin_to_move_slots(
    cluster: EmbeddedCluster, slots: Sequence[int], source: Node, target: Node
) -> None:
    """Move slots atomically, as Valkey 9 can. Raises redis.ResponseError where that is unknown."""
    target_id = identity(cluster, target)
    order: list[Any] = ["CLUSTER", "MIGRATESLOTS"]
    for slot in slots:
        order += ["SLOTSRANGE", slot, slot, "NODE", target_id]
    with cluster.client(source) as client:
        client.execute_command(*order)


def move_slots_at_once(
    cluster: EmbeddedCluster, slots: Sequence[int], source: Node, target: Node
) -> None:
    """Move ``slots`` in one step, and wait until they have moved."""
    begin_to_move_slots(cluster, slots, source, target)
    with cluster.client(source) as client:
        await_that(lambda: _is_moved(client), "the slots have moved")


def is_owner(cluster: EmbeddedCluster, node: Node, slots: Sequence[int]) -> bool:
    """Whether ``node`` takes itself to be the owner of the slots."""
    with cluster.client(node) as client:
        answer = client.execute_command("CLUSTER", "SLOTS")
    own = [(first, last) for first, last, primary, *_ in answer if primary[1] == node.port]
    return all(any(first <= slot <= last for first, last in own) for slot in slots)


def _is_moved(client: "redis.Redis") -> bool:
    jobs = client.execute_command("CLUSTER", "GETSLOTMIGRATIONS")
    states = []
    for job in jobs:
        told = dict(zip(job[::2], job[1::2], strict=False)) if isinstance(job, list) else job
        state = told.get(b"state", b"")
        if state in {b"failed", b"cancelled"}:
            raise RuntimeError(f"the slots did not move: {told.get(b'message')!r}")
        states.append(state)
    return bool(states) and set(states) == {b"success"}


def home(owned: Sequence[tuple[Node, list[tuple[int, int]]]], key: bytes) -> Node:
    """Return the owner of ``key``, according to :func:`owners`."""
    slot = slot_of(key)
    return next(
        node for node, ranges in owned if any(first <= slot <= last for first, last in ranges)
    )
