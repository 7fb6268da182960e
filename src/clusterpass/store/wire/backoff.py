"""Pauses between attempts to open a link, and what callers are told meanwhile.

A pause grows with each failure and has jitter, so that a whole fleet of processes does not
reconnect in the same moment. Times are seconds of the event loop's clock.
"""

import asyncio
from typing import Final

from clusterpass.model.errors import ClusterPassError
from clusterpass.store.outcomes import Fault
from clusterpass.store.randomness import chance

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


class Backoff:
    """The pauses of one link."""

    def __init__(self) -> None:
        self.not_before = 0.0
        """When the next attempt may begin."""
        self._pause = _FIRST_PAUSE
        self._failure: Fault | ClusterPassError = Fault("connection")

    def last_failure(self) -> Fault:
        """Return by what the latest attempt failed; raise the error if the node refused it."""
        if isinstance(self._failure, ClusterPassError):
            raise self._failure.with_traceback(None)
        return self._failure

    def note(self, task: "asyncio.Task[Fault | None]") -> None:
        """Take note of how the attempt of ``task`` has ended, which was not cancelled."""
        # Asked here too, as asyncio warns of an error that nobody retrieves.
        error = task.exception()
        if error is None and task.result() is None:
            self._pause = _FIRST_PAUSE
            return
        if isinstance(error, ClusterPassError):
            self._failure = error
        else:
            self._failure = (task.result() if error is None else None) or Fault("connection")
        pause = chance.uniform(self._pause / 2, self._pause)
        self.not_before = task.get_loop().time() + pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
