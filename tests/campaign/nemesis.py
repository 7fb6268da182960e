"""Faults that a campaign injects into the cluster and its processes, and their repair.

A fault returns a short description of what it did. The cluster is whole again before the next one.
"""

import contextlib
import random
import time
from collections.abc import Callable
from typing import Any, Protocol

import redis

from clusterpass import EmbeddedCluster
from clusterpass.protocol.keyspace import slot_of
from tests.staleness.cluster_operations import fail_over, move_slot, move_slots_at_once, owners

from .network import Network

HANGING = 60.0


class Application(Protocol):
    """The processes of the application."""

    def names(self) -> list[str]:
        """Return the names of the running processes, in random order."""

    def kill(self, name: str) -> None:
        """Kill one in the middle of what it does, and start another."""

    def jump(self, name: str, seconds: float) -> None:
        """Let the clock of one be ahead by this much."""

    def burst(self, name: str, count: int) -> str:
        """Let one make so many verifies at once; how they came out."""

    def stall(self, name: str, seconds: float) -> None:
        """Let the event loop of one, or all its threads, stand still."""

    def suspend(self, name: str, seconds: float) -> None:
        """Let the whole of one stand still."""

    def close(self, name: str) -> str:
        """Close the manager of one, whatever is pending, and start another process."""


class Nemesis:
    """Knows the cluster, the network and the processes."""

    def __init__(
        self,
        cluster: EmbeddedCluster,
        node_timeout: float,
        random: random.Random,
        application: Application,
        network: Network,
    ) -> None:
        self.cluster = cluster
        self.node_timeout = node_timeout
        self.random = random
        self.application = application
        self.network = network

    def shard(self) -> tuple[Any, Any, bytes]:
        """A primary, its replica, and a key of theirs."""
        key = b"cp:{%d}" % self.random.randrange(10_000)
        replica, *_ = self.cluster.replicas_of(key)
        return self.cluster.primary_of(key), replica, key

    def pause(self, least: float, most: float) -> float:
        """Wait a while; the seconds."""
        seconds = self.random.uniform(least, most)
        time.sleep(seconds)
        return seconds


def nothing(nemesis: Nemesis) -> str:
    """Nothing is wrong."""
    return f"{nemesis.pause(0.5, 1):.1f} s"


def kill_primary(nemesis: Nemesis) -> str:
    """A primary is killed, replaced, and comes back as a replica after a while."""
    primary, _, key = nemesis.shard()
    nemesis.cluster.kill(primary)
    nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
    seconds = nemesis.pause(0, 3)
    nemesis.cluster.restart(primary)
    return f"{primary.port}, away for {seconds:.1f} s after it was replaced"


def kill_primary_restart_at_once(nemesis: Nemesis) -> str:
    """A primary is killed and comes back before it is replaced, with what is in its file."""
    primary, _, _ = nemesis.shard()
    nemesis.cluster.kill(primary)
    nemesis.cluster.restart(primary)
    return f"{primary.port}"


def kill_two_primaries(nemesis: Nemesis) -> str:
    """A primary is killed and replaced, and its successor too once it has a replica again."""
    primary, replica, key = nemesis.shard()
    nemesis.cluster.kill(primary)
    nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
    nemesis.cluster.restart(primary)
    nemesis.cluster.wait_until_healthy(HANGING)
    nemesis.cluster.kill(replica)
    nemesis.cluster.wait_until_primary_changes(key, replica, HANGING)
    nemesis.cluster.restart(replica)
    return f"{primary.port}, then {replica.port}"


def kill_replica(nemesis: Nemesis) -> str:
    """A replica is killed and comes back after a while."""
    _, replica, _ = nemesis.shard()
    nemesis.cluster.kill(replica)
    seconds = nemesis.pause(0.2, 2 * nemesis.node_timeout)
    nemesis.cluster.restart(replica)
    return f"{replica.port}, away for {seconds:.1f} s"


def stop_primary(nemesis: Nemesis) -> str:
    """A primary is stopped by a signal, for half a node timeout up to three of them."""
    primary, _, _ = nemesis.shard()
    nemesis.cluster.pause(primary)
    try:
        seconds = nemesis.pause(0.5 * nemesis.node_timeout, 3 * nemesis.node_timeout)
    finally:
        nemesis.cluster.resume(primary)
    return f"{primary.port} for {seconds:.1f} s"


def stop_replica(nemesis: Nemesis) -> str:
    """A replica is stopped by a signal for a while: nobody confirms."""
    _, replica, _ = nemesis.shard()
    nemesis.cluster.pause(replica)
    try:
        seconds = nemesis.pause(0.2, 3 * nemesis.node_timeout)
    finally:
        nemesis.cluster.resume(replica)
    return f"{replica.port} for {seconds:.1f} s"


