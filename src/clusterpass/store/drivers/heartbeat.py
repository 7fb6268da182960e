"""What a heartbeat asks of a node, and what the answers mean. Pure.

A read of a key that the node must own (a PING also succeeds on a primary that was demoted): a copy
of the cutoff where it holds one. And the epoch of the cluster, or of a server that is no cluster,
whether it is still the primary.
"""

from dataclasses import dataclass
from typing import Any

from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.store.location import Address
from clusterpass.store.outcomes import ServerError
from clusterpass.store.topology.epoch import read_epoch
from clusterpass.store.topology.slots import SLOTS, SlotMap
from clusterpass.store.wire.resp import pack


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One for each node."""

    packed: bytes
    has_cutoff: bool
    is_cluster: bool
    count: int = 2
    """Replies."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a node said of itself."""

    epoch: int
    cutoff: int | None
    """In milliseconds, where the node holds a copy of it."""


def make_heartbeats(
    slots: SlotMap, keyspace: Keyspace, *, is_cluster: bool
) -> dict[Address, Heartbeat]:
    """The heartbeat of each primary."""
    keys: dict[Address, tuple[bytes, bool]] = {}
    for slot in SLOTS_WITH_CUTOFF:
        shard = slots.shard(slot)
        if shard is not None:
            keys.setdefault(shard.primary, (keyspace.not_before(slot), True))
    missing = set(slots.primaries()) - keys.keys()
    for slot in range(SLOTS) if missing else ():
        shard = slots.shard(slot)
        if shard is not None and shard.primary in missing:
            keys[shard.primary] = (keyspace.probe(slot), False)
            missing.remove(shard.primary)
            if not missing:
                break
    standing = (b"CLUSTER", b"INFO") if is_cluster else (b"ROLE",)
    return {
        address: Heartbeat(pack(((b"GET", key), standing)), has_cutoff, is_cluster)
        for address, (key, has_cutoff) in keys.items()
    }


def read_pulse(heartbeat: Heartbeat, values: list[Any]) -> Pulse | ServerError:
    """What the answers say, or why the node is not the owner that it was taken for."""
    found, standing = values
    for value in values:
        if isinstance(value, ServerError):
            return value
    cutoff = int(found or 0) if heartbeat.has_cutoff else None
    if heartbeat.is_cluster:
        epoch = read_epoch(standing)
        if epoch is None:
            return ServerError("ERR", "CLUSTER INFO tells no epoch")
        return Pulse(epoch, cutoff)
    if standing[0] != b"master":
        return ServerError("READONLY", "the server is a replica")
    return Pulse(0, cutoff)
