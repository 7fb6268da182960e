"""The store of one simulated process: the real base class and exchanges, and a driver of steps.

:func:`virtual_time` makes the library read the virtual clock and draw from the run's generator.
That holds for the whole process, so nothing else of the library may run in it.
"""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from clusterpass.model.errors import ClusterPassError
from clusterpass.protocol.script import Answer, Flow, Rest, ScriptCall, Work
from clusterpass.store.address import Address
from clusterpass.store.drivers import (
    primary_confirmation,
    slot_searches,
    store_state,
    watch,
    watch_look_ups,
    watch_pace,
)
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.exchanges.commands import command_of
from clusterpass.store.exchanges.first_try import first_answer, first_try
from clusterpass.store.exchanges.steps import Agree, Drop, Exchange, LookUp, Probe, Send
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.randomness import chance
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.wire.link_listener import LinkListener

from .clock import Clock, Future, Lock
from .cluster import Cluster
from .connection import Later, Link
from .network import Network
from .tasks import ASYNCIO

Running = Generator[float | Future, Any, Any]


@contextmanager
def virtual_time(clock: Clock) -> Iterator[None]:
    """Run the library under ``clock``, with the pauses and orders that its generator draws.

    Raises RuntimeError in a process with other threads, whose managers would draw from it as well.
    """
    if threading.active_count() > 1:
        raise RuntimeError("a simulation needs a process of its own")
    modules: tuple[Any, ...] = (
        primary_confirmation,
        watch_pace,
        watch_look_ups,
        slot_searches,
        store_state,
        watch,
    )
    time = SimpleNamespace(monotonic=clock.read)
    former = watch.time, watch_pace.asyncio
    for module in modules:
        module.time = time
    watch_pace.asyncio = ASYNCIO  # type: ignore[attr-defined]
    drawn = vars(chance)
    drawn["random"], drawn["getrandbits"] = clock.random.random, clock.random.getrandbits
    try:
        yield
    finally:
        for module in modules:
            module.time = former[0]
        watch_pace.asyncio = former[1]  # type: ignore[attr-defined]
        del drawn["random"], drawn["getrandbits"]


class SimulatedStore(StoreBase):
    """The store of one process, which runs flows as tasks of the simulation."""

    def __init__(
        self,
        cluster: Cluster,
        network: Network,
        *,
        owner: int,
        weight: int,
        later: Later,
    ) -> None:
        # One seed: the order of several, as a set has it, would differ from run to run.
        seed = next(iter(cluster.servers))
        super().__init__(parse_store_url(f"redis+cluster://{seed}"))
        clock = cluster.clock
        assert self._terms.clock == clock.read, "made outside of virtual_time"
        self._cluster, self._network, self._clock = cluster, network, clock
        self.owner, self._weight = owner, weight
        self._later = later
        self.listener: LinkListener | None = None
        """The watch: hears what the servers push."""
        self._steady = clock.read
        self._terms = replace(self._terms, steady=clock.read)
        self._links: dict[Address, Link] = {}
        self._commits: dict[Address, Link] = {}
        self._look_up_lock = Lock()
        self._asking: dict[Address, Lock] = {}

    # Connections.

    def link(self, address: Address) -> Link:
        """The link for reads and pushes."""
        if address not in self._links:
            self._links[address] = self._new_link(address, self.listener)
        return self._links[address]

    def open_link(self, address: Address) -> Link | None:
        """The link to a node, if it is open."""
        link = self._links.get(address)
        return link if link is not None and link.is_open else None

    def drop(self, address: Address) -> None:
        """Close the connections to ``address``."""
        for links in (self._links, self._commits):
            if address in links:
                links.pop(address).close()

    def close(self) -> None:
        self._closed = True
        for address in sorted(self._links.keys() | self._commits.keys()):
            self.drop(address)

    def _new_link(self, address: Address, listener: LinkListener | None) -> Link:
        server = self._cluster.servers[address]
        network, later = self._network, self._later
        return Link(self.owner, server, self._clock, network, later, self._weight, listener)

    def _send(self, step: Send) -> Future:
        if step.wait is None:
            return self.link(step.address).ask(step.commands)
        if step.address not in self._commits:
            self._commits[step.address] = self._new_link(step.address, None)
        return self._commits[step.address].ask(step.commands, step.wait)

    # Flows and exchanges.

    def run(self, flow: Flow[Any]) -> Running:
        """Run a flow of the library to its end: return its result, raise its error."""
        answer: Any = None
        failure: ClusterPassError | None = None
        while True:
            try:
                call = flow.send(answer) if failure is None else flow.throw(failure)
            except StopIteration as stop:
                return stop.value
            answer = failure = None
            if isinstance(call, Rest):
                yield call.seconds
                continue
            if isinstance(call, Work):
                answer = call.compute()
                continue
            try:
                answer = yield from self.perform(call)
            except ClusterPassError as error:
                failure = error

    def perform(self, call: ScriptCall[Any]) -> Running:
        """Carry out a call as the drivers do: return the answer, or raise StoreUnavailable."""
        slots, terms = self.slots, self._terms
        if self._observer is not None:
            self._observer.note_use()
        began = self._clock.now
        try:
            first = first_try(call, terms, slots)
            if first is None:
                return (yield from self.drive(self._carry_out(call)))
            shard, wait = first
            step = Send(shard.primary, (command_of(call, call.keys),), wait)
            if wait is None and self.open_link(shard.primary) is None:
                return (yield from self.drive(self._carry_out(call)))
            outcome = yield self._send(step)
            answer: Answer[Any] | None
            answer = first_answer(call, terms, slots, shard, wait, outcome, began)
            if answer is not None:
                return answer
            sent = shard.primary, outcome
            return (yield from self.drive(self._carry_out(call, began), sent))
        finally:
            if call.script.writes:
                self._note_change(call)

    def drive(
        self, steps: Exchange[Any], sent: tuple[Address, Replies | Fault] | None = None
    ) -> Running:
        """Take the steps of an exchange to its end."""
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                return stop.value
            outcome = None
            if isinstance(step, Send):
                if sent is not None and sent[0] == step.address:
                    outcome = sent[1]
                else:
                    outcome = yield self._send(step)
                sent = None
            elif isinstance(step, LookUp):
                yield from self.look_up(step)
            elif isinstance(step, Agree):
                outcome = yield from self._agree(step)
            elif isinstance(step, Drop):
                self.drop(step.node)
            elif isinstance(step, Probe):
                with suppress(ClusterPassError):
                    yield from self.drive(self.probe(step))
            else:
                yield step.seconds

    def look_up(self, wanted: LookUp) -> Running:
        """Look up the slots, one caller at a time."""
        yield self._look_up_lock.acquire()
        try:
            if self._clock.now < wanted.until:
                yield from self.drive(self.search(wanted))
        finally:
            self._look_up_lock.release()

    def _agree(self, wanted: Agree) -> Running:
        lock = self._asking.setdefault(wanted.node, Lock())
        yield lock.acquire()
        try:
            if self._clock.now >= wanted.until:
                return False
            return (yield from self.drive(self.agree(wanted)))
        finally:
            lock.release()
