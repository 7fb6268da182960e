"""All connections of one event loop, by node; and what an :class:`Exchange` asks for, done.

To each node there are two: one that all reads share with what the node pushes, and one for writes
that a replica has to confirm.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from clusterpass.store.exchanges.steps import (
    Exchange,
    LookUp,
    Pause,
    Send,
)
from clusterpass.store.location import Address, StoreLocation
from clusterpass.store.outcomes import Fault, FaultKind, Replies
from clusterpass.store.wire.group_commit import GroupCommit
from clusterpass.store.wire.link import Link, LinkListener
from clusterpass.store.wire.multiplexed import MultiplexedConnection
from clusterpass.store.wire.resp import pack
from clusterpass.store.wire.tls import tls_context

Result = TypeVar("Result")
_COMMIT_LINKS: Final = 2
"""So that a batch is made and carried out while another one waits for its confirmation."""
Search = Callable[[LookUp], Exchange[None]]


class Watcher(LinkListener, Protocol):
    """Keeps a cache true, by what nodes push and by what it asks them."""

    async def run(self, nodes: "Nodes") -> None:
        """Watch over ``nodes`` until cancelled."""


class Nodes:
    """Made within a running event loop, and used by it alone."""

    def __init__(self, location: StoreLocation, watch: Watcher | None = None) -> None:
        """``watch``: wants to be told what the nodes push."""
        self.loop: Final = asyncio.get_running_loop()
        self._location = location
        self.watch: Final = watch
        self._context: ssl.SSLContext | None = None
        self._links: dict[Address, Link] = {}
        self._commits: dict[Address, GroupCommit] = {}
        self._lock = asyncio.Lock()
        self._closed = False

    def link(self, address: Address) -> Link:
        """The connection that reads and pushes share. Raises StoreDenied for bad TLS files."""
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = self._new_link(address, self.watch)
        return link

    def drop(self, address: Address) -> None:
        """Forget a node that is none of ours any more; who waits for it gets a Fault."""
        why: FaultKind = "closed" if self._closed else "connection"
        if (link := self._links.pop(address, None)) is not None:
            link.close(why)
        if (commit := self._commits.pop(address, None)) is not None:
            commit.close(why)

    async def keep(self) -> None:
        """Watch, or only wait, until cancelled; then drop the connections.

        An event loop that ends cancels its tasks, and so leaves no connection behind.
        """
        try:
            if self.watch is not None:
                await self.watch.run(self)
            else:
                await self.loop.create_future()
        finally:
            self._drop_all()

    def close(self) -> None:
        """Drop all connections; nothing is sent any more."""
        self._closed = True
        self._drop_all()

    def _drop_all(self) -> None:
        for address in [*self._links.keys() | self._commits.keys()]:
            self.drop(address)

    async def send(self, send: Send) -> Replies | Fault:
        """Carry out one instruction. Raises StoreDenied, StoreFailed."""
        if self._closed:
            return Fault("closed")
        packed = pack(send.commands)
        if send.wait is None:
            link = self._links.get(send.address) or self.link(send.address)
            return await link.ask(packed, len(send.commands))
        return await self.commit(send.address).ask(packed, len(send.commands), send.wait)

    def commit(self, address: Address) -> GroupCommit:
        """What takes the writes that a replica has to confirm. Raises StoreDenied, as above."""
        commit = self._commits.get(address)
        if commit is None:
            links = [self._new_link(address, None) for _ in range(_COMMIT_LINKS)]
            commit = self._commits[address] = GroupCommit(
                *links, most_waiting=self._location.patience.max_pending
            )
            if self._closed:
                commit.close("closed")
        return commit

    def connection(self, address: Address) -> MultiplexedConnection | None:
        """The open connection that reads and pushes share, if there is one."""
        link = self._links.get(address)
        connection = None if link is None or self._closed else link.connection
        return connection if connection is not None and connection.is_open else None

    async def drive(
        self,
        steps: Exchange[Result],
        search: Search,
        sent: tuple[Address, Replies | Fault] | None = None,
    ) -> Result:
        """Do what ``steps`` ask for; ``search`` makes the steps of a look-up of the slots.

        ``sent``: what they ask for first was sent already, to that node, and came to that.
        """
        outcome: Replies | Fault | None = None
        try:
            while True:
                instruction = steps.send(outcome)
                if isinstance(instruction, Send):
                    if sent is not None and sent[0] == instruction.address:
                        outcome = sent[1]
                    else:
                        outcome = await self.send(instruction)
                    sent = None
                elif isinstance(instruction, LookUp):
                    await self.look_up(instruction, search)
                    outcome = None
                else:
                    assert isinstance(instruction, Pause)
                    await asyncio.sleep(instruction.seconds)
                    outcome = None
        except StopIteration as stop:
            result: Result = stop.value
            return result

    async def look_up(self, wanted: LookUp, search: Search) -> None:
        """Look up the slots; one at a time. Raises StoreDenied, StoreFailed."""
        if not self._location.is_cluster and not wanted.counts_replicas:
            return
        # One look-up at a time; whoever waited finds it done.
        try:
            async with asyncio.timeout(max(0.0, wanted.until - time.monotonic())):
                await self._lock.acquire()
        except TimeoutError:
            return
        try:
            await self.drive(search(wanted), search)
        finally:
            self._lock.release()

    def _new_link(self, address: Address, listener: LinkListener | None) -> Link:
        if self._context is None:
            self._context = tls_context(self._location)
        return Link(self._location, address, self._context, listener)
