"""Watches the request bodies that are being read: which are slow, and which take too long.

One timer serves all bodies of an event loop, and it stops when no body is left. Two timers for each
body would cost more than reading most bodies does.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from clusterpass.service.asgi.messages import Scope

_SLOW_SECONDS: Final = 0.5
"""The time after which a body that has not arrived is a slow one."""
_LEAST_PAUSE: Final = 0.01


class Reading:
    """One body that is being read."""

    __slots__ = ("began", "bodies", "client", "deadline", "is_refused", "scope")

    def __init__(
        self, scope: Scope, began: float, deadline: asyncio.Timeout, bodies: "_Bodies"
    ) -> None:
        """``began``: in seconds of the event loop's clock. ``deadline``: ends the reading."""
        self.bodies: Final = bodies
        self.scope: Final = scope
        self.began: Final = began
        self.deadline: Final = deadline
        self.client: str | None = None
        """Among whose slow bodies it counts; None while it is none."""
        self.is_refused = False
        """Whether its client has too many slow ones."""


class _Bodies:
    """The bodies that are being read in one event loop."""

    __slots__ = ("has_timer", "recent", "slow")

    def __init__(self) -> None:
        self.recent: Final[dict[Reading, None]] = {}
        """The bodies that are not slow yet, the oldest first."""
        self.slow: Final[dict[Reading, None]] = {}
        """The bodies that are slow and still in time, the oldest first."""
        self.has_timer = False


class SlowBodies:
    """The bodies that one application is reading."""

    def __init__(
        self, *, seconds: float, most_slow: int, client_of: Callable[[Scope], str]
    ) -> None:
        """``seconds``: in which a body has to arrive. ``most_slow``: the bodies of one client that
        may be waited for at once, by ``client_of``, beyond the time that most take."""
        self._seconds: Final = seconds
        self._slow_seconds: Final = min(_SLOW_SECONDS, seconds / 2)
        self._most_slow: Final = most_slow
        self._client_of: Final = client_of
        self._of_loops: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Bodies]] = (
            WeakKeyDictionary()
        )
        self.by_client: Final[Counter[str]] = Counter()
        """How many slow bodies of each client are waited for."""

    def begin(self, scope: Scope, deadline: asyncio.Timeout) -> Reading:
        """Watch a body from now on: ``deadline`` is set to now once the body takes too long."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        bodies = self._of_loops.get(loop)
        if bodies is None:
            bodies = self._of_loops[loop] = _Bodies()
        reading = Reading(scope, now, deadline, bodies)
        bodies.recent[reading] = None
        if not bodies.has_timer:
            bodies.has_timer = True
            loop.call_at(now + self._slow_seconds, self._look, loop, bodies)
        return reading

    def end(self, reading: Reading) -> None:
        """Watch a body no longer."""
        reading.bodies.recent.pop(reading, None)
        reading.bodies.slow.pop(reading, None)
        client = reading.client
        if client is not None:
            self.by_client[client] -= 1
            if not self.by_client[client]:
                del self.by_client[client]

    def _look(self, loop: asyncio.AbstractEventLoop, bodies: _Bodies) -> None:
        now = loop.time()
        try:
            for reading in _due(bodies.recent, now - self._slow_seconds):
                self._become_slow(reading, now)
            for reading in _due(bodies.slow, now - self._seconds):
                reading.deadline.reschedule(now)
        finally:
            nexts = [
                *(each.began + self._slow_seconds for each in _first(bodies.recent)),
                *(each.began + self._seconds for each in _first(bodies.slow)),
            ]
            bodies.has_timer = bool(nexts)
            if nexts:
                loop.call_at(max(now + _LEAST_PAUSE, min(nexts)), self._look, loop, bodies)

    def _become_slow(self, reading: Reading, now: float) -> None:
        client = self._client_of(reading.scope)
        if self.by_client[client] < self._most_slow:
            self.by_client[client] += 1
            reading.client = client
            reading.bodies.slow[reading] = None
        else:
            reading.is_refused = True
            reading.deadline.reschedule(now)


def _due(readings: dict[Reading, None], until: float) -> list[Reading]:
    """Take out those that began at ``until`` or before, and return them."""
    found = []
    for reading in readings:
        if reading.began > until:
            break
        found.append(reading)
    for reading in found:
        del readings[reading]
    return found


def _first(readings: dict[Reading, None]) -> list[Reading]:
    return [next(iter(readings))] if readings else []
