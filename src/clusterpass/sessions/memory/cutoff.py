"""The cutoff of this process: the time before which every session of the namespace has ended.

- The cutoff is read again when the last answer is half the staleness bound old (at most half a
  second). One caller reads it while the others continue with the known value. When that value is
  nearly as old as the bound (at most 0.9 seconds), they read the cutoff too.
- The age of an answer counts from before the request was sent.
- The cutoff never decreases, so a store that was rolled back cannot undo a revocation.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LONGEST: Final = 1.0


class Cutoff:
    """The latest known cutoff and its age.

    There is no lock: concurrent threads at worst read the cutoff once too often.
    """

    def __init__(self, monotonic: Callable[[], float], bound: float = _LONGEST) -> None:
        """``monotonic``: returns seconds; ``bound``: the staleness bound in seconds, at most 1."""
        self._ask_after = min(bound, _LONGEST) * 0.5
        self._never_older_than = min(bound, _LONGEST) * 0.9
        self.now: Final = monotonic
        self.milliseconds = 0
        """The cutoff, in milliseconds since the epoch; 0: none is known."""
        self.copy = 0
        """The number of the copy that is read."""
        self.known_at: float | None = None
        """When the cutoff was last read; None: never, or it was forgotten since, and nobody can do
        without it."""
        self._forgotten_at = -math.inf
        self._asking = 0
        self.on_raised: Callable[[], None] = _nothing
        """Called when a later cutoff becomes known."""

    def is_due(self) -> bool:
        """Return whether the caller has to read the cutoff."""
        known_at = self.known_at  # once: another thread may forget it meanwhile
        if known_at is None:
            return True
        age = self.now() - known_at
        return age >= (self._never_older_than if self._asking else self._ask_after)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Mark that the caller reads the cutoff, so that others can wait longer."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    def learn(self, milliseconds: int, began: float) -> None:
        """Take note of a cutoff that was requested at ``began``, in seconds of the clock."""
        self.raise_to(milliseconds)
        if began >= self._forgotten_at:
            known_at = self.known_at
            self.known_at = began if known_at is None else max(known_at, began)

    def raise_to(self, milliseconds: int) -> None:
        """Take note of a cutoff, which says nothing about how old the others are."""
        if milliseconds > self.milliseconds:
            self.milliseconds = milliseconds
            self.on_raised()

    def forget(self) -> None:
        """Require the next caller to read the cutoff, which may have been raised.

        The known value stays in force.
        """
        self.known_at = None
        self._forgotten_at = self.now()


def _nothing() -> None:
    """Ignore a later cutoff."""
