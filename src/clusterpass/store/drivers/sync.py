"""The synchronous store: a call blocks its thread, and threads may share one store.

- Connections are redis-py's. Routing and retries are those of ``exchanges.carry_out``.
- After a fork each process opens connections of its own.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from redis.connection import Connection, SSLConnection
from redis.exceptions import ResponseError
from redis.retry import Retry

from clusterpass.model.errors import ClusterPassError
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.observer import Observer
from clusterpass.store.drivers.watch_thread import (
    WatchThread,
    has_green_threads,
    refuse_green_threads,
)
from clusterpass.store.exchanges.look_up import ask_one
from clusterpass.store.exchanges.steps import Agree, Drop, Exchange, LookUp, Pause, Send
from clusterpass.store.location import Address, StoreLocation
from clusterpass.store.outcomes import Command, Fault, Replies
from clusterpass.store.wire.redis_py import (
    CONNECTION_ERRORS,
    connection_options,
    fault_of,
    server_error,
)

Result = TypeVar("Result")
_inherited: Final[list[Any]] = []
"""Watches of a parent process, kept from destruction."""


class SyncStore(StoreBase):
    """A blocking store: runs flows against a Redis-protocol cluster or server."""

    def __init__(self, location: StoreLocation, on_close: Callable[[], None] | None = None) -> None:
        """``on_close``: a function that is called once, when the store is closed; it may block."""
        super().__init__(location, on_close)
        self._pools: dict[Address, _Pool]
        self._lock: threading.Lock
        self._look_up_lock: threading.Lock
        self._watch: WatchThread | None
        self._asking: dict[Address, threading.Lock]
        self._may_watch = True
        self._forget_threads()

    def observe(self, observer: Observer, bound: float) -> None:
        """Report changes to ``observer`` from the first call on, from a thread of the store.

        ``bound``: the staleness bound, in seconds. Where gevent or eventlet has replaced threads
        there is no such thread: an observer that wants changes to be pushed is refused with
        ConfigurationError; for one that does not, nodes are asked when they are in doubt.
        """
        if observer.prefixes:
            refuse_green_threads()
        super().observe(observer, bound)
        self._may_watch = not has_green_threads()

    def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: return its result, raise its error.

        An error in a call is thrown into the flow: StoreUnavailable when no answer comes before
        the deadline, StoreDenied or StoreFailed when a retry would not help.
        """
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
        """Return when a primary answers; raise StoreUnavailable when none answers in time."""
        self._drive(self._reach())

    def scan_names(self, pattern: str) -> Iterator[bytes]:
        """The keys that match the glob ``pattern``, from every primary.

        The scan visits all keys of the store: for administration only. Raises StoreUnavailable.
        """
        self.ping()
        for address in self.slots.primaries():
            cursor = b"0"
            while True:
                command = (b"SCAN", cursor, b"MATCH", pattern.encode(), b"COUNT", 1000)
                cursor, names = self._drive(ask_one(address, command))
                yield from names
                if cursor == b"0":
                    break

    def close(self) -> None:
        """Close every connection, then call ``on_close``. Closing again does nothing."""
        self._closed = True
        with self._lock:
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()
        for pool in self._pools.values():
            pool.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def begin_anew(self) -> None:
        """Drop the connections and the watch of the parent, in the child of a fork."""
        super().begin_anew()
        # Kept for ever: destroying it here would disturb the parent, which shares its selector.
        _inherited.append(self._watch)
        self._forget_threads()

    def _forget_threads(self) -> None:
        self._pools = {}
        self._lock = threading.Lock()
        self._look_up_lock = threading.Lock()
        self._asking = {}
        self._watch = None

    def _perform(self, call: ScriptCall[Any]) -> Answer[Any]:
        if self._watch is None and self._observer is not None and self._may_watch:
            self._start_watch(self._observer)
        if not call.script.writes:
            return self._drive(self._carry_out(call))
        try:
            return self._drive(self._carry_out(call))
        finally:
            self._note_change(call)

    def _start_watch(self, observer: Observer) -> None:
        with self._lock:
            if self._watch is None and self._may_watch and not self._closed:
                try:
                    self._watch = WatchThread(self, observer, self._bound)
                except RuntimeError:  # no thread can start, as when the interpreter shuts down
                    observer.refusal = "no thread can be started"

    def _drive(self, steps: Exchange[Result]) -> Result:
        outcome: Replies | Fault | bool | None = None
        try:
            while True:
                match steps.send(outcome):
                    case Send() as send:
                        outcome = self._send(send)
                    case LookUp() as wanted:
                        self._look_up(wanted)
                        outcome = None
                    case Agree() as doubt:
                        outcome = self._agree(doubt)
                    case Drop(address):
                        self._drop(address)
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
        if send.wait is None:
            return pool.send(send.commands, send.until, urgent=send.urgent)
        # WAIT comes last, on the same connection and in the same packet.
        outcome = pool.send((*send.commands, send.wait), send.until)
        if isinstance(outcome, Fault):
            return outcome
        return Replies(outcome.values[:-1], outcome.values[-1])

    def _pool(self, address: Address) -> "_Pool":
        kind = Connection if self.location.tls_files is None else SSLConnection

        def connect() -> Connection:
            target = self.location.reached_at.get(address, address)
            return kind(**connection_options(self.location, target, Retry))

        patience = self.location.patience
        return self._pools.setdefault(
            address, _Pool(connect, patience.max_connections, patience.timeout)
        )

    def _agree(self, wanted: Agree) -> bool:
        # One question about a node at a time: a caller that has waited finds it answered.
        lock = self._asking.setdefault(wanted.node, threading.Lock())
        if not lock.acquire(timeout=max(0.0, wanted.until - time.monotonic())):
            return False
        try:
            return self._drive(self.agree(wanted))
        finally:
            lock.release()

    def _drop(self, address: Address) -> None:
        pool = self._pools.pop(address, None)
        if pool is not None:
            pool.close()

    def _look_up(self, wanted: LookUp) -> None:
        if not self.location.is_cluster and not wanted.counts_replicas:
            return
        # One look-up at a time: a caller that has waited finds the slots looked up.
        if not self._look_up_lock.acquire(timeout=max(0.0, wanted.until - time.monotonic())):
            return
        try:
            self._drive(self.search(wanted))
        finally:
            self._look_up_lock.release()


class _Pool:
    """The connections to one node. The connection used last is used first."""

    def __init__(self, connect: Callable[[], Connection], most: int, patience: float) -> None:
        self._connect = connect
        self._idle: deque[Connection] = deque()
        self._free = threading.BoundedSemaphore(most)
        self._patience = patience
        self._closed = False

    def send(
        self, commands: tuple[Command, ...], until: float | None = None, *, urgent: bool = False
    ) -> Replies | Fault:
        """Send ``commands`` on one connection; a Fault "busy" when none is free by ``until``.

        ``until``: seconds of the monotonic clock; None: after the time limit of one attempt.
        ``urgent``: use a connection more than there may be, rather than wait for one.
        """
        if urgent:
            return self._exchange(commands)
        patience = self._patience if until is None else max(0.0, until - time.monotonic())
        if not self._free.acquire(timeout=patience):
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
                self.clear()  # the other idle connections are as old
            return fault
        finally:
            # A connection with an unread reply is never used again.
            if done:
                self._idle.append(connection)
            else:
                connection.disconnect()
            if self._closed:
                self.clear()
        return Replies(values)

    def close(self) -> None:
        """Close the idle connections. A connection in use is closed at the end of its call."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        """Close the idle connections."""
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
