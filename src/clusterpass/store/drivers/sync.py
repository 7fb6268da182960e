"""The synchronous store: a call blocks its thread, and threads may share one store.

- Connections are redis-py's. Routing and retries are those of ``exchanges.carry_out``.
- After a fork each process opens connections of its own.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from clusterpass.model.errors import (
    ClusterPassError,
    ConfigurationError,
    StoreDenied,
    StoreUnavailable,
)
from clusterpass.protocol.script import Answer, Flow, Rest, ScriptCall, Work
from clusterpass.store.address import Address
from clusterpass.store.credentials import is_asynchronous
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.restarts import Restarts
from clusterpass.store.drivers.watch_thread import (
    WatchThread,
    has_green_threads,
    refuse_green_threads,
)
from clusterpass.store.exchanges.node_queries import ask_one
from clusterpass.store.exchanges.steps import Agree, Drop, Exchange, LookUp, Pause, Probe, Send
from clusterpass.store.exchanges.unavailable import locate, placed, refused_by_sentinel
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import ROLE, Fault, Replies, confirmed_replies, within
from clusterpass.store.wire.idle_connections import concerns_all_nodes

if TYPE_CHECKING:
    from clusterpass.store.drivers.pool import Pool

Result = TypeVar("Result")
_inherited: Final[list[Any]] = []
"""Watches of a parent process, kept from destruction."""


class SyncStore(StoreBase):
    """A blocking store: runs flows against a Redis-protocol cluster or server."""

    def __init__(self, location: StoreLocation, on_close: Callable[[], None] | None = None) -> None:
        """``on_close``: a function that is called once, when the store is closed; it may block."""
        # With the first store, not with this module: redis-py loads all its clients.
        from clusterpass.store.drivers.pool import make_pool  # noqa: PLC0415

        super().__init__(location, on_close)
        if location.credential_source is not None and is_asynchronous(location.credential_source):
            raise ConfigurationError(
                "credentials is an asynchronous function, which only an asynchronous manager awaits"
            )
        self._make_pool: Final = make_pool
        self._pools: dict[Address, Pool]
        self._lock: threading.Lock
        self._look_up_lock: threading.Lock
        self._watch: WatchThread | None
        self._asking: dict[Address, threading.Lock]
        self._may_watch = True
        self._must_watch = False
        self._no_watch_before: float
        self._starts: Restarts | None = None
        self._forget_threads()

    def observe(self, observer: Observer, bound: float) -> None:
        """Report changes to ``observer`` from the first call on, from a thread of the store.

        ``bound``: the staleness bound, in seconds. Where gevent or eventlet has replaced threads
        there is no such thread: an observer that wants changes to be pushed is refused with
        ConfigurationError; for one that does not, nodes are asked when they are in doubt.
        """
        self._must_watch = bool(observer.prefixes)
        if self._must_watch:
            refuse_green_threads()
        super().observe(observer, bound)
        self._may_watch = not has_green_threads()

    def run(self, flow: Flow[Result]) -> Result:
        """Run ``flow`` to its end: return its result, raise its error.

        An error in a call is thrown into the flow: StoreUnavailable when no answer comes before
        the deadline, StoreDenied or StoreFailed when a retry would not help.
        """
        perform = self._perform if self.around is None else self.around(self._perform)
        try:
            call = next(flow)
            while True:
                if isinstance(call, Rest):
                    time.sleep(call.seconds)
                    call = flow.send(None)
                    continue
                if isinstance(call, Work):
                    call = flow.send(call.compute())
                    continue
                began = time.monotonic()
                try:
                    answer = perform(call)
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
            flow.close()  # an interrupted call leaves the flow before its end

    def ping(self) -> None:
        """Return when a primary answers; raise StoreUnavailable when none answers in time."""
        try:
            self._drive(self._reach())
        except ClusterPassError as error:
            self._tell(error)
            raise

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
        self._no_watch_before = 0.0

    def _perform(self, call: ScriptCall[Any]) -> Answer[Any]:
        if self._observer is not None:
            if self._watch is None and self._may_watch:
                self._start_watch(self._observer)
            self._observer.note_use()
        if not call.script.writes:
            return self._drive(self._carry_out(call), read=call)
        try:
            return self._drive(self._carry_out(call), self._until(call, time.monotonic()))
        finally:
            self._note_change(call)

    def _start_watch(self, observer: Observer) -> None:
        if time.monotonic() < self._no_watch_before:
            return
        if has_green_threads():  # by now: a worker was forked from a process with real threads
            if self._must_watch:
                refuse_green_threads()
            self._may_watch = False
            return
        with self._lock:
            if self._watch is None and self._may_watch and not self._closed:
                try:
                    self._watch = WatchThread(self, observer, self._bound)
                except RuntimeError as error:  # no thread can start, as at the interpreter's end
                    self._starts = self._starts or Restarts(observer)
                    self._no_watch_before = time.monotonic() + self._starts.failed(error)

    def _drive(
        self,
        steps: Exchange[Result],
        until: float | None = None,
        *,
        read: ScriptCall[Any] | None = None,
    ) -> Result:
        """Take the steps of an exchange to its end: return its result, raise its error.

        ``until``: when to give up a write that waits for its confirmation, in seconds of the
        monotonic clock; None: after the timeout. ``read``: the call that is carried out, if it only
        reads. An exchange that is left before its end is closed.
        """
        outcome: Replies | Fault | bool | None = None
        try:
            while True:
                match steps.send(outcome):
                    case Send() as send:
                        outcome = self._carried(send, until, read)
                    case LookUp() as wanted:
                        self._look_up(wanted)
                        outcome = None
                    case Agree() as doubt:
                        outcome = self._agree(doubt)
                    case Probe() as wanted:
                        self._probe(wanted)
                        outcome = None
                    case Drop(address):
                        self._drop(address)
                        outcome = None
                    case Pause(seconds):
                        time.sleep(seconds)
                        outcome = None
        except StopIteration as stop:
            result: Result = stop.value
            return result
        except StoreUnavailable as error:
            locate(error, self.location)
            raise
        finally:
            steps.close()

    def _carried(
        self, send: Send, until: float | None, read: ScriptCall[Any] | None
    ) -> Replies | Fault:
        try:
            with placed(self.location, send.address):
                return self._send(send, until) if read is None else self._read(send, read)
        except StoreDenied as error:
            return refused_by_sentinel(error, send.address)

    def _read(self, send: Send, call: ScriptCall[Any]) -> Replies | Fault:
        """Send what ``call`` reads, over the connection on which the node pushes where it must.

        The observer is told where no node pushes when what was read changes.
        """
        observer, watch = self._observer, self._watch
        if observer is None:
            return self._send(send)
        pushes_all = send.address in self.pushing_all  # before the read
        if call.follows and send.wait is None and not pushes_all and watch is not None:
            began = time.monotonic()
            found = watch.read(send)
            if found is not None:
                return self._noted(found, send.address, began)
        found = self._send(send)
        if not pushes_all:
            observer.unheard(call.keys[0])
        return found

    def _send(self, send: Send, until: float | None = None) -> Replies | Fault:
        if self._closed:
            return Fault("closed")
        pool, began = self._pools.get(send.address) or self._pool(send.address), time.monotonic()
        wait, limit = send.wait, None
        if wait is None:
            outcome = pool.send(
                send.commands, until=send.until, urgent=send.urgent, fresh=send.fresh
            )
            return self._noted(outcome, send.address, began)
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                return Fault("busy")
            limit = min(left, self.location.patience.write_timeout(self.durability))
            wait = within(wait, limit)
        # WAIT follows on the same connection and in the same packet.
        outcome = pool.send((*send.commands, wait, ROLE), limit, until=until or send.until)
        if isinstance(outcome, Fault):
            return self._noted(outcome, send.address, began)
        return confirmed_replies(outcome.values)

    def _noted(self, outcome: Replies | Fault, address: Address, began: float) -> Replies | Fault:
        """``outcome``; where it tells of a connection that died while idle, those of the pools that
        have idled as long are closed. ``began``: when the request was made."""
        if isinstance(outcome, Fault) and (since := outcome.idle_since) is not None:
            spreads = concerns_all_nodes(since, began)
            for each, pool in list(self._pools.items()):
                if spreads or each == address:
                    pool.retire(since)
        return outcome

    def _pool(self, address: Address) -> "Pool":
        return self._pools.setdefault(address, self._make_pool(self.location, address))

    def _agree(self, wanted: Agree) -> bool:
        # One question about a node at a time: a caller that has waited finds it answered.
        lock = self._asking.setdefault(wanted.node, threading.Lock())
        if not lock.acquire(timeout=max(0.0, wanted.until - time.monotonic())):
            return False
        try:
            return self._drive(self.agree(wanted))
        finally:
            lock.release()

    def _probe(self, wanted: Probe) -> None:
        """Probe a node on a thread of its own: the caller waits for a moment only."""
        is_over = threading.Event()

        def work() -> None:
            try:
                with suppress(ClusterPassError):
                    self._drive(self.probe(wanted))
            finally:
                is_over.set()

        with suppress(RuntimeError):  # no thread can start, as at the interpreter's end
            threading.Thread(target=work, name="clusterpass-probe", daemon=True).start()
            is_over.wait(wanted.seconds)

    def _drop(self, address: Address) -> None:
        pool = self._pools.pop(address, None)
        if pool is not None:
            pool.close()

    def _look_up(self, wanted: LookUp) -> None:
        if not self.location.looks_up and not wanted.counts_replicas:
            return
        # One look-up at a time: a caller that has waited finds the slots looked up.
        if not self._look_up_lock.acquire(timeout=max(0.0, wanted.until - time.monotonic())):
            return
        try:
            self._drive(self.search(wanted))
        finally:
            self._look_up_lock.release()
