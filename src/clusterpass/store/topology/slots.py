"""The slot map: which node owns which slot, and how many replicas it has. Pure."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

from clusterpass.store.address import Address
from clusterpass.store.topology.cluster_nodes import Member, parse_members

SLOTS: Final = 16_384
"""The number of hash slots of a Redis Cluster."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A primary that owns slots, and its replicas."""

    primary: Address
    replicas: int
    """The number of replicas that have not failed."""
    is_whole: bool = True
    """Whether no replica has failed, and none is unknown: then all that could be promoted can
    confirm a write. A failed replica counts until the cluster forgets it, as it may come back."""
    at: frozenset[Address] = field(default=frozenset(), compare=False)
    """Where the replicas that have not failed are."""


class SlotMap:
    """An immutable map from slots to shards. Every change makes a new map."""

    __slots__ = (
        "_primaries",
        "asked_at",
        "has_failed",
        "is_replicated",
        "members",
        "shards",
        "taken_at",
        "version",
    )

    def __init__(
        self,
        shards: list[Shard | None],
        version: int,
        taken_at: float = math.inf,
        *,
        is_replicated: bool | None = None,
        has_failed: bool = False,
        members: frozenset[Address] = frozenset(),
        asked_at: float | None = None,
    ) -> None:
        """``shards``: one entry for each slot, None for a slot without a known owner.

        ``version``: a number that rises with each change; ``taken_at``: the time of the look-up, in
        seconds of a monotonic clock; ``is_replicated``: whether the store has replicas, failed ones
        included; None: not known; ``has_failed``: whether some node has failed; ``members``: where
        the nodes of the cluster are; ``asked_at``: when the look-up was sent, in the same seconds;
        None: not before it was taken.
        """
        self.shards = shards
        self.version = version
        self.taken_at = taken_at
        self.is_replicated = is_replicated
        self.has_failed = has_failed
        self.members = members
        self.asked_at = taken_at if asked_at is None else asked_at
        self._primaries: tuple[Address, ...] | None = None

    @classmethod
    def single(cls, address: Address) -> "SlotMap":
        """The map of a single server that owns every slot, with its replicas still unknown."""
        return cls([Shard(address, 0)] * SLOTS, 1)

    def with_replicas(self, replicas: int, taken_at: float) -> "SlotMap":
        """The map of the same single server with ``replicas`` connected.

        A server that had replicas once and has none now counts as one whose replicas have failed.
        ``taken_at``: seconds of a monotonic clock.
        """
        is_replicated = replicas > 0 or self.is_replicated is True
        counted = {each: Shard(each, replicas, is_whole=replicas > 0) for each in self.primaries()}
        return SlotMap(
            [None if shard is None else counted[shard.primary] for shard in self.shards],
            self.version + 1,
            taken_at,
            is_replicated=is_replicated,
            has_failed=is_replicated and not replicas,
        )

    @classmethod
    def of_service(
        cls,
        primary: Address,
        replicas: frozenset[Address],
        count: int,
        *,
        failed: frozenset[Address],
        version: int,
        taken_at: float,
        asked_at: float,
    ) -> "SlotMap":
        """The map of a service that Sentinels look after: ``primary`` owns every slot.

        ``replicas``: those that have to confirm a write, and ``count``: how many they are, as one
        may have two names; ``failed``: those that Sentinels hold to
        be down, which leave the shard whole as long as there is another one: of the replicas that
        are up, Sentinels promote one that has all writes which were confirmed. ``taken_at``,
        ``asked_at``: as for :meth:`parse`.
        """
        shard = Shard(primary, count, is_whole=count > 0, at=replicas)
        return cls(
            [shard] * SLOTS,
            version,
            taken_at,
            is_replicated=bool(count or failed),
            has_failed=bool(failed),
            members=frozenset({primary, *replicas, *failed}),
            asked_at=asked_at,
        )

    @classmethod
    def unknown(cls) -> "SlotMap":
        """The map before the first look-up: version 0, and no slot has an owner."""
        return cls([None] * SLOTS, 0)

    @classmethod
    def parse(
        cls,
        slots: list[Any],
        nodes: bytes,
        asked: Address,
        version: int,
        taken_at: float = 0.0,
        *,
        asked_at: float | None = None,
    ) -> "SlotMap":
        """The map in the replies of ``asked`` to CLUSTER SLOTS and CLUSTER NODES.

        Replicas are counted from CLUSTER NODES, as CLUSTER SLOTS leaves out replicas that have not
        replicated anything yet. Where the two disagree about an owner, its role changed between
        them, and what is known of its replicas may be out of date. ``taken_at``, ``asked_at``:
        when the replies came and when they were asked for, in seconds of a monotonic clock.
        """
        members = parse_members(nodes.decode(errors="replace"))
        replicas, failed, is_replicated = _working_replicas(members, asked)
        owners = {each.id.encode(): each for each in members if each.is_primary}
        has_failed = failed is not None
        shards: list[Shard | None] = [None] * SLOTS
        for first, last, primary, *_ in slots:
            host = primary[0].decode() if primary[0] else ""
            address = Address(named_host(host, asked), primary[1])
            owner = owners.get(primary[2])
            is_whole = owner is not None and owner.owns(first) and owner.owns(last)
            is_whole = is_whole and (failed is None or primary[2] not in failed)
            of_owner = replicas.get(primary[2], ())
            shard = Shard(address, len(of_owner), is_whole, frozenset(of_owner))
            shards[first : last + 1] = [shard] * (last - first + 1)
        return cls(
            shards,
            version,
            taken_at,
            is_replicated=is_replicated,
            has_failed=has_failed,
            members=frozenset(_address(each, asked) for each in members),
            asked_at=asked_at,
        )

    def moved(self, slot: int, address: Address) -> "SlotMap":
        """The map after a MOVED error: ``address`` owns ``slot``."""
        known = next((s for s in self.shards if s is not None and s.primary == address), None)
        shards = list(self.shards)
        shards[slot] = known or Shard(address, 1, is_whole=False)
        return SlotMap(
            shards,
            self.version + 1,
            self.taken_at,
            is_replicated=self.is_replicated,
            has_failed=self.has_failed,
            members=self.members,
            asked_at=self.asked_at,
        )

    def shard(self, slot: int) -> Shard | None:
        """The owner of ``slot``; None while no owner is known."""
        return self.shards[slot]

    def moved_since(self, former: "SlotMap") -> dict[Hashable, list[int]]:
        """The slots that have another owner here than in ``former``, by the owner there."""
        moved: dict[Hashable, list[int]] = {}
        # Neighbours mostly belong to the same shards: each pair is judged once.
        judged: tuple[Shard | None, Shard | None] = None, None
        left: list[int] | None = None
        for slot, (now, before) in enumerate(zip(self.shards, former.shards, strict=True)):
            if now is not judged[0] or before is not judged[1]:
                judged = now, before
                stays = before is None or (now is not None and now.primary == before.primary)
                left = None if before is None or stays else moved.setdefault(before.primary, [])
            if left is not None:
                left.append(slot)
        return moved

    def primaries(self) -> list[Address]:
        """The addresses of all owners of slots, sorted."""
        if self._primaries is None:
            found = {shard.primary for shard in self.shards if shard is not None}
            self._primaries = tuple(sorted(found))
        return list(self._primaries)


def named_host(host: str, asked: Address) -> str:
    """``host``, or the host of ``asked`` where the node that was asked has left it empty or "?"."""
    return asked.host if host in {"", "?"} else host


def _address(member: Member, asked: Address) -> Address:
    return Address(named_host(member.host, asked), member.port)


def _working_replicas(
    members: tuple[Member, ...], asked: Address
) -> tuple[dict[bytes, list[Address]], set[bytes] | None, bool]:
    """The working replicas by the id of their primary; the ids of the primaries of which a replica
    has failed (None: no node has failed at all); and whether the cluster has replicas.

    A failed primary that owns no slots counts as a replica: it was replaced, and returns as one.
    """
    working: dict[bytes, list[Address]] = {}
    failed: set[bytes] = set()
    is_replicated = any_failed = False
    for member in members:
        any_failed = any_failed or member.has_failed
        if member.is_replica:
            is_replicated = True
            primary = (member.primary_id or "").encode()
            if member.has_failed:
                failed.add(primary)
            else:
                working.setdefault(primary, []).append(_address(member, asked))
        elif member.has_failed and not member.slots and not member.moving:
            is_replicated = True
    return working, failed if any_failed else None, is_replicated
