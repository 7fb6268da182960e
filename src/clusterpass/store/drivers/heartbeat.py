"""The heartbeat of a node: three commands, and what the replies mean. Pure.

- A GET of a key that the node must own proves that the node still owns its slots; a PING would also
  succeed on a demoted primary. The key is a copy of the cutoff where the node holds one.
- CLUSTER INFO tells the epoch of a cluster. For a single server, ROLE tells whether the server is
  still the primary.
- TIME tells the clock of the node, which others are compared with.
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
    """The request that one node gets as its heartbeat."""

    packed: bytes
    """The commands, as they are sent."""
    has_cutoff: bool
    """Whether the key that is read is a copy of the cutoff."""
    is_cluster: bool
    count: int = 3
    """The number of replies."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The reply of a node to a heartbeat."""

    epoch: int
    """The epoch of the cluster; 0 for a single server."""
    cutoff: int | None
    """The cutoff in milliseconds; None where the node holds no copy."""
    milliseconds: int
    """The clock of the node, in milliseconds since the epoch."""


def make_heartbeats(
    slots: SlotMap, keyspace: Keyspace, *, is_cluster: bool
) -> dict[Address, Heartbeat]:
    """The heartbeat of each primary in ``slots``."""
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
        address: Heartbeat(pack(((b"GET", key), standing, (b"TIME",))), has_cutoff, is_cluster)
        for address, (key, has_cutoff) in keys.items()
    }


def read_pulse(heartbeat: Heartbeat, values: list[Any]) -> Pulse | ServerError:
    """The pulse in ``values``, the replies to ``heartbeat``.

    A :class:`ServerError` where the node does not own the key, is a replica, or reports no epoch.
    """
    found, standing, time = values
    for value in values:
        if isinstance(value, ServerError):
            return value
    milliseconds = int(time[0]) * 1000 + int(time[1]) // 1000
    cutoff = int(found or 0) if heartbeat.has_cutoff else None
    if heartbeat.is_cluster:
        epoch = read_epoch(standing)
        if epoch is None:
            return ServerError("ERR", "CLUSTER INFO tells no epoch")
        return Pulse(epoch, cutoff, milliseconds)
    if standing[0] != b"master":
        return ServerError("READONLY", "the server is a replica")
    return Pulse(0, cutoff, milliseconds)
