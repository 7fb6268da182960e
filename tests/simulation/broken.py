"""Deliberately broken builds, which the invariants must detect."""

from clusterpass.sessions.memory.leases import Leases

from .process import BOUND


class LeasesOfTwoBounds(Leases):
    """Leases that run for two bounds from the sending time of the beat itself."""

    def _renew(self) -> None:
        super()._renew()
        for state in self._nodes.values():
            if state.lease is not None and state.previous is not None:
                state.lease.until = state.previous + 2 * BOUND


class LeasesForEver(Leases):
    """No leases: what was pushed last is believed."""

    def _renew(self) -> None:
        super()._renew()
        for state in self._nodes.values():
            if state.lease is not None:
                state.lease.until = float("inf")


class TrustingLeases(Leases):
    """Whatever a node answers is believed, also by one that was replaced."""

    def doubts(self, *_: object, **__: object) -> bool:
        return False


BROKEN = {
    "leases-of-two-bounds": LeasesOfTwoBounds,
    "leases-for-ever": LeasesForEver,
    "trusting": TrustingLeases,
}
