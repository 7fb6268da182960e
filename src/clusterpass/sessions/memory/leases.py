"""Leases: the time for which a session may be served without asking its node again.

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
  T ago with an epoch that is no higher than the node's own, and a node that reports an older epoch
  than others has no lease. (An epoch that a known primary has taken for itself replaces nobody:
  :class:`Epochs`.)
- While a connection pushes, what was read from its node is as good as a new answer. A higher epoch
  therefore ends no generation: the leases go on once the node and a majority report it. (An epoch
  lower than any reported before ends all generations, as the cluster was then created anew.)
- When the epoch of a node changes, it may have lost slots. Its lease then lasts for T after the
  last beat that it answered with the old epoch, unless a slot map says which slots it still owns.
  What was read from slots that have moved is void; the rest goes on under a new lease.
- The cutoff must be as fresh: a beat that was sent less than T ago must have read it.

By these rules :class:`LeaseTimes` computes when each lease ends. Evidence of the same kind decides
whether an answer of a node is believed, with or without a lease: :class:`Evidence`.
"""

from collections.abc import Collection, Hashable, Mapping, Set
from math import inf

from clusterpass.model.statistics import NodeStats
from clusterpass.sessions.memory.lease_times import LeaseTimes
from clusterpass.sessions.memory.node_state import Lease, NodeState


