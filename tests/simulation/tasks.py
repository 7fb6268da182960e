"""The part of ``asyncio`` that a watch uses, under the virtual clock.

The modules of the watch run unchanged: :data:`ASYNCIO` takes the place of ``asyncio``.
"""

from collections.abc import Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any, Final

from .clock import Future

Later = Callable[..., None]


class Waiting:
    """Awaits what a generator of the simulation waits for: returns its value."""

    def __init__(self, steps: Generator[Any, Any, Any]) -> None:
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._steps)


class Task:
    """A coroutine that runs in the turns of its process."""

    current: "Task | None" = None
    """The task that is taking a step."""

    def __init__(self, later: Later, coroutine: Coroutine[Any, Any, Any]) -> None:
        """``later``: calls a function after so many seconds, in a turn of the process."""
        self.later = later
        self._coroutine = coroutine
        self._ended = Future()
        self._error: BaseException | None = None
        self._is_cancelled = False
        self._turn = 0
        later(0.0, self._step, 0, None, None)

    def add_done_callback(self, do: "Callable[[Task], object]") -> None:
        self._ended.then(lambda _: self.later(0.0, do, self))

    def cancelled(self) -> bool:
        return self._is_cancelled

    def exception(self) -> BaseException | None:
        return self._error

    def cancel(self) -> None:
        if not self._ended.is_set:
            self._turn += 1
            self._is_cancelled = True
            self._coroutine.close()
            self._ended.set(None)

    def throw(self, error: BaseException) -> None:
        """Raise ``error`` where the task waits."""
        self._step(self._turn, None, error)

    def _step(self, turn: int, value: Any, error: BaseException | None) -> None:
        if turn != self._turn or self._ended.is_set:
            return  # it waits for something else by now
        self._turn += 1
        former, Task.current = Task.current, self
        try:
            wanted = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
        except StopIteration:
            self._ended.set(None)
            return
        except Exception as failure:
            self._error = failure
            self._ended.set(None)
            return
        finally:
            Task.current = former
        turn = self._turn
        if isinstance(wanted, Future):
            wanted.then(lambda found: self.later(0.0, self._step, turn, found, None))
        else:
            self.later(wanted, self._step, turn, None, None)


class Event:
    """A flag that tasks wait for."""

    def __init__(self) -> None:
        self._waited = Future()

    def set(self) -> None:
        self._waited.set(None)

    def clear(self) -> None:
        if self._waited.is_set:
            self._waited = Future()

    async def wait(self) -> None:
        await self._waited


class _Timeout:
    """Raises TimeoutError in the task that entered it, once the time is over."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._is_running = seconds, True

    async def __aenter__(self) -> None:
        task = Task.current
        assert task is not None
        task.later(self._seconds, self._expire, task)

    async def __aexit__(self, *_: object) -> None:
        self._is_running = False

    def _expire(self, task: Task) -> None:
        if self._is_running:
            task.throw(TimeoutError())


async def _sleep(seconds: float) -> None:
    def steps() -> Generator[float, None, None]:
        yield seconds

    await Waiting(steps())


ASYNCIO: Final[Any] = SimpleNamespace(
    Event=Event, Task=Task, Future=Future, sleep=_sleep, timeout=_Timeout
)
"""What stands for the module ``asyncio`` in a run."""
