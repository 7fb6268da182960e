"""Leases: until when a session that was read from a node may be served without asking again.

This module is a state machine. Events come in with their times on a monotonic clock; nothing here
reads a clock or sends anything. ``bound`` (T) is the number of seconds after an acknowledged change
for which the old value may still be served. A cached session holds a :class:`Lease`, and may be
served before ``lease.until``. The rules:

- A connection on which a node pushes invalidations begins a generation, with a new lease. A lost
  connection, MOVED, or CLUSTERDOWN ends the generation, and entries with the old lease are void.
- Heartbeats are sent on the connection that pushes. The reply to beat k proves that every change
  made before beat k-1 was *sent* has been pushed, so the lease runs until that time + T. (The reply
  to beat k itself may overtake a push from the same iteration of the server's event loop.)
- The reply to a beat carries the cluster epoch. A replica becomes a primary only after a majority
  of primaries has raised its epoch. So a majority must have answered a beat that was sent less than
  T ago with the epoch known here, and a node that reports an older epoch has no lease.
- A higher epoch ends every generation, as slots may have new owners. (So does an epoch lower than
  any reported before, as the cluster was then created anew.)
- The cutoff must be as fresh: a beat that was sent less than T ago must have read it.

Evidence of the same kind decides whether an answer of a node is believed, with or without a lease:
:class:`Evidence`.
"""

from collections.abc import Hashable, Set
from math import inf

from clusterpass.model.statistics import NodeStats
from clusterpass.sessions.memory.evidence import Evidence
from clusterpass.sessions.memory.node_state import Lease, NodeState


