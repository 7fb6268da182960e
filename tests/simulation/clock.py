"""Virtual time: a queue of events, futures that events complete, and tasks that wait for both."""

import itertools
from collections import deque
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from random import Random
from typing import Any

_TICK = 1e-7
"""Seconds that every event takes at least: what follows from it happens later."""
START = 1_000.0
"""When a run begins, in seconds of the virtual clock."""
EPOCH = 1_700_000_000.0
"""The wall clock is so many seconds ahead of the virtual one."""
_TRACED = 400


class Clock:
    """The clock and the events of one run. Those of one time happen in the order of making."""

    def __init__(self, seed: int) -> None:
        self.now = START
        self.random = Random(seed)
        self.trace: deque[str] = deque(maxlen=_TRACED)
        """What happened last, as text."""
        self.events = 0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def read(self) -> float:
        """The time, in seconds, as a clock that is an argument of the library's parts."""
        return self.now

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self.now + EPOCH

    def at(self, when: float, do: Callable[..., None], *args: Any) -> None:
        """Have ``do`` called at ``when``, or now where that is past."""
        heappush(self._queue, (max(when, self.now), next(self._numbers), do, args))

    def after(self, seconds: float, do: Callable[..., None], *args: Any) -> None:
        heappush(self._queue, (self.now + seconds, next(self._numbers), do, args))

    def run(self, until: float) -> None:
        """Let everything happen that is due before ``until``."""
        queue = self._queue
        while queue and queue[0][0] < until:
            due, _, do, args = heappop(queue)
            self.now = max(due, self.now + _TICK)
            self.events += 1
            do(*args)
        self.now = until

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.now - START:9.4f} {text}")


class Future:
    """A value that comes later."""

    __slots__ = ("_wanted", "is_set", "value")

    def __init__(self) -> None:
        self.is_set = False
        self.value: Any = None
        self._wanted: list[Callable[[Any], None]] = []

    def set(self, value: Any) -> None:
        """Complete the future; the first value stands."""
        if self.is_set:
            return
        self.is_set, self.value = True, value
        wanted, self._wanted = self._wanted, []
        for each in wanted:
            each(value)

    def then(self, do: Callable[[Any], None]) -> None:
        if self.is_set:
            do(self.value)
        else:
            self._wanted.append(do)

    # As a future of asyncio.

    def __await__(self) -> Generator["Future", Any, Any]:
        return self.value if self.is_set else (yield self)

    def add_done_callback(self, do: "Callable[[Future], object]") -> None:
        self.then(lambda _: do(self))

    def cancelled(self) -> bool:
        return False

    def result(self) -> Any:
        return self.value


Steps = Generator["float | Future", Any, Any]
"""A task: yields seconds to wait, or a future whose value it receives."""


def spawn(later: Callable[..., None], steps: Steps) -> Future:
    """Run a task; ``later(seconds, do, ...)``: calls ``do`` after so many seconds of its process.

    A task goes on in a turn of its own, as in an event loop.
    """
    ended = Future()

    def go_on(value: Any = None) -> None:
        while True:
            try:
                wanted = steps.send(value)
            except StopIteration as stop:
                ended.set(stop.value)
                return
            if not isinstance(wanted, Future):
                later(wanted, go_on)
                return
            if not wanted.is_set:
                wanted.then(lambda found: later(0.0, go_on, found))
                return
            value = wanted.value

    go_on()
    return ended


class Lock:
    """One task at a time."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting: deque[Future] = deque()

    def acquire(self) -> Future:
        turn = Future()
        if self._is_held:
            self._waiting.append(turn)
        else:
            self._is_held = True
            turn.set(None)
        return turn

    def release(self) -> None:
        if self._waiting:
            self._waiting.popleft().set(None)
        else:
            self._is_held = False
