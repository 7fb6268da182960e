"""Tracks what each node pushes over the connection of a watch, and changes it while it is open.

Once a node answers heartbeats, it pushes what was agreed when the connection was opened. It is
asked to push other changes when somebody listens to all of them, or when the rule in
``broadcast_rule`` says so.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.broadcast_rule import (
    HOW_MANY_TRACK,
    SECONDS_BETWEEN_QUESTIONS,
    is_worth_asking,
    prefers_all,
    trackers_in,
)
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.wire.handshake import (
    Pushes,
    judge_widening,
    switching,
    widening,
)
from clusterpass.store.wire.multiplexed import MultiplexedConnection, Outcome
from clusterpass.store.wire.resp import pack, pack_one

_OVER_RESP2: Final = ServerError("NOPROTO", "changes are pushed over RESP3 only")
Answer = asyncio.Future[Outcome]


class Pushing:
    """The changes that the nodes of one watch push."""

    def __init__(
        self,
        store: StoreBase,
        observer: Observer,
        *,
        connected: Callable[[Address, Pushes], None],
        refused: Callable[[Address, ServerError], None],
    ) -> None:
        """``connected``, ``refused``: called when a node pushes other changes, or refuses to."""
        self.met: dict[Address, Pushes] = {}
        """The nodes that answer heartbeats, and what each pushes."""
        self._store = store
        self._observer = observer
        self._connected = connected
        self._refused = refused
        self._in_steps: set[Address] = set()
        """The nodes that have not switched in a transaction."""
        self._asked: set[Address] = set()
        """The nodes that have not accepted yet, or refuse, on the present connection."""
        self._all: set[Address] = set()
        """The nodes of which all changes are of interest by the rule."""
        self._ruled_at: dict[Address, float] = {}

    def wanted(self, address: Address | None = None) -> Pushes:
        """The changes that the node at ``address`` should push; None: any node."""
        if not self._observer.prefixes:
            return "nothing"
        wants_all = self._observer.wants_all or self._store.reads_elsewhere
        return "all" if wants_all or address in self._all else "read"

    def meet(self, address: Address, pushes: Pushes) -> None:
        """Note that a node answers heartbeats, and ``pushes``."""
        self._store.pushing_all.discard(address)
        self.met[address] = pushes
        self._asked.discard(address)
        self._observer.connected(address, pushes=pushes != "nothing")
        if pushes == "all":
            # Last: what another connection has read before this generation began was not pushed.
            self._store.pushing_all.add(address)

    def meet_refusing(self, address: Address) -> None:
        """Note that a node answers heartbeats, and refuses to push."""
        self.meet(address, "nothing")
        self._asked.add(address)

    def forget(self, address: Address) -> None:
        """Note that a node does not push any more, and does not answer heartbeats."""
        self.met.pop(address, None)
        self._in_steps.discard(address)  # what is opened next may have the right
        self._store.pushing_all.discard(address)

    def adjust(self, address: Address, connection: MultiplexedConnection, now: float) -> None:
        """Have a node push what it should. ``now``: seconds of the monotonic clock."""
        wanted = self.wanted(address)
        if self.met[address] != wanted:
            self._switch(address, connection, wanted)
        elif wanted != "nothing" and not (self._observer.wants_all or self._store.reads_elsewhere):
            self._apply_rule(address, connection, now)

    def _switch(self, address: Address, connection: MultiplexedConnection, pushes: Pushes) -> None:
        if address in self._asked:
            return
        if connection.is_plain:
            self._refused(address, _OVER_RESP2)
            return
        self._asked.add(address)
        widens = (self.met[address], pushes) == ("read", "all") and address not in self._in_steps
        prefixes = self._observer.prefixes
        if widens:
            commands = widening(prefixes)
        else:
            commands = switching(pushes, prefixes, self._store.keyspace)
        answer = connection.ask(pack(commands), len(commands), urgent=True)
        judge = self._widened if widens else partial(self._switched, pushes)
        answer.add_done_callback(partial(self._take_answer, address, connection, judge))

    def _take_answer(
        self,
        address: Address,
        connection: MultiplexedConnection,
        judge: Callable[[Address, Sequence[Any]], None],
        answer: Answer,
    ) -> None:
        outcome = None if answer.cancelled() else answer.result()
        if not connection.is_open:
            return  # the link reports a lost connection itself
        if outcome is None or isinstance(outcome, Fault):
            self._asked.discard(address)  # too many requests were waiting
        else:
            judge(address, outcome.values)

    def _switched(self, pushes: Pushes, address: Address, replies: Sequence[Any]) -> None:
        first = replies[0]
        if isinstance(first, ServerError) and first.code == "BUSY":
            self._asked.discard(address)  # while a script runs for long, nothing changes
        elif pushes != "nothing" and isinstance(replies[1], ServerError):
            self._refused(address, replies[1])
        else:
            self._connected(address, pushes)

    def _widened(self, address: Address, replies: Sequence[Any]) -> None:
        judged = judge_widening(replies)
        if isinstance(judged, ServerError):
            self._refused(address, judged)
        elif judged == "undone" or self.met.get(address) != "read":
            self._in_steps.add(address)
            self._asked.discard(address)
        elif judged == "gap":
            self._connected(address, "all")
        else:
            # What was read before goes on being pushed, so its generation does too.
            self.met[address] = "all"
            self._asked.discard(address)
            self._store.pushing_all.add(address)

    def _apply_rule(self, address: Address, connection: MultiplexedConnection, now: float) -> None:
        pushes_all = address in self._all
        held = self._observer.held
        if now < self._ruled_at.get(address, 0.0) or not is_worth_asking(
            held, pushes_all=pushes_all
        ):
            return
        self._ruled_at[address] = now + SECONDS_BETWEEN_QUESTIONS
        answer = connection.ask(pack_one(HOW_MANY_TRACK), 1, urgent=True)
        answer.add_done_callback(partial(self._counted, address))

    def _counted(self, address: Address, answer: Answer) -> None:
        outcome = None if answer.cancelled() else answer.result()
        if outcome is None or isinstance(outcome, Fault):
            return
        trackers = trackers_in(outcome.values[0])
        pushes_all = address in self._all
        if prefers_all(self._observer.held, trackers, pushes_all=pushes_all):
            self._all.add(address)
        else:
            self._all.discard(address)
