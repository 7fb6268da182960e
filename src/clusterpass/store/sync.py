"""The synchronous store: blocks a thread for each call. Safe to share between threads.

Connections are redis-py's; routing and retries are those of :mod:`clusterpass.store.exchange`.
After a fork each process opens its own connections.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from redis.connection import Connection, SSLConnection
from redis.exceptions import ResponseError
from redis.retry import Retry

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
    ask_one,
)
from clusterpass.store.url import Address, StoreLocation

Result = TypeVar("Result")


class SyncStore(StoreBase):
    """Runs flows against a Redis-protocol cluster or server."""

    def __init__(self, location: StoreLocation, embedded: EmbeddedCluster | None = None) -> None:
        """``embedded`` is stopped when the store is closed."""
        super().__init__(location, embedded)
        self._pools: dict[Address, _Pool] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: returns its result, raises its error."""
        try:
            call = next(flow)
            while True:
                try:
                    answer = self._perform(call)
                except ClusterPassError as error:
                    call = flow.throw(error)
                else:
                    call = flow.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def ping(self) -> None:
        """Return when a primary answers; StoreUnavailable otherwise."""
        self._after_fork()
        self._drive(self._reach())

    def scan_names(self, pattern: str) -> Iterator[bytes]:
        """The keys that fit a glob, from every primary. For administration: it visits all keys."""
        self.ping()
        for address in self._slots.primaries():
            cursor = b"0"
            while True:
                command = (b"SCAN", cursor, b"MATCH", pattern.encode(), b"COUNT", 1000)
                cursor, names = self._drive(ask_one(address, command))
                yield from names
                if cursor == b"0":
                    break

    def close(self) -> None:
        """Close every connection; an embedded cluster is stopped. May be called again."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()
        if self._embedded is not None:
            self._embedded.stop()

    def _after_fork(self) -> None:
        """A forked child shares no connection, nor waits for a lock of its parent's threads."""
        if self._process != os.getpid():
            self._pools, self._lock, self._process = {}, threading.Lock(), os.getpid()

    def _perform(self, call: ScriptCall[Any]) -> Answer[Any]:
        self._after_fork()
        return self._drive(self._carry_out(call))

    def _drive(self, steps: Exchange[Result]) -> Result:
        outcome: Replies | Fault | None = None
        try:
            while True:
                match steps.send(outcome):
                    case Send() as send:
                        outcome = self._send(send)
                    case LookUp() as wanted:
                        self._look_up(wanted)
                        outcome = None
                    case Pause(seconds):
                        time.sleep(seconds)
                        outcome = None
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def _send(self, send: Send) -> Replies | Fault:
        if self._closed:
            return Fault("closed")
        pool = self._pools.get(send.address) or self._pool(send.address)
        return pool.send(send.commands)

    def _pool(self, address: Address) -> "_Pool":
        kind = Connection if self.location.tls_files is None else SSLConnection

        def connect() -> Connection:
            return kind(**connection_options(self.location, address, Retry))

        patience = self.location.patience
        return self._pools.setdefault(
            address, _Pool(connect, patience.max_connections, patience.timeout)
        )

    def _look_up(self, wanted: LookUp) -> None:
        if not self.location.is_cluster:
            return
        # One look-up at a time; whoever waited finds it done.
        if not self._lock.acquire(timeout=max(0.0, wanted.until - time.monotonic())):
            return
        try:
            self._drive(self._search(wanted))
        finally:
            self._lock.release()


class _Pool:
    """The connections to one node; the one used last is used first."""

    def __init__(self, connect: Callable[[], Connection], most: int, patience: float) -> None:
        self._connect = connect
        self._idle: deque[Connection] = deque()
        self._free = threading.BoundedSemaphore(most)
        self._patience = patience
        self._closed = False

    def send(self, commands: tuple[Command, ...]) -> Replies | Fault:
        if not self._free.acquire(timeout=self._patience):
            return Fault("busy")
        try:
            return self._exchange(commands)
        finally:
            self._free.release()

    def _exchange(self, commands: tuple[Command, ...]) -> Replies | Fault:
        try:
            connection, reused = self._idle.pop(), True
        except IndexError:
            connection, reused = self._connect(), False
        done = False
        try:
            if not reused:
                connection.connect()
            # Packed together, a write and its WAIT leave in one packet.
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            values = [_read(connection) for _ in commands]
            done = True
        except (*CONNECTION_ERRORS, ResponseError) as error:
            fault = fault_of(error, reused=reused)
            if fault.stale:
                self.clear()  # its neighbours are as old
            return fault
        finally:
            # Whatever happened in between: a connection with an unread reply is never used again.
            if done:
                self._idle.append(connection)
            else:
                connection.disconnect()
            if self._closed:
                self.clear()
        return Replies(values)

    def close(self) -> None:
        """Keep no connection; those in use are closed by their users."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        while self._idle:
            try:
                self._idle.pop().disconnect()
            except IndexError:
                return


def _read(connection: Connection) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return server_error(error)
