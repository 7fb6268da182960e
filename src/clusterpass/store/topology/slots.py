"""Which node owns which slot. Pure: reads replies, does no I/O."""

import math
from dataclasses import dataclass
from typing import Any, Final

from clusterpass.store.location import Address
from clusterpass.store.topology.members import parse_members

SLOTS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Shard:
    """The owner of a range of slots."""

    primary: Address
    replicas: int
    """How many replicas the cluster counts for it."""


class SlotMap:
    """An immutable map from slots to shards; a new one is made at each change."""

    __slots__ = ("has_failed", "is_replicated", "shards", "taken_at", "version")

    def __init__(
        self,
        shards: list[Shard | None],
        version: int,
        taken_at: float = math.inf,
        *,
        is_replicated: bool | None = None,
        has_failed: bool = False,
    ) -> None:
        """``shards`` has one entry a slot; ``taken_at``: when, in seconds of a monotonic clock.

        ``is_replicated``: whether there are replicas, that have failed or not; None: not known.
        ``has_failed``: whether some node has.
        """
        self.shards = shards
        self.version = version
        self.taken_at = taken_at
        self.is_replicated = is_replicated
        self.has_failed = has_failed

    @classmethod
    def single(cls, address: Address) -> "SlotMap":
        """One server that owns every slot; nothing is known of replicas yet."""
        return cls([Shard(address, 0)] * SLOTS, 1)

    def with_replicas(self, replicas: int, taken_at: float) -> "SlotMap":
        """The map of one server that counts so many replicas.

        One that had some is expected to have them.
        """
        (address,) = self.primaries()
        is_replicated = replicas > 0 or self.is_replicated is True
        shards: list[Shard | None] = [Shard(address, replicas)]
        return SlotMap(
            shards * SLOTS,
            self.version + 1,
            taken_at,
            is_replicated=is_replicated,
            has_failed=is_replicated and not replicas,
        )

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
        replicas, is_replicated, has_failed = _count_replicas(nodes)
        shards: list[Shard | None] = [None] * SLOTS
        for first, last, primary, *_ in slots:
            host = primary[0].decode() if primary[0] else ""
            address = Address(named_host(host, asked), primary[1])
            shard = Shard(address, replicas.get(primary[2], 0))
            shards[first : last + 1] = [shard] * (last - first + 1)
        return cls(shards, version, taken_at, is_replicated=is_replicated, has_failed=has_failed)

    def moved(self, slot: int, address: Address) -> "SlotMap":
        """The map after a node said that ``slot`` lies at ``address``."""
        known = next((s for s in self.shards if s is not None and s.primary == address), None)
        shards = list(self.shards)
        shards[slot] = known or Shard(address, 1)
        return SlotMap(
            shards,
            self.version + 1,
            self.taken_at,
            is_replicated=self.is_replicated,
            has_failed=self.has_failed,
        )

    def shard(self, slot: int) -> Shard | None:
        """The owner of ``slot``, or None while it is not known."""
        return self.shards[slot]

    def primaries(self) -> list[Address]:
        """Every address that owns a slot."""
        return sorted({shard.primary for shard in self.shards if shard is not None})


def named_host(host: str, asked: Address) -> str:
    """``host`` as ``asked`` wrote it; where it names none, its own stands."""
    return asked.host if host in {"", "?"} else host


def count_connected_replicas(role: Any) -> int:
    """How many replicas a server tells of in its answer to ROLE."""
    if isinstance(role, list) and len(role) == 3 and role[0] == b"master":
        return len(role[2])
    return 0


def _count_replicas(nodes: bytes) -> tuple[dict[bytes, int], bool, bool]:
    """Replicas that have not failed, by the id of their primary; whether there are any at all; and
    whether any node has failed.

    A primary that has failed and owns nothing will come back as a replica.
    """
    counts: dict[bytes, int] = {}
    is_replicated = any_failed = False
    for member in parse_members(nodes.decode(errors="replace")):
        any_failed = any_failed or member.has_failed
        if member.is_replica:
            is_replicated = True
            if not member.has_failed:
                primary = (member.primary_id or "").encode()
                counts[primary] = counts.get(primary, 0) + 1
        elif member.has_failed and not member.slots and not member.moving:
            is_replicated = True
    return counts, is_replicated, any_failed
