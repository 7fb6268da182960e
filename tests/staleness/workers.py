"""The worker processes of the campaign, and the parent's connection to each.

- A worker is an object in a process of its own; the parent calls its methods, one at a time.
- It ends with the parent, however that ends, also while it is stopped by a signal.
- Only processes that were started here are ever signalled.
"""

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from typing import Any

_SPAWNING = multiprocessing.get_context("spawn")
_SET_SIGNAL_OF_PARENTS_DEATH = 1
ANSWER_SECONDS = 90.0


class WorkerFailed(Exception):
    """A worker raised, or is gone."""


class Worker:
    """The parent's end."""

    def __init__(self, name: str, make: Callable[..., Any], *arguments: Any) -> None:
        """Start a process in which ``make(*arguments)`` is the object whose methods are called."""
        self.name = name
        self._line, theirs = _SPAWNING.Pipe()
        self._process = _SPAWNING.Process(
            target=_work,
            args=(os.getpid(), theirs, make, arguments),
            name=f"staleness-{name}",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        self._is_busy = False

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def begin(self, verb: str, *arguments: Any) -> None:
        """Call a method and do not wait."""
        assert not self._is_busy, f"{self.name} is asked {verb} before it has answered"
        self._is_busy = True
        self._line.send((verb, arguments))

    def finish(self, seconds: float = ANSWER_SECONDS) -> Any:
        """The result of what was begun. Raises WorkerFailed."""
        try:
            if not self._line.poll(seconds):
                raise WorkerFailed(f"{self.name} did not answer within {seconds:g} s")
            is_good, result = self._line.recv()
        except (EOFError, OSError) as error:
            raise WorkerFailed(f"{self.name} is gone") from error
        self._is_busy = False
        if not is_good:
            raise WorkerFailed(f"{self.name}: {result}")
        return result

    def call(self, verb: str, *arguments: Any) -> Any:
        """Call a method; its result. Raises WorkerFailed."""
        self.begin(verb, *arguments)
        return self.finish()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        if self._process.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process in the middle of what it does."""
        self._line.close()
        self._process.kill()
        self._process.join(10)
        self._process.close()

    def stop(self) -> None:
        """End the process."""
        self._line.close()
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        self._process.join(3)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(10)
        self._process.close()


def call_all(workers: list[Worker], verb: str, *arguments: Any) -> list[Any]:
    """Call the same method of several at once."""
    for worker in workers:
        worker.begin(verb, *arguments)
    return [worker.finish() for worker in workers]


def _work(parent: int, line: Connection, make: Callable[..., Any], arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us in its own order
    ctypes.CDLL(None).prctl(_SET_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        return
    target = make(*arguments)
    while True:
        try:
            verb, given = line.recv()
        except (EOFError, OSError):
            break
        try:
            result = True, getattr(target, verb)(*given)
        except BaseException:
            result = False, traceback.format_exc()
        line.send(result)
    os._exit(0)  # whatever threads still do


class LoopThread:
    """An event loop on a thread of its own."""

    def __init__(self, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = make_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine: Coroutine[Any, Any, Any], seconds: float = ANSWER_SECONDS) -> Any:
        """The result of ``coroutine``."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)
