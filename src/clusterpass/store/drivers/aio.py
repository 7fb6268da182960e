"""The asynchronous store: any number of tasks, in one event loop or in several.

- Each event loop has its own connections. Routing and retries are those of ``exchanges.carry_out``.
- One event loop at a time runs the watch for the observer: the loop of the first call, and after
  that loop is closed, the loop of the next call. Once another loop reads, too, nodes push all
  changes to the connections of the watch.
"""

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final, TypeVar

from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.protocol.script import Answer, Flow, Rest, ScriptCall, Work
from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.first_success import first_success
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.drivers.watch import Watch
from clusterpass.store.exchanges.commands import command_of
from clusterpass.store.exchanges.first_try import first_answer, first_try
from clusterpass.store.exchanges.node_queries import ask_one, reach_primary
from clusterpass.store.exchanges.steps import Exchange
from clusterpass.store.exchanges.unavailable import locate
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.wire.multiplexed import MultiplexedConnection, Outcome
from clusterpass.store.wire.resp import pack_one

Result = TypeVar("Result")
_HEAD_START: Final = 0.1
"""Seconds that one primary has to answer a ping before the others are asked."""


class AsyncStore(StoreBase):
    """A store for asyncio: runs flows against a Redis-protocol cluster or server."""

    def __init__(self, location: StoreLocation, on_close: Callable[[], None] | None = None) -> None:
        """``on_close``: a function that is called once, in a thread, when the store is closed."""
        super().__init__(location, on_close)
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Nodes]
        self._latest: Nodes | None
        self._keeper: asyncio.Task[None] | None
        self._keepers: list[tuple[Nodes, asyncio.Task[None]]]
        self._forget_loops()

    async def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: return its result, raise its error.

        An error in a call is thrown into the flow: StoreUnavailable when no answer comes before
        the deadline, StoreDenied or StoreFailed when a retry would not help.
        """
        perform = self._perform if self.around is None else self.around(self._perform)
        try:
            call = next(flow)
            while True:
                if isinstance(call, Rest):
                    await asyncio.sleep(call.seconds)
                    call = flow.send(None)
                    continue
                if isinstance(call, Work):
                    call = flow.send(await asyncio.to_thread(call.compute))
                    continue
                began = time.monotonic()
                try:
                    answer = await perform(call)
                except ClusterPassError as error:
                    self._tell(error)
                    call = flow.throw(error)
                else:
                    self.counters.answered(call.script.name, answer.node, time.monotonic() - began)
                    call = flow.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        finally:
            flow.close()  # a cancelled call leaves the flow before its end

    async def ping(self) -> None:
        """Return when a primary answers; raise StoreUnavailable when none answers in time.

        One is asked, and where that takes long, all others at once.
        """
        nodes, until = self._nodes(), time.monotonic() + self.location.patience.deadline
        try:
            addresses = await nodes.drive(self._find_primaries(until), self.search)
            asking = (reach_primary([each], time.monotonic, until) for each in addresses)
            attempts = [partial(nodes.drive, exchange, self.search) for exchange in asking]
            await first_success(attempts, _HEAD_START)
        except ClusterPassError as error:
            self._tell(error)
            raise

    async def scan_names(self, pattern: str) -> AsyncIterator[bytes]:
        """The keys that match the glob ``pattern``, from every primary.

        The scan visits all keys of the store: for administration only. Raises StoreUnavailable.
        """
        await self.ping()
        for address in self.slots.primaries():
            cursor = b"0"
            while True:
                command = (b"SCAN", cursor, b"MATCH", pattern.encode(), b"COUNT", 1000)
                cursor, names = await self._nodes().drive(ask_one(address, command), self.search)
                for name in names:
                    yield name
                if cursor == b"0":
                    break

    async def close(self) -> None:
        """Close every connection, then call ``on_close``. Closing again does nothing."""
        self._closed = True
        here = asyncio.get_running_loop()
        own: list[tuple[Nodes, asyncio.Task[None]]] = []
        for nodes, keeper in self._keepers:
            if nodes.loop is here:
                own.append((nodes, keeper))
                nodes.close()
                keeper.cancel()
            elif not nodes.loop.is_closed():
                nodes.loop.call_soon_threadsafe(nodes.close)
                nodes.loop.call_soon_threadsafe(keeper.cancel)
        self._keepers.clear()
        for nodes, keeper in own:
            await asyncio.wait((keeper,))
            await nodes.background.ended()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            await asyncio.to_thread(on_close)

    def begin_anew(self) -> None:
        """Drop all connections of the parent without closing them, in the child of a fork."""
        super().begin_anew()
        # Kept for ever: destroying them here would disturb the parent, which shares their selector.
        _inherited.append((self._by_loop, self._keepers))
        self._forget_loops()

    def _forget_loops(self) -> None:
        self._entering = threading.Lock()
        """Held while it is decided which event loop runs the watch."""
        self._by_loop = weakref.WeakKeyDictionary()
        self._keepers = []
        self._latest = None
        self._keeper = None

    async def _perform(self, call: ScriptCall[Any]) -> Answer[Any]:
        """Carry out ``call``: the first try without a generator, later tries with one."""
        nodes, slots, terms = self._nodes(), self.slots, self._terms
        if self._observer is not None:
            self._observer.note_use()
        began = time.monotonic()
        packed = call.packed
        if packed is None:
            packed = call.packed = pack_one(command_of(call, call.keys))
        until = self._until(call, began) if self._waits_long else None
        first = first_try(call, terms, slots)
        read = None if call.script.writes else call.keys[0]
        try:
            if first is None:
                return await self._drive(nodes, self._carry_out(call), until, read=read)
            shard, wait = first
            node = shard.primary
            if wait is not None:
                seconds = None if until is None else until - began
                outcome = await nodes.commit(node).ask(packed, 1, wait, seconds)
            elif (connection := nodes.connection(node)) is None:
                return await self._drive(nodes, self._carry_out(call), until, read=read)
            elif nodes.watch is not None or self._observer is None:
                outcome = await connection.ask(packed, 1)
            else:
                outcome = await self._read_elsewhere(self._observer, connection, node, call)
            answer = first_answer(call, terms, slots, shard, wait, outcome, began)
            if answer is not None:
                self.breakers.note_call(node)  # as carry_out does for the others
                return answer
            steps = self._carry_out(call, began)
            return await self._drive(nodes, steps, until, (node, outcome), read=read)
        except StoreUnavailable as error:
            locate(error, self.location, None if first is None else first[0].primary)
            raise
        finally:
            if call.script.writes:
                self._note_change(call)

    async def _read_elsewhere(
        self,
        observer: Observer,
        connection: MultiplexedConnection,
        node: Address,
        call: ScriptCall[Any],
    ) -> Outcome:
        """Read in an event loop that does not run the watch, whose connection gets the pushes."""
        self.reads_elsewhere = self.reads_elsewhere or call.follows
        pushes_all = node in self.pushing_all  # before the read
        assert call.packed is not None
        outcome = await connection.ask(call.packed, 1)
        if not pushes_all:
            observer.unheard(call.keys[0])
        return outcome

    async def _drive(
        self,
        nodes: Nodes,
        steps: Exchange[Result],
        until: float | None,
        sent: tuple[Address, Replies | Fault] | None = None,
        *,
        read: bytes | None = None,
    ) -> Result:
        """Take the steps of an exchange; ``read``: the key that is read, if it only reads."""
        if read is not None and nodes.watch is None and self._observer is not None:
            self._observer.unheard(read)  # announced over no connection
        return await nodes.drive(
            steps, self.search, sent, agree=self.agree, probe=self.probe, until=until
        )

    def _nodes(self) -> Nodes:
        """The connections of the running event loop."""
        nodes, keeper = self._latest, self._keeper
        if (
            nodes is not None
            and nodes.loop is asyncio.get_running_loop()
            and keeper is not None
            and not keeper.done()
            and (nodes.watch is not None or self._observer is None or not self._wants_watch())
        ):
            return nodes
        return self._enter(asyncio.get_running_loop())

    def _enter(self, loop: asyncio.AbstractEventLoop) -> Nodes:
        with self._entering:
            return self._enter_locked(loop)

    def _enter_locked(self, loop: asyncio.AbstractEventLoop) -> Nodes:
        self._keepers = [
            (nodes, keeper)
            for nodes, keeper in self._keepers
            if not (nodes.loop.is_closed() or keeper.done())
        ]
        nodes = self._by_loop.get(loop)
        keeper = next((task for each, task in self._keepers if each is nodes), None)
        if nodes is None or keeper is None or (nodes.watch is None and self._wants_watch()):
            # Calls in flight keep the old connections; the watch listens on new ones. A watch that
            # was cancelled does not begin again, as another event loop may have one by now.
            write_timeout = self.location.patience.write_timeout(self.durability)
            nodes = Nodes(self.location, self._new_watch(), write_timeout=write_timeout)
            keeper = None
            self._by_loop[loop] = nodes
        if self._closed:
            nodes.close()
        elif keeper is None:
            keeper = loop.create_task(nodes.keep(), name="clusterpass-connections")
            self._keepers = [*self._keepers, (nodes, keeper)]
        self._latest, self._keeper = nodes, keeper
        return nodes

    def _wants_watch(self) -> bool:
        """Whether there is an observer, and no event loop runs a watch for it."""
        return self._observer is not None and not any(
            nodes.watch is not None and not keeper.done() for nodes, keeper in self._keepers
        )

    def _new_watch(self) -> Watch | None:
        if self._observer is None or not self._wants_watch():
            return None
        return Watch(self, self._observer, self._bound)


_inherited: Final[list[Any]] = []
"""Event loops' connections of a parent process, kept from destruction."""
