"""The heartbeat of a node: three commands, and what the replies mean. Pure.

- A GET of a key that the node must own proves that the node still owns its slots; a PING would also
  succeed on a demoted primary. The key is a copy of the cutoff where the node holds one.
- CLUSTER INFO tells the epoch of a cluster. For a single server, ROLE tells whether the server is
  still the primary.
- TIME tells the clock of the node, which others are compared with.
- Where the node holds a journal, the journal's head and mark tell whether all of it is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from clusterpass.protocol.calls.journal import Told, told_in
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.store.address import Address
from clusterpass.store.outcomes import Command, ServerError
from clusterpass.store.topology.epoch import read_config_epoch, read_epoch
from clusterpass.store.topology.slots import SLOTS, SlotMap
from clusterpass.store.wire.resp import pack

_NO_JOURNALS: Final[Mapping[Address, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The request that one node gets as its heartbeat."""

    packed: bytes
    """The commands, as they are sent."""
    has_cutoff: bool
    """Whether the key that is read is a copy of the cutoff."""
    is_cluster: bool
    has_journal: bool = False
    """Whether the node holds a journal, which is asked for its head."""

    @property
    def count(self) -> int:
        """The number of replies."""
        return 4 if self.has_journal else 3


@dataclass(frozen=True, slots=True)
class Pulse:
    """The reply of a node to a heartbeat."""

    epoch: int
    """The epoch of the cluster; 0 for a single server."""
    cutoff: int | None
    """The cutoff in milliseconds; None where the node holds no copy."""
    milliseconds: int
    """The clock of the node, in milliseconds since the epoch."""
    told: Told | None = None
    """What the journal of the node tells of itself; None where there is none."""
    own_epoch: int | None = None
    """The config epoch of the node itself; None for a single server."""


def make_heartbeats(
    slots: SlotMap,
    keyspace: Keyspace,
    *,
    is_cluster: bool,
    journals: Mapping[Address, int] = _NO_JOURNALS,
) -> dict[Address, Heartbeat]:
    """The heartbeat of each primary in ``slots``; ``journals``: the slot of each node's journal."""
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
    beats: dict[Address, Heartbeat] = {}
    for address, (key, has_cutoff) in keys.items():
        commands: tuple[Command, ...] = ((b"GET", key), standing, (b"TIME",))
        journal = journals.get(address)
        if journal is not None:
            commands += ((b"HMGET", keyspace.journal(journal), b"h", b"m", b"l"),)
        beats[address] = Heartbeat(pack(commands), has_cutoff, is_cluster, journal is not None)
    return beats


def read_pulse(heartbeat: Heartbeat, values: list[Any]) -> Pulse | ServerError:
    """The pulse in ``values``, the replies to ``heartbeat``.

    A :class:`ServerError` where the node does not own the key, is a replica, or reports no epoch.
    """
    found, standing, time, *journal = values
    for value in values:
        if isinstance(value, ServerError):
            return value
    milliseconds = int(time[0]) * 1000 + int(time[1]) // 1000
    cutoff = int(found or 0) if heartbeat.has_cutoff else None
    if heartbeat.is_cluster:
        epoch = read_epoch(standing)
        if epoch is None:
            return ServerError("ERR", "CLUSTER INFO tells no epoch")
        own = read_config_epoch(standing)
        told = told_in(journal[0], own or 0) if journal else None
        return Pulse(epoch, cutoff, milliseconds, told, own)
    if standing[0] != b"master":
        return ServerError("READONLY", "the server is a replica")
    return Pulse(0, cutoff, milliseconds)
