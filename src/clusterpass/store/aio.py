"""The asynchronous store: one event loop, any number of tasks.

Connections are redis-py's; routing and retries are those of :mod:`clusterpass.store.exchange`.
A task that is cancelled in mid-call drops its connection, so no reply reaches anyone else.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.exceptions import ResponseError

from clusterpass.errors import ClusterPassError
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.store.base import StoreBase
from clusterpass.store.connections import (
    CONNECTION_ERRORS,
    connection_options,
    fault_of,
    server_error,
)
from clusterpass.store.embedded import EmbeddedCluster
from clusterpass.store.exchange import (
    Command,
    Exchange,
    Fault,
    LookUp,
    Pause,
    Replies,
    Send,
)
from clusterpass.store.url import Address, StoreLocation

Result = TypeVar("Result")


class AsyncStore(StoreBase):
    """Runs flows against a Redis-protocol cluster or server."""

    def __init__(self, location: StoreLocation, embedded: EmbeddedCluster | None = None) -> None:
        """``embedded`` is stopped when the store is closed."""
        super().__init__(location, embedded)
        self._pools: dict[Address, _Pool] = {}
        self._lock = asyncio.Lock()

    async def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: returns its result, raises its error."""
        try:
            call = next(flow)
            while True:
                try:
                    answer = await self._perform(call)
                except ClusterPassError as error:
                    call = flow.throw(error)
                else:
                    call = flow.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    async def ping(self) -> None:
        """Return when a primary answers; StoreUnavailable otherwise."""
        await self._drive(self._reach())

    async def close(self) -> None:
        """Close every connection; an embedded cluster is stopped. May be called again."""
        self._closed = True
        for pool in self._pools.values():
            await pool.close()
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)

    async def _perform(self, call: ScriptCall[Any]) -> Answer[Any]:
        return await self._drive(self._carry_out(call))

    async def _drive(self, steps: Exchange[Result]) -> Result:
        outcome: Replies | Fault | None = None
        try:
            while True:
                match steps.send(outcome):
                    case Send() as send:
                        outcome = await self._send(send)
                    case LookUp() as wanted:
                        await self._look_up(wanted)
                        outcome = None
                    case Pause(seconds):
                        await asyncio.sleep(seconds)
                        outcome = None
        except StopIteration as stop:
            result: Result = stop.value
            return result

    async def _send(self, send: Send) -> Replies | Fault:
        if self._closed:
            return Fault("closed")
        pool = self._pools.get(send.address) or self._pool(send.address)
        return await pool.send(send.commands)

    def _pool(self, address: Address) -> "_Pool":
        kind = Connection if self.location.tls_files is None else SSLConnection

        def connect() -> Connection:
            options = connection_options(self.location, address, Retry)
            return kind(**options | {"socket_timeout": None})

        patience = self.location.patience
        return self._pools.setdefault(
            address, _Pool(connect, patience.max_connections, patience.timeout)
        )

    async def _look_up(self, wanted: LookUp) -> None:
        if not self.location.is_cluster:
            return
        # One look-up at a time; whoever waited finds it done.
        try:
            async with asyncio.timeout(max(0.0, wanted.until - time.monotonic())):
                await self._lock.acquire()
        except TimeoutError:
            return
        try:
            await self._drive(self._search(wanted))
        finally:
            self._lock.release()


class _Pool:
    """The connections to one node; the one used last is used first."""

    def __init__(self, connect: Callable[[], Connection], most: int, patience: float) -> None:
        self._connect = connect
        self._idle: deque[Connection] = deque()
        self._free = asyncio.BoundedSemaphore(most)
        self._patience = patience
        self._closed = False

    async def send(self, commands: tuple[Command, ...]) -> Replies | Fault:
        if not self._free.locked():
            await self._free.acquire()  # at once
        else:
            try:
                async with asyncio.timeout(self._patience):
                    await self._free.acquire()
            except TimeoutError:
                return Fault("busy")
        try:
            return await self._exchange(commands)
        finally:
            self._free.release()

    async def _exchange(self, commands: tuple[Command, ...]) -> Replies | Fault:
        try:
            connection, reused = self._idle.pop(), True
        except IndexError:
            connection, reused = self._connect(), False
        done = False
        try:
            # One timeout for all of it; redis-py would set one for each step, each with a task.
            async with asyncio.timeout(self._patience):
                if not reused:
                    await connection.connect()
                packed = connection.pack_commands(commands)
                await connection.send_packed_command(packed, check_health=False)
                values = [await _read(connection) for _ in commands]
            done = True
        except (*CONNECTION_ERRORS, ResponseError) as error:
            fault = fault_of(error, reused=reused)
            if fault.stale:
                await self.clear()  # its neighbours are as old
            return fault
        finally:
            # Whatever happened in between, cancellation too: a connection with an unread reply is
            # never used again.
            if done:
                self._idle.append(connection)
            else:
                await connection.disconnect(nowait=True)
            if self._closed:
                await self.clear()
        return Replies(values)

    async def close(self) -> None:
        """Keep no connection; those in use are closed by their users."""
        self._closed = True
        await self.clear()

    async def clear(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)


async def _read(connection: Connection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return server_error(error)
