"""Until when what was read from a node may be served without asking it again. A state machine.

Events go in, with their times on a clock that never jumps; nothing here reads a clock or sends.
``bound`` (T) is how long after an acknowledged change an older value may still be served, in
seconds. What is served holds a :class:`Lease`; it may be served while the time is before
``lease.until``. The rules:

- A connection that pushes what changes begins a generation, and with it a new lease. Lost
  connections, MOVED and a cluster that is down end it: whatever holds the old lease is dropped.
- Heartbeats are asked on the connection that pushes. The reply to beat k proves that everything
  that had changed before beat k-1 was *sent* has been pushed: the lease runs to that time + T. (The
  reply to k itself may overtake a push of the same turn of the server's loop.)
- Each beat tells the cluster's epoch. A replica becomes a primary only after a majority of the
  primaries has raised its epoch. So for a majority of them there must be a beat, sent less than T
  ago, that told the epoch known here; and a node that tells an older one has no lease.
- A higher epoch ends every generation: owners may have changed. (A lower one than any node told
  before does too: that cluster was made anew.)
- The time before which all sessions have ended must be as fresh: read by a beat less than T ago.
"""

from collections import deque
from collections.abc import Hashable, Set
from math import inf
from typing import Final

from clusterpass.model.statistics import NodeStats

_MOST_UNANSWERED: Final = 64


class Lease:
    """What one generation of one node allows."""

    __slots__ = ("began", "node", "until")

    def __init__(self, node: Hashable, began: int) -> None:
        self.node: Final = node
        self.began: Final = began
        """The number of the event with which the generation began."""
        self.until = -inf
        """Seconds of the steady clock."""


NEVER: Final = Lease(None, 0)
"""The lease of what may not be served."""


ALWAYS: Final = Lease(None, 0)
"""The lease of what no node can change."""
ALWAYS.until = inf


class NodeState:
    """What is known of one node."""

    __slots__ = (
        "cutoff_sent_at",
        "epoch",
        "epoch_sent_at",
        "lease",
        "own_until",
        "previous",
        "unanswered",
    )

    def __init__(self) -> None:
        self.epoch: int | None = None
        """The latest one that it told; kept when the connection is lost."""
        self.lease: Lease | None = None
        self.forget_beats()

    def forget_beats(self) -> None:
        """Nothing that was asked before counts any more."""
        self.unanswered: deque[tuple[int, float]] = deque(maxlen=_MOST_UNANSWERED)
        self.previous: float | None = None
        """When the latest beat that was answered had been sent."""
        self.own_until = -inf
        self.epoch_sent_at = -inf
        self.cutoff_sent_at = -inf


class Leases:
    """Not locked: its user lets one event in at a time."""

    def __init__(self, bound: float, *, has_epochs: bool = True) -> None:
        """``bound``: seconds; ``has_epochs``: false for one server that is no cluster."""
        self.bound: Final = bound
        self._has_epochs = has_epochs
        self.epoch = 0
        """The highest one that a node told last."""
        self.events = 0
        """How many generations have begun or ended."""
        self.outdated: Set[Hashable] = frozenset()
        """Nodes that told an older epoch than others have."""
        self.majority_until = inf if not has_epochs else -inf
        """Until when it is known that no node was replaced longer than the bound ago."""
        self._beats = 0
        self._cutoff_changed_at = -inf
        self._nodes: dict[Hashable, NodeState] = {}
        self._primaries: Set[Hashable] = frozenset()

    # Events.

    def set_primaries(self, primaries: Set[Hashable]) -> None:
        """These own the slots; what others said counts no more."""
        if primaries == self._primaries:
            return
        for node in self._primaries - primaries:
            self.lost(node)
            self._nodes.pop(node, None)
        self._primaries = frozenset(primaries)
        self._settle_epoch()
        self._renew()

    def connected(self, node: Hashable) -> None:
        """From now on ``node`` pushes what changes."""
        state = self._nodes.setdefault(node, NodeState())
        self._retire(state)
        state.forget_beats()
        state.lease = Lease(node, self.events)
        self._renew()

    def lost(self, node: Hashable) -> None:
        """The connection to ``node`` is gone, or it does not own its slots at the moment."""
        state = self._nodes.get(node)
        if state is not None:
            self._retire(state)
            state.forget_beats()
            self._renew()

    def beat_sent(self, node: Hashable, at: float) -> int:
        """A heartbeat was sent at ``at``; returns its number."""
        self._beats += 1
        state = self._nodes.get(node)
        if state is not None and state.lease is not None:
            state.unanswered.append((self._beats, at))
        return self._beats

    def beat_answered(
        self, node: Hashable, number: int, *, epoch: int = 0, knows_cutoff: bool = True
    ) -> bool:
        """``node`` answered beat ``number``; whether the epoch is another one since.

        ``knows_cutoff``: the answer held the time before which all sessions have ended.
        """
        state = self._nodes.get(node)
        sent_at = None if state is None else _sent_at(state, number)
        if state is None or sent_at is None:
            return False  # of a generation that has ended
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
        """At ``at`` it became known that the cutoff has changed: earlier beats do not know it."""
        self._cutoff_changed_at = at
        for state in self._nodes.values():
            state.cutoff_sent_at = -inf
        self._renew()

    def end_all(self) -> None:
        """End every generation; the connections go on, with new ones.

        What they push still comes in order, so the beats under way still prove what they prove.
        """
        for node, state in self._nodes.items():
            if state.lease is not None:
                self._retire(state)
                state.lease = Lease(node, self.events)
        self._renew()

    def forget(self) -> None:
        """Nothing is known any more; all leases end."""
        for state in self._nodes.values():
            self._retire(state)
        self._nodes, self._primaries, self.epoch = {}, frozenset(), 0
        self.outdated = frozenset()
        self._renew()

    # Questions.

    def sent_at(self, node: Hashable, number: int) -> float | None:
        """When beat ``number`` was sent; None when its generation has ended."""
        state = self._nodes.get(node)
        beats = () if state is None else state.unanswered
        return next((sent_at for found, sent_at in beats if found == number), None)

    def lease(self, node: Hashable) -> Lease | None:
        """The lease of the generation of ``node`` that is under way."""
        state = self._nodes.get(node)
        return None if state is None else state.lease

    def state(self, node: Hashable) -> NodeState | None:
        """What is known of ``node``."""
        return self._nodes.get(node)

    def describe(self, node: Hashable, now: float) -> NodeStats:
        """What the lease of ``node`` stands on at ``now``."""
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
        """The nodes that own the slots."""
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
    """When the beat was sent; beats before it that were never answered count no more."""
    while state.unanswered and state.unanswered[0][0] <= number:
        found, sent_at = state.unanswered.popleft()
        if found == number:
            return sent_at
    return None
