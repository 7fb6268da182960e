"""The watch of a synchronous store, in an event loop on a thread of its own.

Where the thread has ended, heartbeats stop and so the cache serves nothing.
"""

import asyncio
import sys
import threading
from typing import Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.drivers.observer import Observer
from clusterpass.store.drivers.watch import Watch

_CLOSING_SECONDS: Final = 5.0


class WatchThread:
    """A daemon thread that runs a :class:`Watch`."""

    def __init__(self, store: StoreBase, observer: Observer, bound: float) -> None:
        """Start the thread; ``bound``: the staleness bound, in seconds. Raises RuntimeError when no
        thread can start."""
        self._store = store
        self._observer = observer
        self._bound = bound
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._work, name="clusterpass-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close its connections, waiting for at most five seconds."""
        self._is_stopped = True
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            return  # the loop has ended already
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSING_SECONDS)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._watch())

    async def _watch(self) -> None:
        nodes: Nodes | None = None
        try:
            watch = Watch(self._store, self._observer, self._bound)
            nodes = Nodes(self._store.location, watch)
            self._task = asyncio.create_task(watch.run(nodes))
            if not self._is_stopped:
                await asyncio.wait((self._task,))
        finally:
            if nodes is not None:
                nodes.close()


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
