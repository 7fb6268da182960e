"""Generations: periods in which a node's pushes keep everything that was read from it current.

A generation begins with a connection that pushes changes, and ends with it. When a node loses
slots, the generation goes on under a new lease, but not for what was read from those slots.
"""

from collections.abc import Collection, Hashable
from math import inf
from typing import Final

from clusterpass.sessions.memory.node_state import Lease, NodeState

_MOST_CONTINUED: Final = 1000
"""The most leases of a node that are kept because slots have moved, and what was read may be as
good."""


class Generations:
    """The generations of all nodes. Callers must serialise the events, as there is no lock."""

    def __init__(self) -> None:
        self.events = 0
        """The number of generations that have begun or ended."""
        self._current: dict[int, Lease] = {}
        self._moved_at: dict[int, int] = {}
        """The number of the event with which a slot moved to another node, by slot."""

    def begin(self, node: Hashable, state: NodeState, connected: int | None = None) -> None:
        """Give ``node`` a new lease. ``connected``: as for :class:`Lease`."""
        state.lease = self._current[self.events] = Lease(node, self.events, connected)

    def retire(self, state: NodeState) -> None:
        """End the generation of a node, if it has one."""
        self.events += 1
        if (ended := state.lease) is not None:
            for lease in [each for each in self._current.values() if each.node == ended.node]:
                del self._current[lease.began]
            ended.until = -inf
            state.lease = None

    def slots_left(self, node: Hashable, state: NodeState | None, slots: Collection[int]) -> None:
        """Go on under a new lease, as ``slots`` have moved from ``node`` to others."""
        self.events += 1
        for slot in slots:
            self._moved_at[slot] = self.events
        if state is not None and (lease := state.lease) is not None:
            lease.until = -inf
            self.begin(node, state, lease.connected)
            kept = [each.began for each in self._current.values() if each.node == node]
            for began in kept[:-_MOST_CONTINUED]:
                del self._current[began]

    def forget(self) -> None:
        """Forget which slots have moved, and every lease that went on."""
        self._moved_at.clear()
        self._current.clear()

    def current(self, began: int) -> Lease | None:
        """Return the lease of the generation that began with event ``began``.

        None: it ended. A lease that ended because slots have moved may have a :meth:`successor`.
        """
        return self._current.get(began)

    def successor(self, lease: Lease, now: Lease | None, slot: int) -> Lease | None:
        """Return the lease under which what was read from ``slot`` under ``lease`` is as good.

        ``now``: the present lease of the node. None: there is none, as the connection has ended or
        the slot has moved.
        """
        if now is None or now.connected != lease.connected:
            return None
        return now if self._moved_at.get(slot, -1) <= lease.began else None