def promote_stale_replica(nemesis: Nemesis) -> str:
    """A replica misses writes, its primary is killed, and it is promoted without them."""
    return _promote_stale_replica(nemesis, then=lambda _: None)


def _promote_stale_replica(nemesis: Nemesis, then: Callable[[Nemesis], None]) -> str:
    primary, replica, key = nemesis.shard()
    nemesis.cluster.pause(replica)
    try:
        with nemesis.cluster.client(primary) as client:
            # What the primary sends from now on does not even wait in a buffer.
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        seconds = nemesis.pause(0.1, 0.8)
        nemesis.cluster.kill(primary)
        then(nemesis)
    finally:
        nemesis.cluster.resume(replica)
    nemesis.cluster.wait_until_primary_changes(key, primary, HANGING)
    nemesis.pause(0, 1)
    nemesis.cluster.restart(primary)
    return f"{replica.port} without the last {seconds:.1f} s of {primary.port}"


def promote_stale_replica_and_kill_processes(nemesis: Nemesis) -> str:
    """Promote a stale replica, and kill who could repeat what is lost: one process is left."""
    detail = _promote_stale_replica(nemesis, then=_leave_one_process)
    return f"{detail}; one process is left"


def _leave_one_process(nemesis: Nemesis) -> None:
    for name in nemesis.application.names()[1:]:
        nemesis.application.kill(name)


def fail_over_by_hand(nemesis: Nemesis) -> str:
    """The replica takes over as an operator wants it."""
    primary, replica, key = nemesis.shard()
    fail_over(nemesis.cluster, key)
    return f"{primary.port} to {replica.port}"


def move_one_slot(nemesis: Nemesis) -> str:
    """A slot moves to another primary key by key, while it is in use."""
    primary, _, key = nemesis.shard()
    with nemesis.cluster.client(primary) as client:
        key = client.randomkey() or key
    other = nemesis.random.choice([n for n, _ in owners(nemesis.cluster) if n != primary])
    moved = move_slot(nemesis.cluster, slot_of(key), primary, other)
    return f"slot {slot_of(key)} with {moved} keys, {primary.port} to {other.port}"


def move_slots_atomically(nemesis: Nemesis) -> str:
    """A hundred slots move to another primary at once, as Valkey 9 can."""
    primary, ranges = nemesis.random.choice(owners(nemesis.cluster))
    other = nemesis.random.choice([n for n, _ in owners(nemesis.cluster) if n != primary])
    first, last = ranges[0]
    slots = list(range(first, min(first + 100, last + 1)))
    try:
        move_slots_at_once(nemesis.cluster, slots, primary, other)
    except (redis.ResponseError, RuntimeError) as error:
        return f"not done: {error}"
    return f"{len(slots)} slots from {primary.port} to {other.port}"


def reset_connections(nemesis: Nemesis) -> str:
    """Every connection of every client is cut."""
    cut = 0
    for node in nemesis.cluster.nodes:
        with nemesis.cluster.client(node) as client:
            for kind in ("normal", "pubsub"):
                cut += client.execute_command("CLIENT", "KILL", "TYPE", kind)
    return f"{cut} connections"


def fill_memory(nemesis: Nemesis) -> str:
    """A primary takes no more writes, as it is out of memory; endings it still takes."""
    primary, _, _ = nemesis.shard()
    with nemesis.cluster.client(primary) as client:
        client.config_set("maxmemory", 1)
        try:
            seconds = nemesis.pause(0.2, 1.5)
        finally:
            client.config_set("maxmemory", 0)
    return f"{primary.port} for {seconds:.1f} s"


def kill_process(nemesis: Nemesis) -> str:
    """A process of the application is killed in the middle of what it does; another one begins."""
    name = nemesis.application.names()[0]
    nemesis.application.kill(name)
    return name


OF_NODES: dict[str, Callable[[Nemesis], str]] = {
    each.__name__: each
    for each in (
        nothing,
        kill_primary,
        kill_primary_restart_at_once,
        kill_two_primaries,
        kill_replica,
        stop_primary,
        stop_replica,
        promote_stale_replica,
        promote_stale_replica_and_kill_processes,
        fail_over_by_hand,
        move_one_slot,
        move_slots_atomically,
        reset_connections,
        fill_memory,
        kill_process,
    )
}


def strike(nemesis: Nemesis, fault: Callable[[Nemesis], str]) -> tuple[float, float, str]:
    """Carry out a fault and wait until the cluster is whole: begin, end, and what was done."""
    nemesis.cluster.wait_until_healthy(HANGING)
    began = time.monotonic()
    try:
        detail = fault(nemesis)
    finally:
        for node in nemesis.cluster.nodes:
            with contextlib.suppress(ProcessLookupError):
                nemesis.cluster.resume(node)
            if node.pid is None:
                nemesis.cluster.restart(node)
    ended = time.monotonic()
    nemesis.cluster.wait_until_healthy(HANGING)
    return began, ended, detail
