"""Which replicas each primary said to have, and since when: how many of them have to confirm.

The slot map tells how many replicas a shard has, as of the latest look-up. A primary tells with
each write which ones are attached now. Neither is enough: a replica may be younger than the map,
and what is attached may be no member of the cluster (a tool that copies the data, a replica outside
of it, a connection that is dead). So what is attached counts in addition to the map until a look-up
has had the time to hear of it.
"""

from typing import Final

from clusterpass.store.location import Address
from clusterpass.store.outcomes import Attached
from clusterpass.store.topology.slots import Shard

_SETTLING: Final = 5.0
"""Seconds after which every node of a cluster has mostly heard whose replica a node is."""
_NO_PORT: Final = b"0"
"""A replica tells its port; most tools do not."""


class AttachedReplicas:
    """What the primaries of one store have told."""

    def __init__(self) -> None:
        self._since: dict[Address, dict[tuple[bytes, bytes, int], float]] = {}
        """By primary and replica, when it was first seen, in seconds of the store's clock."""

    def demanded(self, shard: Shard, attached: Attached, taken_at: float, now: float) -> int:
        """Return how many replicas of ``shard`` must have a write before it is durable.

        ``attached``: what the primary told after the write. ``taken_at``: when the slots were
        looked up. ``now``: the time. Both in seconds of the store's clock.
        """
        known = self._since.get(shard.primary, {})
        since: dict[tuple[bytes, bytes, int], float] = {}
        for host, port in attached:
            if port == _NO_PORT:
                continue
            number = 0
            while (host, port, number) in since:
                number += 1
            since[host, port, number] = known.get((host, port, number), now)
        if since.keys() != known.keys():
            self._since[shard.primary] = since
        new = sum(at + _SETTLING > taken_at for at in since.values())
        return max(shard.replicas, min(len(since), shard.replicas + new))
