"""Single flight: of concurrent loads of one session, one is made, and the others wait for it.

A caller that has waited looks in the memory, under the same rules as everybody else. If the session
is not there, because the load failed or the session has changed meanwhile, the caller loads it.
"""

import asyncio
import threading

from clusterpass.model.forks import renew_in_child


class SingleFlight:
    """The loads that are under way, for threads."""

    def __init__(self) -> None:
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the loads of the parent; for the child of a fork."""
        self._lock = threading.Lock()
        self._flights: dict[str, threading.Event] = {}

    def join(self, key: str, seconds: float) -> bool:
        """Wait until the load of ``key`` is over, for ``seconds`` at most.

        False when there is none: then the caller has begun one, and ends it with :meth:`land`.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                self._flights[key] = threading.Event()
                return False
        flight.wait(seconds)
        return True

    def land(self, key: str) -> None:
        """End the load of ``key``, whatever came of it."""
        with self._lock:
            flight = self._flights.pop(key, None)
        if flight is not None:
            flight.set()


class AsyncSingleFlight:
    """The loads that are under way, for the tasks of event loops, each loop for itself."""

    def __init__(self) -> None:
        self.begin_anew()
        renew_in_child(self)

    def begin_anew(self) -> None:
        """Forget the loads of the parent; for the child of a fork."""
        self._flights: dict[tuple[int, str], asyncio.Future[None]] = {}

    async def join(self, key: str, seconds: float) -> bool:
        """Wait until the load of ``key`` is over, for ``seconds`` at most.

        False when there is none: then the caller has begun one, and ends it with :meth:`land`.
        """
        loop = asyncio.get_running_loop()
        flight = self._flights.get((id(loop), key))
        if flight is None or flight.get_loop() is not loop:  # left by a loop that was closed
            self._flights[id(loop), key] = loop.create_future()
            return False
        await asyncio.wait((flight,), timeout=seconds)
        return True

    def land(self, key: str) -> None:
        """End the load of ``key``, whatever came of it."""
        flight = self._flights.pop((id(asyncio.get_running_loop()), key), None)
        if flight is not None:
            flight.set_result(None)