class Leases(LeaseTimes):
    """The leases of all nodes. Callers must serialise the events, as there is no lock."""

    def __init__(self, bound: float, *, has_epochs: bool = True) -> None:
        """``bound``: T, in seconds; ``has_epochs``: False for a single server without a cluster."""
        super().__init__(bound, has_epochs=has_epochs)
        self._beats = 0
        self._cutoff_changed_at = -inf

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

    def mapped(self, asked_at: float, moved: Mapping[Hashable, Collection[int]]) -> None:
        """Take note of a slot map that was asked for at ``asked_at``.

        ``moved``: the slots that have another owner than in the map before, by that former owner.
        """
        for node, slots in moved.items():
            self._generations.slots_left(node, self._nodes.get(node), slots)
        for state in self._nodes.values():
            state.mapped(asked_at)
        self._renew()

    def connected(self, node: Hashable, *, pushes: bool = True, at: float | None = None) -> None:
        """Begin a generation: ``node`` answers heartbeats, and ``pushes`` invalidations or not.

        ``at``: when the connection began; None: not known, and the slots are known all the same.
        """
        state = self._nodes.setdefault(node, NodeState())
        self._generations.retire(state)
        state.forget_beats()
        state.is_met, state.met_at, state.connected_at = True, None, at
        if pushes:
            self._generations.begin(node, state)
        self._renew()

    def heads_heard(self, node: Hashable, sent_at: float) -> None:
        """Take note that all entries are known that ``node`` had when it was asked at ``sent_at``.

        Call this after :meth:`beat_answered`: what a node told under an older epoch does not count.
        """
        state = self._nodes.get(node)
        if state is not None and self._effective(state) == self.epoch:
            state.heads_sent_at = max(state.heads_sent_at, sent_at)
            self._renew()

    def heads_agreed(self, sent_at: float, epoch: int) -> None:
        """Take note that all entries are known of two journals, asked from ``sent_at`` on.

        ``epoch``: the epoch that the nodes of both told.
        """
        if self.epochs.effective(epoch) >= self.epoch:
            self._heads_agreed_at = max(self._heads_agreed_at, sent_at)
            self._renew()

    def agreed(
        self, node: Hashable, sent_at: float, *, epoch: int = 0, now: float | None = None
    ) -> None:
        """Take note that a majority, asked from ``sent_at`` on, told the epoch of ``node``.

        ``epoch``: that of the service, where the majority is one of Sentinels; ``now``: when the
        last of them had answered, by default when they were asked.
        """
        super().agreed(node, sent_at, epoch=epoch, now=now)
        if self._relies_on_agreements:
            self._renew()

    def rely_on_agreements(self) -> None:
        """Take note that Sentinels look after a single server: it is believed while they agree."""
        super().rely_on_agreements()
        self._renew()

    def lost(self, node: Hashable) -> None:
        """End the generation of ``node``: its connection is lost, or it does not own its slots."""
        state = self._nodes.get(node)
        self._agreed_at.pop(node, None)
        if state is not None:
            self._generations.retire(state)
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
        self,
        node: Hashable,
        number: int,
        *,
        epoch: int = 0,
        own_epoch: int | None = None,
        knows_cutoff: bool = True,
        heard_at: float | None = None,
    ) -> bool:
        """Take note of the answer to beat ``number``; return whether the slots may have changed.

        ``own_epoch``: the config epoch of the node itself, where it tells one; ``knows_cutoff``:
        whether the answer carried the cutoff; ``heard_at``: when it came, by default when the beat
        was sent.
        """
        state = self._nodes.get(node)
        sent_at = None if state is None else state.sent_at(number)
        if state is None or sent_at is None:
            return False  # the beat belongs to a generation that has ended
        self._unjudged.discard(node)
        state.resume(own_epoch)
        self._explain(node, state, own_epoch)
        may_differ = self._note_epoch(node, state, epoch, sent_at, heard_at)
        has_changed = self._settle_epoch()
        if self._effective(state) == self.epoch:
            state.epoch_sent_at = sent_at
            if state.previous is not None:
                state.own_until = max(state.own_until, state.previous + self.bound)
        state.previous = sent_at
        if knows_cutoff and sent_at >= self._cutoff_changed_at:
            state.cutoff_sent_at = sent_at
        self._renew()
        return has_changed or may_differ

    def _explain(self, node: Hashable, state: NodeState, own_epoch: int | None) -> None:
        """Note an epoch that ``node``, a primary already known by its former one, has taken."""
        known, state.own_epoch = state.own_epoch, own_epoch
        if known is None or own_epoch is None or own_epoch <= known:
            return
        if node in self._primaries:
            self.epochs.explain(own_epoch)
            self.epoch = self.epochs.effective(self.epoch)

    def _note_epoch(
        self,
        node: Hashable,
        state: NodeState,
        epoch: int,
        sent_at: float,
        heard_at: float | None,
    ) -> bool:
        """Note the epoch that ``node`` reports; return whether its slots may have changed."""
        former, state.epoch = state.epoch, epoch
        may_differ = self._has_epochs and former is not None and former != epoch
        if former is not None and epoch < former:
            state.told.clear()
            if state.lease is not None:
                self._generations.retire(state)
                self._generations.begin(node, state)
        state.epoch_told(epoch, sent_at)
        heard_at = sent_at if heard_at is None else heard_at
        if state.previous is None:
            if self._has_epochs and state.connected_at is not None:
                state.note_unmapped(state.connected_at, heard_at)
                may_differ = True
        elif may_differ:
            state.note_unmapped(state.previous, heard_at)
        return may_differ

    def rested(self) -> None:
        """Take note that heartbeats pause from now on."""
        for state in self._nodes.values():
            state.rest()

    def cutoff_changed(self, at: float) -> None:
        """Take note that the cutoff changed by ``at``: earlier beats did not read the new one."""
        self._cutoff_changed_at = at
        for state in self._nodes.values():
            state.cutoff_sent_at = -inf
        self._renew()

    def forget(self) -> None:
        """End all leases and forget all nodes."""
        for state in self._nodes.values():
            self._generations.retire(state)
        self._agreed_at.clear()
        self._reign = None
        self._heads_agreed_at = -inf
        self._unjudged.clear()
        self._nodes, self._primaries, self.epoch = {}, frozenset(), 0
        self.outdated = frozenset()
        self.epochs.forget()
        self._generations.forget()
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
        """Return the lease of the generation that began with event ``began``.

        None: it ended. A lease that ended because slots have moved may have a :meth:`successor`.
        """
        return self._generations.current(began)

    def successor(self, lease: Lease, slot: int) -> Lease | None:
        """Return the lease under which what was read from ``slot`` under ``lease`` is as good.

        None: there is none, as the connection has ended or the slot has moved.
        """
        return self._generations.successor(lease, self.lease(lease.node), slot)

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
    def events(self) -> int:
        """The number of generations that have begun or ended."""
        return self._generations.events

    @property
    def has_journals(self) -> bool:
        """Whether three primaries hold journals."""
        return bool(self._journals)
