"""Background work of a manager: on a thread, or in a task of the event loop.

- Both workers have the same interface, which is awaited in one case.
- A worker starts when it is first woken, and ends when its work returns.
- After a fork the child has no worker until it wakes one.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from clusterpass.model.forks import renew_in_child

logger: Final = logging.getLogger("clusterpass.workers")


class Worker:
    """Runs ``work`` on its own daemon thread."""

    def __init__(self, work: Callable[[], None], *, name: str) -> None:
        """``work``: returns when there is nothing left to do, or when :attr:`is_stopping` is set.

        ``name``: the name of the thread.
        """
        self._work = work
        self._name = name
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the thread, which does not exist in a forked child; called there."""
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self.is_stopping = False
        """Whether the work has to return soon. A stopped worker never starts again."""

    def wake(self) -> None:
        """Start or resume the work, and return at once. Does nothing after :meth:`stop`."""
        self._changed.set()
        with self._lock:
            if self._thread is None and not self.is_stopping:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, as at the end of the interpreter
                    logger.error("cannot start a thread for %s", self._name)  # noqa: TRY400
                    return
                self._thread = thread

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the worker is woken, or for ``seconds``. Called by the work itself."""
        self._changed.wait(seconds)
        self._changed.clear()

    def stop(self, seconds: float) -> bool:
        """Ask the work to end, and wait ``seconds`` for that; return whether it has ended."""
        self.is_stopping = True
        self._changed.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(seconds)
        return not thread.is_alive()

    def _run(self) -> None:
        while True:
            self._changed.clear()
            self._work()
            with self._lock:
                if self.is_stopping or not self._changed.is_set():
                    self._thread = None
                    return


class AsyncWorker:
    """Runs ``work`` in a task of the event loop that first wakes it."""

    def __init__(self, work: Callable[[], Awaitable[None]], *, name: str) -> None:
        """``work``: returns when there is nothing left to do, or when :attr:`is_stopping` is set.

        ``name``: the name of the thread.
        """
        self._work = work
        self._name = name
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the task, which does not run in a forked child; called there."""
        self._changed: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self.is_stopping = False
        """Whether the work has to return soon. A stopped worker never starts again."""

    def wake(self) -> None:
        """Start or resume the work, and return at once. Does nothing after :meth:`stop`."""
        loop = asyncio.get_running_loop()
        task = self._task
        if task is None or task.done() or task.get_loop().is_closed():
            if not self.is_stopping:
                self._changed = asyncio.Event()
                self._task = loop.create_task(self._run(), name=self._name)
        elif self._changed is not None:
            if task.get_loop() is loop:
                self._changed.set()
            else:
                task.get_loop().call_soon_threadsafe(self._changed.set)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until the worker is woken, or for ``seconds``. Called by the work itself."""
        assert self._changed is not None
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    async def stop(self, seconds: float) -> bool:
        """Ask the work to end, and wait ``seconds`` for that; return whether it has ended.

        A task that is still running then is cancelled. A task of another event loop is cancelled at
        once, as this loop cannot wait for it.
        """
        self.is_stopping = True
        task = self._task
        if task is None or task.done() or task is asyncio.current_task():
            return True
        loop = task.get_loop()
        if loop is not asyncio.get_running_loop():
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
            return False
        if self._changed is not None:
            self._changed.set()
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if not done:
            task.cancel()
            await asyncio.wait((task,), timeout=seconds)
        return bool(done)

    async def _run(self) -> None:
        await self._work()
