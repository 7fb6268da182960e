"""Background work of a manager, on threads; ``managers.workers`` states the rules."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.model.forks import renew_in_child
from clusterpass.store.drivers.watch_thread import has_green_threads

logger: Final = logging.getLogger("clusterpass.workers")
SECONDS_BETWEEN_TURNS: Final = 0.1


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

    @property
    def is_current(self) -> bool:
        """Whether it is the work that asks."""
        return self._thread is threading.current_thread()

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

    def wake_soon(self) -> None:
        """Start or resume the work, as :meth:`wake` does."""
        self.wake()

    def resume(self) -> None:
        """Start the work unless it is running, as where no thread could start."""
        if self._thread is None:
            self.wake()

    @property
    def may_vanish(self) -> bool:
        """False: a thread ends with its work only."""
        return False

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


class Jobs:
    """Jobs that run at once, each on a daemon thread of its own."""

    most: Final = 32
    """The number of jobs that may run at once. :meth:`free` tells how many more may start."""

    def __init__(self, *, name: str, on_end: Callable[[], None]) -> None:
        """``name``: the name of the threads; ``on_end``: called after each job, on its thread."""
        self._name = name
        self._on_end = on_end
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the threads, which do not exist in a forked child; called there."""
        self._threads: dict[Hashable, threading.Thread] = {}

    def running(self) -> set[Hashable]:
        """Return the keys of the jobs that run."""
        return set(self._threads.copy())

    def free(self) -> int:
        """Return how many more jobs may start."""
        return max(0, self.most - len(self._threads))

    def start(self, key: Hashable, job: Callable[[], None]) -> None:
        """Start ``job`` under ``key``, under which no other job may run.

        Where no thread can start, as at the end of the interpreter, the job runs before the method
        returns.
        """
        thread = threading.Thread(target=self._run, args=(key, job), name=self._name, daemon=True)
        self._threads[key] = thread
        try:
            thread.start()
        except RuntimeError:
            self._threads[key] = threading.current_thread()
            self._run(key, job)

    def pause(self, seconds: float) -> None:
        """Let ``seconds`` pass. Called by a job."""
        time.sleep(seconds)

    def leave_other_loops(self, seconds: float) -> None:
        """Do nothing: threads belong to no event loop."""

    def stop(self, seconds: float) -> bool:
        """Wait ``seconds`` for the jobs to end; return whether all have ended."""
        until = time.monotonic() + seconds
        threads = {*self._threads.copy().values()} - {threading.current_thread()}
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run(self, key: Hashable, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            self._threads.pop(key, None)
            self._on_end()


class Alarm:
    """Wakes the one thread that waits for it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.is_over = False
        """Whether there is nothing left to wait for."""

    def begin(self) -> None:
        """Do nothing: any thread may wait."""

    def set(self) -> None:
        """Wake who waits, or who will wait next."""
        self._event.set()

    def end(self) -> None:
        """Wake who waits, for the last time; may be called from any thread."""
        self.is_over = True
        self.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the alarm is set, or for ``seconds``; afterwards it is not set."""
        self._event.wait(seconds)
        self._event.clear()


class Turns:
    """Decides which calls look after background work: not every one, to save time."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def is_next(self) -> bool:
        """Whether it is the caller's: after a while."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + SECONDS_BETWEEN_TURNS
        return True


def require_workers(what: str) -> None:
    """Raise ConfigurationError where threads are greenlets, which ``what`` cannot work with."""
    if has_green_threads():
        raise ConfigurationError(
            f"{what} needs a real thread, but gevent or eventlet has replaced threads here"
        )
