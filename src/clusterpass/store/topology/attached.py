"""Attached replicas of each primary, and the number of them that have to confirm a write.

The slot map tells how many replicas a shard had at the latest look-up. With each write, a primary
tells which replicas are attached now. Neither is enough: a replica may be younger than the map, and
an attached client may be no member of the cluster (a tool that copies the data, a replica outside
of it, a dead connection). An attached replica therefore counts in addition to the map until a
look-up has had the time to hear of it. A cluster member that is attached, but is no replica of the
shard by the map, always counts in addition: the map may name another one, which is not attached.
"""

from collections.abc import Iterable
from typing import Final

from clusterpass.store.address import Address
from clusterpass.store.outcomes import Attached
from clusterpass.store.topology.slots import Shard, SlotMap

_SETTLING: Final = 5.0
"""Seconds after which every node of a cluster has mostly heard whose replica a node is."""


class AttachedReplicas:
    """The replicas that the primaries of one store have reported."""

    def __init__(self) -> None:
        self._told: dict[Address, tuple[Attached, tuple[float, ...], tuple[Address, ...]]] = {}
        """By primary, what it told last, since when each of these was there, in seconds of the
        store's clock, and where they are."""
        self._latest: dict[Address, tuple[SlotMap, Shard, Attached, int]] = {}
        """By primary, the latest answer and what it follows from."""

    def demanded(self, shard: Shard, attached: Attached, slots: SlotMap, now: float) -> int:
        """Return how many replicas of ``shard`` must have a write before it is durable.

        ``attached``: what the primary told after the write. ``slots``: the map that ``shard`` is
        of. ``now``: the time, in seconds of the store's clock.
        """
        latest = self._latest.get(shard.primary)
        if (
            latest is not None
            and latest[0] is slots
            and latest[1] is shard
            and latest[2] == attached
        ):
            return latest[3]
        told, since, places = self._told.get(shard.primary, ((), (), ()))
        if attached != told:
            since, places = _since(attached, told, since, now), tuple(_places(attached))
            self._told[shard.primary] = attached, since, places
        new = sum(at + _SETTLING > slots.taken_at for at in since)
        others = sum(each in slots.members and each not in shard.at for each in places)
        demanded = max(shard.replicas + others, min(len(since), shard.replicas + new))
        self._latest[shard.primary] = slots, shard, attached, demanded
        return demanded


def _places(attached: Attached) -> Iterable[Address]:
    for host, port in attached:
        if port.isdigit():
            yield Address(host.decode(errors="replace"), int(port))


def _since(
    attached: Attached, told: Attached, since: tuple[float, ...], now: float
) -> tuple[float, ...]:
    """Since when each of ``attached`` is there; several may have one address."""
    known: dict[tuple[bytes, bytes], list[float]] = {}
    for each, at in zip(told, since, strict=True):
        known.setdefault(each, []).append(at)
    return tuple(known[each].pop(0) if known.get(each) else now for each in attached)
