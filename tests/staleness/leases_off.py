"""The near cache without its leases, to show that the campaign would notice.

What is left is a cache that trusts what the cluster pushes: no heartbeats, no epochs, and what was
read from a node is served until the node pushes that it changed or its connection is seen to end.
"""

from math import inf

from clusterpass.sessions.memory.leases import Leases
from clusterpass.store.address import Address
from clusterpass.store.drivers.watch import Watch
from clusterpass.store.wire.handshake import Pushes


def switch_leases_off() -> None:
    """For the rest of this process; call it before a manager is made."""
    beat_less = Watch.connected

    def connected(self: Watch, address: Address, pushes: Pushes) -> None:
        beat_less(self, address, pushes)
        self._pushing.met.pop(address, None)  # who is not met is sent no heartbeat

    def renew(self: Leases) -> None:
        self.majority_until = inf  # what the store answers is believed without asking others
        for state in self._nodes.values():
            state.majority_at = inf
            if state.lease is not None:
                state.lease.until = inf

    Watch.connected = connected  # type: ignore[method-assign]
    Leases._renew = renew  # type: ignore[method-assign]
