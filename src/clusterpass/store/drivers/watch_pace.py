"""When the watch of a store sends heartbeats: at its interval, or at once; and when it rests.

Nothing is sent while nothing is read and nobody waits for news: the watch rests until the store is
asked. Times are seconds of the monotonic clock.
"""

import asyncio
import time
from contextlib import suppress
from typing import Final

from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.drivers.nodes import Nodes

_BEATS_IN_A_BOUND: Final = 4
_IDLE_SECONDS: Final = 3.0
"""After so long without a read the heartbeats pause."""
_RESTING_SECONDS: Final = 30.0
"""So often the connections are tried while they do."""
_MOST_EXTRA_TURNS: Final = 10
"""The most turns that urgent events may cause within the time of one ordinary turn."""


class Pace:
    """The pace of one watch."""

    def __init__(self, observer: Observer, bound: float) -> None:
        """``bound``: the staleness bound, in seconds."""
        self.is_urgent: Final = asyncio.Event()
        """Set to have the next turn begin soon."""
        self._observer = observer
        self._interval = bound / _BEATS_IN_A_BOUND
        self._activity = -1
        self._active_at = 0.0

    async def pause(self) -> None:
        """Return when the next turn is due: at its ordinary time, or soon when it is urgent."""
        await asyncio.sleep(self._interval / _MOST_EXTRA_TURNS)
        try:
            async with asyncio.timeout(self._interval * (1 - 1 / _MOST_EXTRA_TURNS)):
                await self.is_urgent.wait()
        except TimeoutError:
            return  # the ordinary turn
        finally:
            self.is_urgent.clear()

    def is_idle(self) -> bool:
        """Return whether nothing was read for a while, and nobody waits for news."""
        activity, now = self._observer.activity, time.monotonic()
        if activity != self._activity or self._observer.is_followed:
            self._activity, self._active_at = activity, now
        return now - self._active_at >= max(_IDLE_SECONDS, _BEATS_IN_A_BOUND * self._interval)

    async def rest(self, nodes: Nodes) -> None:
        """Pause until the store is asked, or something happens to a connection."""

        def wake() -> None:
            with suppress(RuntimeError):  # the event loop has been closed
                nodes.loop.call_soon_threadsafe(self.is_urgent.set)

        observer = self._observer
        observer.rested()
        observer.on_use = wake
        try:
            if observer.activity == self._activity:  # nothing was read until now
                async with asyncio.timeout(_RESTING_SECONDS):
                    await self.is_urgent.wait()
        except TimeoutError:
            return
        finally:
            observer.on_use = None
        if observer.activity != self._activity:
            self._active_at = time.monotonic()
            self.is_urgent.set()  # a lease needs two heartbeats
