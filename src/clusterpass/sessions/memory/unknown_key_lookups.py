"""Limits how often the store is searched for ids in tokens that are unknown to this process."""

import math
from collections.abc import Callable
from typing import Final

_AGAIN_AFTER: Final = 1.0
"""Seconds between the beginnings of two searches."""
_MOST_WAITING: Final = 64


class Searches:
    """Allows one search a second, which serves all callers who came before it began.

    Made-up tokens must not make work for the store. Nor may they cause a valid token to be refused
    that came between two searches, so such a token waits for the next search.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        """``steady``: returns seconds of the steady clock."""
        self._steady: Final = steady
        self._began_at = -math.inf
        self._is_under_way = False
        self.last_began_at = -math.inf
        """When the latest search began that has ended."""
        self.waiting = 0
        """How many callers wait for a search."""

    def now(self) -> float:
        """Seconds of the steady clock."""
        return self._steady()

    def seconds_to_wait(self) -> float:
        """Seconds until the caller may look again whether to search; 0: it may search now."""
        if self._is_under_way and self._steady() < self._began_at + 10 * _AGAIN_AFTER:
            return 0.02
        return max(0.0, self._began_at + _AGAIN_AFTER - self._steady())

    @property
    def has_room(self) -> bool:
        """Whether another caller may wait."""
        return self.waiting < _MOST_WAITING

    def begin(self) -> None:
        """Note that the caller searches."""
        self._began_at, self._is_under_way = self._steady(), True

    def end(self, *, is_done: bool) -> None:
        """Note that the search has ended; ``is_done``: and that the store was asked."""
        self._is_under_way = False
        if is_done:
            self.last_began_at = max(self.last_began_at, self._began_at)
