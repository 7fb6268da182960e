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

What a node answers to a read is believed by the same evidence, with or without a lease: a majority
that was asked less than T ago, or an agreement about the node that was asked for on purpose. A
single server is believed while it said less than T ago that it is a primary.
"""

from collections import deque
from collections.abc import Hashable, Set
from math import inf
from typing import Final

from clusterpass.model.statistics import NodeStats

_MOST_UNANSWERED: Final = 64


class Lease:
    """The lease of one generation of one node."""

    __slots__ = ("began", "node", "until")

    def __init__(self, node: Hashable, began: int) -> None:
        self.node: Final = node
        """The node that the sessions were read from."""
        self.began: Final = began
        """The number of the event with which the generation began."""
        self.until = -inf
        """When the lease expires, in seconds of the steady clock."""


NEVER: Final = Lease(None, 0)
"""The lease of entries that may not be served."""


ALWAYS: Final = Lease(None, 0)
"""The lease of entries that no node can change."""
ALWAYS.until = inf


class NodeState:
    """The connection, the heartbeats and the epoch of one node."""

    __slots__ = (
        "cutoff_sent_at",
        "epoch",
        "epoch_sent_at",
        "is_met",
        "lease",
        "own_until",
        "previous",
        "unanswered",
    )

    def __init__(self) -> None:
        self.epoch: int | None = None
        """The latest epoch that the node reported; kept when the connection is lost."""
        self.lease: Lease | None = None
        """The lease of the current generation; None while the node does not push."""
        self.is_met = False
        """Whether the node is connected, and its heartbeats count."""
        self.forget_beats()

    def forget_beats(self) -> None:
        """Discard all heartbeats that were sent before."""
        self.unanswered: deque[tuple[int, float]] = deque(maxlen=_MOST_UNANSWERED)
        self.previous: float | None = None
        """When the latest answered beat was sent, in seconds of the steady clock."""
        self.own_until = -inf
        self.epoch_sent_at = -inf
        self.cutoff_sent_at = -inf


class Leases:
    """The leases of all nodes. Callers must serialise the events, as there is no lock."""

    def __init__(self, bound: float, *, has_epochs: bool = True) -> None:
        """``bound``: T, in seconds; ``has_epochs``: False for a single server without a cluster."""
        self.bound: Final = bound
        self._has_epochs = has_epochs
        self.epoch = 0
        """The highest of the epochs that the nodes reported last."""
        self.events = 0
        """The number of generations that have begun or ended."""
        self.outdated: Set[Hashable] = frozenset()
        """Nodes that reported an older epoch than other nodes."""
        self.majority_until = inf if not has_epochs else -inf
        """Until when it is certain that no node was replaced more than T ago."""
        self._agreed_until: dict[Hashable, float] = {}
        """Until when a node is believed because others were asked about it."""
        self._unjudged: set[Hashable] = set()
        """Nodes that refuse to tell what a judgement needs."""
        self._beats = 0
        self._cutoff_changed_at = -inf
        self._nodes: dict[Hashable, NodeState] = {}
        self._primaries: Set[Hashable] = frozenset()

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

    def connected(self, node: Hashable, *, pushes: bool = True) -> None:
        """Begin a generation: ``node`` answers heartbeats, and ``pushes`` invalidations or not."""
        state = self._nodes.setdefault(node, NodeState())
        self._retire(state)
        state.forget_beats()
        state.is_met = True
        if pushes:
            state.lease = Lease(node, self.events)
        self._renew()

    def unjudged(self, node: Hashable) -> None:
        """Take note that ``node`` refuses to tell its epoch or role: nothing speaks against it."""
        self._unjudged.add(node)

    def agreed(self, node: Hashable, sent_at: float) -> None:
        """Take note that a majority, asked from ``sent_at`` on, told the epoch of ``node``."""
        self._agreed_until[node] = sent_at + self.bound

    def lost(self, node: Hashable) -> None:
        """End the generation of ``node``: its connection is lost, or it does not own its slots."""
        state = self._nodes.get(node)
        self._agreed_until.pop(node, None)
        if state is not None:
            self._retire(state)
            state.is_met = False
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
        sent_at = None if state is None else _sent_at(state, number)
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
                state.lease = Lease(node, self.events)
        self._renew()

    def forget(self) -> None:
        """End all leases and forget all nodes."""
        for state in self._nodes.values():
            self._retire(state)
        self._agreed_until.clear()
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

    def doubts(self, node: Hashable, now: float) -> bool:
        """Return whether ``node`` may have been replaced, by more than T, without its knowledge."""
        if node in self._unjudged or now < self._agreed_until.get(node, -inf):
            return False
        if not self._has_epochs:
            state = self._nodes.get(node)
            return state is None or state.previous is None or now >= state.previous + self.bound
        return node in self.outdated or node not in self._primaries or now >= self.majority_until

    def lease(self, node: Hashable) -> Lease | None:
        """Return the lease of the current generation of ``node``; None: it is not connected."""
        state = self._nodes.get(node)
        return None if state is None else state.lease

    def state(self, node: Hashable) -> NodeState | None:
        """Return the state of ``node``; None when it is unknown."""
        return self._nodes.get(node)

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
    def primaries(self) -> Set[Hashable]:
        """The nodes that own slots."""
        return self._primaries

    # Decisions.

    def _retire(self, state: NodeState) -> None:
        self.events += 1
        if state.lease is not None:
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
        self._agreed_until.clear()
        self.end_all()
        return True

    def _renew(self) -> None:
        self.majority_until = self._majority_until()
        shared = min(self.majority_until, self._cutoff_until())
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

    def _cutoff_until(self) -> float:
        known = [state.cutoff_sent_at for state in self._nodes.values()]
        return max(known, default=-inf) + self.bound


def _sent_at(state: NodeState, number: int) -> float | None:
    """Return when the beat was sent, and discard earlier beats, which were never answered."""
    while state.unanswered and state.unanswered[0][0] <= number:
        found, sent_at = state.unanswered.popleft()
        if found == number:
            return sent_at
    return None
