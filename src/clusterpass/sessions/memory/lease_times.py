"""Computes when each lease ends, anew from the evidence after every event.

A lease ends with the earliest of what it rests on: the heartbeats of its node, those of a majority
of primaries, the cutoff, and the journals. The rules, and the events, are in
:mod:`clusterpass.sessions.memory.leases`. Times are on a monotonic clock.
"""

from collections.abc import Hashable, Iterable, Set
from math import inf
from typing import Final

from clusterpass.sessions.memory.evidence import Evidence
from clusterpass.sessions.memory.node_state import NodeState
from clusterpass.sessions.memory.push_generations import Generations


class LeaseTimes(Evidence):
    """The generations of all nodes, and until when their leases run."""

    def __init__(self, bound: float, *, has_epochs: bool = True) -> None:
        """``bound``: T, in seconds; ``has_epochs``: False for a single server without a cluster."""
        super().__init__(bound, has_epochs=has_epochs)
        self._generations: Final = Generations()
        self._heads_agreed_at = -inf
        self._journals: Set[Hashable] | None = frozenset()

    def end_all(self) -> None:
        """End every generation, and begin a new one on each connection.

        The connections still push in order, so beats in flight remain valid.
        """
        for node, state in self._nodes.items():
            if state.lease is not None:
                self._generations.retire(state)
                self._generations.begin(node, state)
        self._renew()

    def _effective(self, state: NodeState) -> int | None:
        return None if state.epoch is None else self.epochs.effective(state.epoch)

    def _settle_epoch(self) -> bool:
        told = {
            node: effective
            for node, state in self._nodes.items()
            if (effective := self._effective(state)) is not None
        }
        highest = max(told.values(), default=self.epoch)
        self.outdated = frozenset(node for node, effective in told.items() if effective < highest)
        if highest == self.epoch:
            return False
        is_new = highest < self.epoch
        self.epoch = highest
        self._agreed_at.clear()
        self._heads_agreed_at = -inf
        for state in self._nodes.values():
            state.met_at, state.heads_sent_at = None, -inf
        if is_new:
            self.end_all()
        return True

    def _renew(self) -> None:
        self.majority_until = self._majority_until()
        self.heads_at = self._heads_at()
        shared = min(self.majority_until, self._cutoff_until(), self.heads_at + self.bound)
        voted: dict[int | None, float] = {}
        for node, state in self._nodes.items():
            if state.epoch not in voted:
                voted[state.epoch] = self._majority_up_to(state.epoch)
            state.majority_at = voted[state.epoch]
            if state.lease is not None:
                is_current = self._effective(state) == self.epoch and node in self._primaries
                own = min(state.own_until, state.majority_at + self.bound)
                if state.unmapped:
                    own = min(own, state.unmapped[0].safe_at + self.bound)
                state.lease.until = min(own, shared) if is_current else -inf

    def _majority_up_to(self, epoch: int | None) -> float:
        """Return when a majority was last asked that had voted for no epoch above ``epoch``."""
        if not self._has_epochs:
            return self._named_at()
        if epoch is None:
            return -inf
        return self._of_majority(
            state.told_up_to(epoch)
            for node in self._primaries
            if (state := self._nodes.get(node)) is not None
        )

    def _majority_until(self) -> float:
        if not self._has_epochs:
            return self._named_at() + self.bound
        return self.bound + self._of_majority(
            state.epoch_sent_at
            for node in self._primaries
            if (state := self._nodes.get(node)) is not None and self._effective(state) == self.epoch
        )

    def _named_at(self) -> float:
        """Return when Sentinels were last asked who named the single server there is."""
        if not self._relies_on_agreements:
            return inf
        return max((self._agreed_at.get(each, -inf) for each in self._primaries), default=-inf)

    def _of_majority(self, times: Iterable[float]) -> float:
        told = sorted(times, reverse=True)
        needed = len(self._primaries) // 2 + 1
        return told[needed - 1] if len(told) >= needed else -inf

    def _heads_at(self) -> float:
        if not self._has_epochs or self._journals == frozenset():
            return inf
        told = sorted(
            state.heads_sent_at
            for node in self._journals or ()
            if (state := self._nodes.get(node)) is not None and self._effective(state) == self.epoch
        )
        return max(told[-2] if len(told) > 1 else -inf, self._heads_agreed_at)

    def _cutoff_until(self) -> float:
        known = [state.cutoff_sent_at for state in self._nodes.values()]
        return max(known, default=-inf) + self.bound
