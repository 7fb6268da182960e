"""Background work of a manager in tasks of the event loop; see the package."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from contextvars import Context, ContextVar
from typing import Any, Final

from clusterpass.model.forks import renew_in_child

logger: Final = logging.getLogger("clusterpass.workers")
_POLLING_SECONDS: Final = 0.01
_CANCELLING_SECONDS: Final = 0.5
SECONDS_BETWEEN_TURNS: Final = 0.1
_working: Final[ContextVar[object]] = ContextVar("clusterpass-working", default=None)
"""The worker that the running code belongs to, also in tasks and threads that its work started."""


class AsyncAlarm:
    """Wakes the one task that waits for it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()
        self._thread = 0
        self.is_over = False
        """Whether there is nothing left to wait for."""

    def begin(self) -> None:
        """Take note of the event loop of the task that will wait; called there, before that.

        Before it the alarm cannot be set, but it can be ended.
        """
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        """Wake who waits, or who will wait next; may be called from any thread."""
        loop = self._loop
        if loop is None:
            return
        if threading.get_ident() == self._thread:
            self._event.set()
        else:
            _call_in(loop, self._event.set)

    def end(self) -> None:
        """Wake who waits, for the last time; may be called from any thread."""
        self.is_over = True
        self.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until the alarm is set, or for ``seconds``; afterwards it is not set."""
        if seconds is None:
            await self._event.wait()
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._event.wait()
            except TimeoutError:
                return
        self._event.clear()


class AsyncWorker:
    """Runs ``work`` in a task of the event loop that first wakes it.

    Where that loop has ended, the work begins anew in the loop that next wakes or resumes it.
    """

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
        self._lock = threading.RLock()
        self._changed: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self.is_stopping = False
        """Whether the work has to return soon. A stopped worker never starts again."""

    @property
    def is_current(self) -> bool:
        """Whether it is the work that asks, or what it has called."""
        return self._task is not None and _working.get() is self

    @property
    def may_vanish(self) -> bool:
        """Whether the work runs in another event loop than this one, which may end before it."""
        task = self._task
        return task is None or task.get_loop() is not asyncio.get_running_loop()

    def wake(self) -> None:
        """Start or resume the work, and return at once. Does nothing after :meth:`stop`."""
        loop = asyncio.get_running_loop()
        with self._lock:
            task = self._task
            if task is None or not _is_running(task):
                if not self.is_stopping:
                    _cancel(task)
                    self._changed = asyncio.Event()
                    # Who acts in the code that wakes the work is not who acts in the work.
                    self._task = loop.create_task(self._run(), name=self._name, context=Context())
                return
        if task.get_loop() is not loop:
            if not _call_in(task.get_loop(), self._go_on):
                self.wake()  # that loop was closed just now
        elif self._changed is not None:
            self._changed.set()

    def wake_soon(self) -> None:
        """As :meth:`wake`, but from any thread; without an event loop only resume the work."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            task = self._task
            if task is not None and _is_running(task):
                _call_in(task.get_loop(), self._go_on)
        else:
            self.wake()

    def resume(self) -> None:
        """Start the work in this event loop, unless it is running; called where there is work."""
        task = self._task
        if task is None or not _is_running(task):
            self.wake()

    def _go_on(self) -> None:
        """Go on in this event loop, as another thread has asked it to: the work may be over."""
        task = self._task
        if task is None or not task.cancelled():  # the loop of a cancelled one may be about to end
            self.wake()

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
        if task is None or task.done() or self.is_current:
            return True
        if task.get_loop() is not asyncio.get_running_loop():
            _cancel(task)
            return False
        if self._changed is not None:
            self._changed.set()
        done, _ = await asyncio.wait((task,), timeout=seconds)
        if not done:
            task.cancel()
            await asyncio.wait((task,), timeout=seconds)
        return bool(done)

    async def _run(self) -> None:
        _working.set(self)
        await self._work()


class AsyncJobs:
    """Jobs that run at once, each in a task of the event loop that starts it."""

    most: Final = 256
    """The number of jobs that may run at once. :meth:`free` tells how many more may start."""

    def __init__(self, *, name: str, on_end: Callable[[], None]) -> None:
        """``name``: the name of the tasks; ``on_end``: called after each job that was not
        cancelled, in its event loop."""
        self._name = name
        self._on_end = on_end
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the tasks, which do not run in a forked child; called there."""
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def running(self) -> set[Hashable]:
        """Return the keys of the jobs that run. A job of an event loop that has ended does not."""
        tasks = self._tasks.copy()
        return {key for key, task in tasks.items() if _is_running(task)}

    def free(self) -> int:
        """Return how many more jobs may start."""
        return max(0, self.most - len(self.running()))

    def start(self, key: Hashable, job: Callable[[], Awaitable[None]]) -> None:
        """Start ``job`` under ``key``, under which no other job may run."""
        _cancel(self._tasks.get(key))  # one whose event loop is not running
        task = asyncio.get_running_loop().create_task(self._run(job), name=self._name)
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._ended(key, task))

    async def pause(self, seconds: float) -> None:
        """Let ``seconds`` pass. Called by a job."""
        await asyncio.sleep(seconds)

    async def leave_other_loops(self, seconds: float) -> None:
        """Cancel the jobs of other event loops, and wait ``seconds`` for them to end."""
        here, until = asyncio.get_running_loop(), time.monotonic() + seconds
        others = {key: task for key, task in self._tasks.copy().items() if task.get_loop() != here}
        for task in others.values():
            _cancel(task)
        # An event of this loop cannot be set from a loop that may not be running.
        while any(map(_is_running, others.values())) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_POLLING_SECONDS)
        for key in others:
            self._tasks.pop(key, None)

    async def stop(self, seconds: float) -> bool:
        """Wait ``seconds`` for the jobs to end; return whether all have ended.

        Tasks of this event loop that are still running then are cancelled.
        """
        here, own = asyncio.get_running_loop(), asyncio.current_task()
        tasks = {task for task in self._tasks.copy().values() if task.get_loop() is here} - {own}
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_CANCELLING_SECONDS)
        return not late

    async def _run(self, job: Callable[[], Awaitable[None]]) -> None:
        await job()

    def _ended(self, key: Hashable, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():  # the event loop of a cancelled one may be about to close
            self._on_end()


class AsyncTurns:
    """Decides which calls look after background work: not every one, to save time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_at = 0.0

    def is_next(self) -> bool:
        """Whether it is the caller's: in another event loop than last time, or after a while."""
        loop, now = asyncio.get_running_loop(), time.monotonic()
        if loop is self._loop and now < self._next_at:
            return False
        self._loop, self._next_at = loop, now + SECONDS_BETWEEN_TURNS
        return True


def _is_running(task: asyncio.Task[None]) -> bool:
    """Whether ``task`` can go on: not where its event loop has ended, closed or not."""
    return not task.done() and task.get_loop().is_running()


def _cancel(task: asyncio.Task[None] | None) -> None:
    """Cancel ``task`` in its event loop, as soon as that runs."""
    if task is not None and not task.done():
        _call_in(task.get_loop(), task.cancel)


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> bool:
    """Call ``function`` in ``loop``, of any thread; return False where it is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)
        return True
    return False


def require_workers_async(what: str) -> None:
    """Do nothing: ``what`` works in the event loop, whatever threads are."""
