"""Which node owns which slot. Pure: reads replies, does no I/O."""

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

    __slots__ = ("_shards", "version")

    def __init__(self, shards: list[Shard | None], version: int) -> None:
        """``shards`` has one entry a slot."""
        self._shards = shards
        self.version = version

    @classmethod
    def single(cls, address: Address) -> "SlotMap":
        """One server that owns every slot."""
        return cls([Shard(address, 0)] * SLOTS, 1)

    @classmethod
    def unknown(cls) -> "SlotMap":
        """Nothing known yet."""
        return cls([None] * SLOTS, 0)

    @classmethod
    def parse(cls, reply: list[Any], asked: Address, version: int) -> "SlotMap":
        """The answer of ``asked`` to CLUSTER SLOTS.

        An empty host stands for the node that was asked.
        """
        shards: list[Shard | None] = [None] * SLOTS
        for first, last, primary, *replicas in reply:
            host = primary[0].decode() if primary[0] else asked.host
            shard = Shard(
                Address(asked.host if host in {"", "?"} else host, primary[1]), len(replicas)
            )
            shards[first : last + 1] = [shard] * (last - first + 1)
        return cls(shards, version)

    def moved(self, slot: int, address: Address) -> "SlotMap":
        """The map after a node said that ``slot`` lies at ``address``."""
        known = next((s for s in self._shards if s is not None and s.primary == address), None)
        shards = list(self._shards)
        shards[slot] = known or Shard(address, 1)
        return SlotMap(shards, self.version + 1)

    def shard(self, slot: int) -> Shard | None:
        """The owner of ``slot``, or None while it is not known."""
        return self._shards[slot]

    def primaries(self) -> list[Address]:
        """Every address that owns a slot."""
        return sorted({shard.primary for shard in self._shards if shard is not None})
