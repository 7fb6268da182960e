"""Which node owns which slot. Pure: reads replies, does no I/O."""

import math
from dataclasses import dataclass
from typing import Any, Final

from clusterpass.store.url import Address

SLOTS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Shard:
    """The owner of a range of slots."""

    primary: Address
    replicas: int
    """How many replicas the cluster counts for it."""


class SlotMap:
    """An immutable map from slots to shards; a new one is made at each change."""

    __slots__ = ("_shards", "taken_at", "version")

    def __init__(
        self, shards: list[Shard | None], version: int, taken_at: float = math.inf
    ) -> None:
        """``shards`` has one entry a slot; ``taken_at``: when, in seconds of a monotonic clock."""
        self._shards = shards
        self.version = version
        self.taken_at = taken_at

    @classmethod
    def single(cls, address: Address) -> "SlotMap":
        """One server that owns every slot."""
        return cls([Shard(address, 0)] * SLOTS, 1)

    @classmethod
    def unknown(cls) -> "SlotMap":
        """Nothing known yet."""
        return cls([None] * SLOTS, 0)

    @classmethod
    def parse(
        cls, slots: list[Any], nodes: bytes, asked: Address, version: int, taken_at: float = 0.0
    ) -> "SlotMap":
        """The answers of ``asked`` to CLUSTER SLOTS and CLUSTER NODES.

        The replicas are counted from CLUSTER NODES, as CLUSTER SLOTS leaves out those that have
        not replicated anything yet.
        """
        replicas = _count_replicas(nodes)
        shards: list[Shard | None] = [None] * SLOTS
        for first, last, primary, *_ in slots:
            host = primary[0].decode() if primary[0] else ""
            address = Address(named_host(host, asked), primary[1])
            shard = Shard(address, replicas.get(primary[2], 0))
            shards[first : last + 1] = [shard] * (last - first + 1)
        return cls(shards, version, taken_at)

    def moved(self, slot: int, address: Address) -> "SlotMap":
        """The map after a node said that ``slot`` lies at ``address``."""
        known = next((s for s in self._shards if s is not None and s.primary == address), None)
        shards = list(self._shards)
        shards[slot] = known or Shard(address, 1)
        return SlotMap(shards, self.version + 1, self.taken_at)

    def shard(self, slot: int) -> Shard | None:
        """The owner of ``slot``, or None while it is not known."""
        return self._shards[slot]

    def primaries(self) -> list[Address]:
        """Every address that owns a slot."""
        return sorted({shard.primary for shard in self._shards if shard is not None})


def named_host(host: str, asked: Address) -> str:
    """``host`` as ``asked`` wrote it; where it names none, its own stands."""
    return asked.host if host in {"", "?"} else host


def _count_replicas(nodes: bytes) -> dict[bytes, int]:
    """Replicas that have not failed, by the id of their primary."""
    counts: dict[bytes, int] = {}
    for line in nodes.splitlines():
        columns = line.split(b" ")
        if len(columns) > 3:
            flags = columns[2].split(b",")
            if b"slave" in flags and b"fail" not in flags:
                counts[columns[3]] = counts.get(columns[3], 0) + 1
    return counts
