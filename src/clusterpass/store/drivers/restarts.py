"""Restarts of a watch that has failed: growing pauses, and one warning for each cause.

A watch fails where its observer raises, where its event loop breaks (as when the program closes
file descriptors that it did not open), or where the system has no thread or descriptor left.
Without a watch nothing is served from memory, so a failure must neither go unnoticed nor last.
"""

import logging
import time
import traceback
from collections.abc import Hashable
from typing import Final

from clusterpass.store.drivers.cache_observer import Observer
from clusterpass.store.randomness import chance

logger: Final = logging.getLogger("clusterpass.store")
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
_MOST_CAUSES: Final = 100


class Restarts:
    """The failures of one watch, and the pauses after them."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._pause = _FIRST_PAUSE
        self._began = time.monotonic()
        self._causes: set[Hashable] = set()

    def begin(self) -> None:
        """Note that the watch begins, for the first time or again."""
        self._began = time.monotonic()

    def failed(self, error: BaseException) -> float:
        """Note that the watch has ended by ``error``; returns the seconds until its next begin.

        The observer gets the error as its ``refusal``. A warning is logged for the first failure
        with a cause: a type of error at a line of code.
        """
        if time.monotonic() - self._began > _LONGEST_PAUSE:
            self._pause = _FIRST_PAUSE  # it had recovered from the failure before
        pause = chance.uniform(self._pause / 2, self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        why = f"the watch of the store failed: {type(error).__name__}: {error}"[:200]
        self._observer.refusal = why
        cause = _cause(error)
        if cause not in self._causes and len(self._causes) < _MOST_CAUSES:
            self._causes.add(cause)
            logger.warning(
                "%s; nothing is served from memory until it begins again", why, exc_info=error
            )
        return pause


def _cause(error: BaseException) -> Hashable:
    frames = traceback.extract_tb(error.__traceback__)
    place = (frames[-1].filename, frames[-1].lineno) if frames else None
    return type(error), place
