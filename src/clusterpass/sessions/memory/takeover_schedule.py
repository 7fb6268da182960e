"""The schedule by which a process takes over journal entries that nobody has carried out.

Times are jittered by a few seconds, so that not all processes start at once. They are seconds of
the steady clock.
"""

import itertools
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Final

from clusterpass.sessions.memory.known_entry import KnownEntry

_LEFT_AFTER: Final = 2.0
_LEFT_WITHIN: Final = 4.0
_MOST_LEFT: Final = 200


class HandOvers:
    """The turns of the entries of one journal. Callers must serialise the calls."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        """``jitter``: returns a random number from 0 to 1."""
        self._jitter = jitter
        self._turns: list[tuple[float, int, bytes]] = []
        """A heap of the ids of entries by when they are handed over; an item with another time than
        its entry is void. The numbers make all items differ."""
        self._turn_numbers = itertools.count()

    def pause(self) -> float:
        """Return the seconds after which an entry is handed over."""
        return _LEFT_AFTER + self._jitter() * _LEFT_WITHIN

    def add(self, entry_id: bytes, left_at: float) -> None:
        """Hand the entry with this id over at ``left_at``."""
        heappush(self._turns, (left_at, next(self._turn_numbers), entry_id))

    def due(self, now: float, entries: Mapping[bytes, KnownEntry]) -> list[KnownEntry]:
        """Return those of ``entries`` whose time has come by ``now``; each gets another turn."""
        left: list[KnownEntry] = []
        while self._turns and self._turns[0][0] <= now and len(left) < _MOST_LEFT:
            left_at, _, entry_id = heappop(self._turns)
            known = entries.get(entry_id)
            if known is not None and known.left_at == left_at:
                known.left_at = now + self.pause()
                self.add(entry_id, known.left_at)
                left.append(known)
        return left
