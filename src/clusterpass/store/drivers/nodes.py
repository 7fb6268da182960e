"""The connections of one event loop, by node, and the loop that takes the steps of an exchange.

Each node has one connection for all reads and for what the node pushes, and a few for the writes
that a replica has to confirm.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, TypeVar

from clusterpass.model.errors import ClusterPassError, StoreDenied, StoreUnavailable
from clusterpass.store.address import Address, SentinelAddress
from clusterpass.store.exchanges.steps import Agree, Drop, Exchange, LookUp, Probe, Send
from clusterpass.store.exchanges.unavailable import locate, placed, refused_by_sentinel
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, FaultKind, Replies
from clusterpass.store.wire.background import BackgroundTasks
from clusterpass.store.wire.group_commit import GroupCommit
from clusterpass.store.wire.idle_connections import concerns_all_nodes
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.link_listener import LinkListener
from clusterpass.store.wire.multiplexed import MultiplexedConnection
from clusterpass.store.wire.resp import pack
from clusterpass.store.wire.tls import tls_context

Result = TypeVar("Result")
_COMMIT_LINKS: Final = 2
"""Two, so that one batch is collected and sent while another waits for its confirmation."""
Search = Callable[[LookUp], Exchange[None]]
"""Makes the exchange that carries out a look-up of the slots."""
Agreement = Callable[[Agree], Exchange[bool]]
Probing = Callable[[Probe], Exchange[None]]


class ListenerTask(LinkListener, Protocol):
    """A link listener with work of its own, which :meth:`Nodes.keep` runs: the watch."""

    async def run(self, nodes: "Nodes") -> None:
        """Run over the connections of ``nodes`` until cancelled."""


class Nodes:
    """The connections of the event loop in which this object is made; for that loop alone."""

    def __init__(
        self,
        location: StoreLocation,
        watch: ListenerTask | None = None,
        *,
        write_timeout: float | None = None,
    ) -> None:
        """``watch``: gets what the nodes push; None: the nodes are not asked to push.
        ``write_timeout``: seconds for the reply to a write and its confirmation; None: the timeout
        of the store URL."""
        self.loop: Final = asyncio.get_running_loop()
        self._location = location
        self.watch: Final = watch
        self._write_timeout = write_timeout
        self._links: dict[Address, Link] = {}
        self._commits: dict[Address, GroupCommit] = {}
        self._lock = asyncio.Lock()
        self._asking: dict[Address, asyncio.Lock] = {}
        """Held while others are asked about a node that is in doubt."""
        self.background: Final = BackgroundTasks()
        """What opens links, looks slots up and probes nodes, of the watch too."""
        self._closed = False

    def link(self, address: Address) -> Link:
        """The link to ``address`` that reads and pushes share, opened with the first request."""
        link = self._links.get(address)
        if link is None:
            # A Sentinel has no sessions of which it could push changes.
            watch = None if isinstance(address, SentinelAddress) else self.watch
            link = self._links[address] = self._new_link(address, watch)
        return link

    def drop(self, address: Address) -> None:
        """Close the connections to ``address``, which has left the store. Callers get a Fault."""
        why: FaultKind = "closed" if self._closed else "connection"
        if (link := self._links.pop(address, None)) is not None:
            link.close(why)
        if (commit := self._commits.pop(address, None)) is not None:
            commit.close(why)

    async def keep(self) -> None:
        """Run the watch, if any, until cancelled; then close the connections.

        An event loop cancels its tasks when it ends, and so leaves no connection behind.
        """
        try:
            if self.watch is not None:
                await self.watch.run(self)
            else:
                await self.loop.create_future()
        finally:
            self._drop_all()

    def close(self) -> None:
        """Close all connections for good: every later request gets a Fault of the kind "closed"."""
        self._closed = True
        self._drop_all()

    def _drop_all(self) -> None:
        for address in [*self._links.keys() | self._commits.keys()]:
            self.drop(address)
        self.background.cancel()

    async def send(self, send: Send, until: float | None = None) -> Replies | Fault:
        """Take the step ``send``: the replies or a Fault. Raises StoreDenied, StoreFailed.

        ``until``: when to give up a write that waits for its confirmation, in seconds of the
        monotonic clock; None: when the connection gives up.
        """
        if self._closed:
            return Fault("closed")
        packed = pack(send.commands)
        if send.wait is None:
            link = self._links.get(send.address) or self.link(send.address)
            if send.fresh:
                self._renew(link)
            try:
                with placed(self._location, send.address):
                    return await link.ask(packed, len(send.commands), urgent=send.urgent)
            except StoreDenied as error:
                return refused_by_sentinel(error, send.address)
        seconds = None if until is None else until - time.monotonic()
        with placed(self._location, send.address):
            commit = self.commit(send.address)
            return await commit.ask(packed, len(send.commands), send.wait, seconds)

    def commit(self, address: Address) -> GroupCommit:
        """The group commit of the writes to ``address`` that a replica has to confirm."""
        commit = self._commits.get(address)
        if commit is None:
            links = [
                self._new_link(address, None, self._write_timeout) for _ in range(_COMMIT_LINKS)
            ]
            commit = self._commits[address] = GroupCommit(
                *links,
                most_waiting=self._location.patience.max_pending,
                background=self.background,
            )
            if self._closed:
                commit.close("closed")
        return commit

    def connection(self, address: Address) -> MultiplexedConnection | None:
        """The connection to ``address`` that reads and pushes share; None unless it is open."""
        link = self._links.get(address)
        if link is None or self._closed:
            return None
        if self.watch is None:
            return link.open_connection
        connection = link.connection  # which never idles for long, as the watch uses it, too
        return connection if connection is not None and connection.is_open else None

    async def drive(
        self,
        steps: Exchange[Result],
        search: Search,
        sent: tuple[Address, Replies | Fault] | None = None,
        *,
        agree: Agreement | None = None,
        probe: Probing | None = None,
        until: float | None = None,
    ) -> Result:
        """Take the steps of an exchange to its end: return its result, raise its error.

        ``search`` makes the exchange of a look-up, ``agree`` that of a question about a node that
        is in doubt, ``probe`` that of a probe; ``sent``: the node to which the first :class:`Send`
        went already, and the outcome; ``until``: as for :meth:`send`. An exchange that is left
        before its end, as by a cancellation, is closed.
        """
        outcome: Replies | Fault | bool | None = None
        try:
            while True:
                instruction = steps.send(outcome)
                if isinstance(instruction, Send):
                    if sent is not None and sent[0] == instruction.address:
                        outcome = sent[1]
                    else:
                        outcome = await self.send(instruction, until)
                    sent = None
                elif isinstance(instruction, LookUp):
                    await self.look_up(instruction, search)
                    outcome = None
                elif isinstance(instruction, Agree):
                    assert agree is not None
                    outcome = await self._agree(instruction, search, agree)
                elif isinstance(instruction, Probe):
                    assert probe is not None
                    await self._probe(instruction, search, probe)
                    outcome = None
                elif isinstance(instruction, Drop):
                    self.drop(instruction.node)
                    outcome = None
                else:
                    await asyncio.sleep(instruction.seconds)
                    outcome = None
        except StopIteration as stop:
            result: Result = stop.value
            return result
        except StoreUnavailable as error:
            locate(error, self._location)
            raise
        finally:
            steps.close()

    async def look_up(self, wanted: LookUp, search: Search) -> None:
        """Look up the slots, or give up at ``wanted.until``. Raises StoreDenied, StoreFailed."""
        if not self._location.looks_up and not wanted.counts_replicas:
            return
        # One look-up at a time: a caller that has waited finds the slots looked up.
        try:
            async with asyncio.timeout(max(0.0, wanted.until - time.monotonic())):
                await self._lock.acquire()
        except TimeoutError:
            return
        try:
            await self.drive(search(wanted), search)
        finally:
            self._lock.release()

    async def _agree(self, wanted: Agree, search: Search, agree: Agreement) -> bool:
        # One question about a node at a time: a caller that has waited finds it answered.
        lock = self._asking.setdefault(wanted.node, asyncio.Lock())
        try:
            async with asyncio.timeout(max(0.0, wanted.until - time.monotonic())):
                await lock.acquire()
        except TimeoutError:
            return False
        try:
            return await self.drive(agree(wanted), search)
        finally:
            lock.release()

    async def _probe(self, wanted: Probe, search: Search, probe: Probing) -> None:
        task = self.background.begin(self._probe_quietly(wanted, search, probe))
        await asyncio.wait((task,), timeout=wanted.seconds)

    async def _probe_quietly(self, wanted: Probe, search: Search, probe: Probing) -> None:
        with suppress(ClusterPassError):
            await self.drive(probe(wanted), search)

    def _new_link(
        self, address: Address, listener: LinkListener | None, limit: float | None = None
    ) -> Link:
        location = self._location
        # A Sentinel takes another user, but the context of all.
        context = None if location.tls_files is None else partial(tls_context, location)
        return Link(
            location.reaching(address),
            address,
            context,
            listener,
            limit=limit,
            silent=self._note_silence,
            background=self.background,
        )

    def _note_silence(self, address: Address, idle_since: float, sent_at: float) -> None:
        """Close what has idled as long as a connection to ``address`` over which no reply came."""
        spreads = concerns_all_nodes(idle_since, sent_at)
        for each in [*self._links.keys() | self._commits.keys()] if spreads else [address]:
            self._retire(each, idle_since)

    def _renew(self, link: Link) -> None:
        link.renew()
        if (commit := self._commits.get(link.address)) is not None:
            commit.retire(self.loop.time() - self._location.patience.timeout)

    def _retire(self, address: Address, since: float) -> None:
        if (link := self._links.get(address)) is not None:
            link.retire(since)
        if (commit := self._commits.get(address)) is not None:
            commit.retire(since)
