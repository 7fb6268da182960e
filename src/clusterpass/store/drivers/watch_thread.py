"""The watch of a synchronous store, in an event loop on a thread of its own.

While there is no watch, heartbeats stop and so the cache serves nothing. An event loop that breaks
is replaced by a new one, after a pause.

Reads whose results may then be served from memory are sent here, for the threads of the store: a
node pushes the changes of a key over the connection that has read it, and forgets the key once that
connection is lost.
"""

import asyncio
import concurrent.futures
import sys
import threading
from typing import Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.drivers.restarts import Restarts
from clusterpass.store.drivers.watch import Watch
from clusterpass.store.exchanges.steps import Send
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.wire.multiplexed import Outcome
from clusterpass.store.wire.resp import pack

_CLOSING_SECONDS: Final = 5.0
Waiting = concurrent.futures.Future[Replies | Fault | None]


class WatchThread:
    """A daemon thread that runs a :class:`Watch`."""

    def __init__(self, store: StoreBase, observer: Observer, bound: float) -> None:
        """Start the thread; ``bound``: the staleness bound, in seconds. Raises RuntimeError when no
        thread can start."""
        self._store = store
        self._observer = observer
        self._bound = bound
        self._restarts = Restarts(observer)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._nodes: Nodes | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="clusterpass-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close its connections, waiting for at most five seconds."""
        self._stopped.set()
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._cancel)
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_SECONDS)

    def read(self, send: Send) -> Replies | Fault | None:
        """Send what only reads over the connection on which the node pushes; the reply.

        None: no such connection is open, or its event loop has ended, or this is its thread.
        """
        with self._lock:
            loop, nodes = self._loop, self._nodes
        if loop is None or nodes is None or threading.current_thread() is self._thread:
            return None
        waiting: Waiting = concurrent.futures.Future()
        try:
            loop.call_soon_threadsafe(_ask, nodes, send, waiting)
        except RuntimeError:  # the event loop was closed just now
            return None
        patience = self._store.location.patience
        try:
            return waiting.result(patience.timeout + patience.deadline)
        except TimeoutError:  # the event loop has ended meanwhile: the connection has its own limit
            return None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._restarts.begin()
            try:
                with asyncio.Runner() as runner:
                    self._run(runner)
                continue
            except BaseException as error:  # noqa: BLE001 (the thread goes on, whatever ends a loop)
                pause = self._restarts.failed(error)
            self._stopped.wait(pause)

    def _run(self, runner: asyncio.Runner) -> None:
        with self._lock:
            self._loop, self._task, self._nodes = runner.get_loop(), None, None
        watching = self._watch()
        try:
            runner.run(watching)
        finally:
            with self._lock:
                self._loop = None
            watching.close()  # a loop that breaks leaves the coroutine before its end

    async def _watch(self) -> None:
        """Run the watch until it is stopped; raises what ends it before."""
        nodes: Nodes | None = None
        try:
            watch = Watch(self._store, self._observer, self._bound)
            nodes = self._nodes = Nodes(self._store.location, watch)
            self._task = asyncio.create_task(watch.run(nodes))
            if self._stopped.is_set():
                self._task.cancel()
            await asyncio.wait((self._task,))
            if not self._stopped.is_set():
                error = None if self._task.cancelled() else self._task.exception()
                raise error or RuntimeError("the task was cancelled")
        finally:
            if nodes is not None:
                nodes.close()


def _ask(nodes: Nodes, send: Send, waiting: Waiting) -> None:
    """Send over an open connection, in its event loop, and have ``waiting`` get the outcome."""
    connection = nodes.connection(send.address)
    if connection is None:
        waiting.set_result(None)
        return

    def take(answer: "asyncio.Future[Outcome]") -> None:
        waiting.set_result(Fault("connection") if answer.cancelled() else answer.result())

    packed = pack(send.commands)
    connection.ask(packed, len(send.commands), urgent=send.urgent).add_done_callback(take)


def has_green_threads() -> bool:
    """Return whether gevent or eventlet has replaced threads by greenlets.

    The watch has to run while the program is busy, and a greenlet does not.
    """
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    return (gevent is not None and gevent.is_module_patched("threading")) or (
        eventlet is not None and eventlet.is_monkey_patched("thread")
    )


def refuse_green_threads() -> None:
    """Raise ConfigurationError where gevent or eventlet has replaced threads by greenlets."""
    if has_green_threads():
        raise ConfigurationError(
            "verification='cached' needs a real thread, but gevent or eventlet has replaced threads"
            " here; use verification='strict', or AsyncSessionManager under an ASGI server"
        )