class Leases(Evidence):
    """The leases of all nodes. Callers must serialise the events, as there is no lock."""

    def __init__(self, bound: float, *, has_epochs: bool = True) -> None:
        """``bound``: T, in seconds; ``has_epochs``: False for a single server without a cluster."""
        super().__init__(bound, has_epochs=has_epochs)
        self.events = 0
        """The number of generations that have begun or ended."""
        self._heads_agreed_at = -inf
        self._journals: Set[Hashable] | None = frozenset()
        self._beats = 0
        self._cutoff_changed_at = -inf
        self._current: dict[int, Lease] = {}

    # Events.

    def set_primaries(self, primaries: Set[Hashable]) -> None:
        """Set the nodes that own slots, and forget all other nodes."""
        if primaries == self._primaries:
            return
        for node in self._primaries - primaries:
            self.lost(node)
            self._nodes.pop(node, None)
        self._primaries = frozenset(primaries)
        self._settle_epoch()
        self._renew()

    def set_journals(self, nodes: Set[Hashable] | None) -> None:
        """Set the nodes that hold the journals; none of them: there are no journals to know of.

        None: it is not known yet, so nothing is believed without a question.
        """
        self._journals = None if nodes is None else frozenset(nodes)
        self._renew()

    def connected(self, node: Hashable, *, pushes: bool = True) -> None:
        """Begin a generation: ``node`` answers heartbeats, and ``pushes`` invalidations or not."""
        state = self._nodes.setdefault(node, NodeState())
        self._retire(state)
        state.forget_beats()
        state.is_met, state.met_at = True, None
        if pushes:
            self._begin(node, state)
        self._renew()

    def heads_heard(self, node: Hashable, sent_at: float) -> None:
        """Take note that all entries are known that ``node`` had when it was asked at ``sent_at``.

        Call this after :meth:`beat_answered`: what a node told under an older epoch does not count.
        """
        state = self._nodes.get(node)
        if state is not None and state.epoch == self.epoch:
            state.heads_sent_at = max(state.heads_sent_at, sent_at)
            self._renew()

    def heads_agreed(self, sent_at: float, epoch: int) -> None:
        """Take note that all entries are known of two journals, asked from ``sent_at`` on.

        ``epoch``: the epoch that the nodes of both told.
        """
        if epoch >= self.epoch:
            self._heads_agreed_at = max(self._heads_agreed_at, sent_at)
            self._renew()

    def lost(self, node: Hashable) -> None:
        """End the generation of ``node``: its connection is lost, or it does not own its slots."""
        state = self._nodes.get(node)
        self._agreed_at.pop(node, None)
        if state is not None:
            self._retire(state)
            state.is_met, state.met_at = False, None
            state.forget_beats()
            self._renew()

    def beat_sent(self, node: Hashable, at: float) -> int:
        """Return the number of a heartbeat that is sent at ``at``."""
        self._beats += 1
        state = self._nodes.get(node)
        if state is not None and state.is_met:
            state.unanswered.append((self._beats, at))
        return self._beats

    def beat_answered(
        self, node: Hashable, number: int, *, epoch: int = 0, knows_cutoff: bool = True
    ) -> bool:
        """Take note of the answer to beat ``number``; return whether the epoch has changed.

        ``knows_cutoff``: whether the answer carried the cutoff.
        """
        state = self._nodes.get(node)
        sent_at = None if state is None else state.sent_at(number)
        if state is None or sent_at is None:
            return False  # the beat belongs to a generation that has ended
        self._unjudged.discard(node)
        state.epoch = epoch
        has_changed = self._settle_epoch()
        if state.epoch == self.epoch:
            state.epoch_sent_at = sent_at
            if state.previous is not None:
                state.own_until = max(state.own_until, state.previous + self.bound)
        state.previous = sent_at
        if knows_cutoff and sent_at >= self._cutoff_changed_at:
            state.cutoff_sent_at = sent_at
        self._renew()
        return has_changed

    def cutoff_changed(self, at: float) -> None:
        """Take note that the cutoff changed by ``at``: earlier beats did not read the new one."""
        self._cutoff_changed_at = at
        for state in self._nodes.values():
            state.cutoff_sent_at = -inf
        self._renew()

    def end_all(self) -> None:
        """End every generation, and begin a new one on each connection.

        The connections still push in order, so beats in flight remain valid.
        """
        for node, state in self._nodes.items():
            if state.lease is not None:
                self._retire(state)
                self._begin(node, state)
        self._renew()

    def forget(self) -> None:
        """End all leases and forget all nodes."""
        for state in self._nodes.values():
            self._retire(state)
        self._agreed_at.clear()
        self._heads_agreed_at = -inf
        self._unjudged.clear()
        self._nodes, self._primaries, self.epoch = {}, frozenset(), 0
        self.outdated = frozenset()
        self._renew()

    # Questions.

    def sent_at(self, node: Hashable, number: int) -> float | None:
        """Return when beat ``number`` was sent; None when its generation has ended."""
        state = self._nodes.get(node)
        beats = () if state is None else state.unanswered
        return next((sent_at for found, sent_at in beats if found == number), None)

    def lease(self, node: Hashable) -> Lease | None:
        """Return the lease of the current generation of ``node``; None: it is not connected."""
        state = self._nodes.get(node)
        return None if state is None else state.lease

    def lease_since(self, began: int, node: Hashable) -> Lease | None:
        """Return the lease of ``node`` if its generation began with event ``began`` or before."""
        lease = self.lease(node)
        return lease if lease is not None and lease.began <= began else None

    def current(self, began: int) -> Lease | None:
        """Return the lease of the generation that began with event ``began``; None: it ended."""
        return self._current.get(began)

    def describe(self, node: Hashable, now: float) -> NodeStats:
        """Return the state of the lease of ``node`` at ``now``."""
        state = self._nodes.get(node) or NodeState()
        left = 0.0 if state.lease is None else max(0.0, state.lease.until - now)
        return NodeStats(
            address=str(node),
            is_connected=state.lease is not None,
            has_lease=left > 0,
            lease_seconds=left,
            beat_age=None if state.previous is None else now - state.previous,
            epoch=state.epoch,
            is_outdated=node in self.outdated,
        )

    @property
    def has_journals(self) -> bool:
        """Whether three primaries hold journals."""
        return bool(self._journals)

    # Decisions.

    def _begin(self, node: Hashable, state: NodeState) -> None:
        state.lease = self._current[self.events] = Lease(node, self.events)

    def _retire(self, state: NodeState) -> None:
        self.events += 1
        if state.lease is not None:
            self._current.pop(state.lease.began, None)
            state.lease.until = -inf
            state.lease = None

    def _settle_epoch(self) -> bool:
        told = [state.epoch for state in self._nodes.values() if state.epoch is not None]
        highest = max(told, default=self.epoch)
        self.outdated = frozenset(
            node
            for node, state in self._nodes.items()
            if state.epoch is not None and state.epoch < highest
        )
        if highest == self.epoch:
            return False
        self.epoch = highest
        self._agreed_at.clear()
        self._heads_agreed_at = -inf
        for state in self._nodes.values():
            state.met_at, state.heads_sent_at = None, -inf
        self.end_all()
        return True

    def _renew(self) -> None:
        self.majority_until = self._majority_until()
        self.heads_at = self._heads_at()
        shared = min(self.majority_until, self._cutoff_until(), self.heads_at + self.bound)
        for node, state in self._nodes.items():
            if state.lease is not None:
                is_current = state.epoch == self.epoch and node in self._primaries
                state.lease.until = min(state.own_until, shared) if is_current else -inf

    def _majority_until(self) -> float:
        if not self._has_epochs:
            return inf
        told = sorted(
            (
                state.epoch_sent_at
                for node in self._primaries
                if (state := self._nodes.get(node)) is not None and state.epoch == self.epoch
            ),
            reverse=True,
        )
        needed = len(self._primaries) // 2 + 1
        return told[needed - 1] + self.bound if len(told) >= needed else -inf

    def _heads_at(self) -> float:
        if not self._has_epochs or self._journals == frozenset():
            return inf
        told = sorted(
            state.heads_sent_at
            for node in self._journals or ()
            if (state := self._nodes.get(node)) is not None and state.epoch == self.epoch
        )
        return max(told[-2] if len(told) > 1 else -inf, self._heads_agreed_at)

    def _cutoff_until(self) -> float:
        known = [state.cutoff_sent_at for state in self._nodes.values()]
        return max(known, default=-inf) + self.bound
