"""The time before which every session of the namespace has ended, as this process knows it.

- It is asked for again when the last answer is half the staleness bound old (at most half a
  second); one caller asks, the others go on with what is known until that is nearly the whole bound
  old (at most nearly a second), then they ask too.
- The age of an answer counts from before the question was sent.
- It never falls: what was revoked stays revoked, whatever a store says that was rolled back.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_LONGEST: Final = 1.0


class Cutoff:
    """Not locked: threads that meet here ask once too often at worst."""

    def __init__(self, monotonic: Callable[[], float], bound: float = _LONGEST) -> None:
        """``monotonic``: seconds; ``bound``: seconds that the time known may be old."""
        self._ask_after = min(bound, _LONGEST) * 0.5
        self._never_older_than = min(bound, _LONGEST) * 0.9
        self.now: Final = monotonic
        self.milliseconds = 0
        self.copy = 0
        """Which copy is asked."""
        self._known_at: float | None = None
        self._forgotten_at = -math.inf
        self._asking = 0
        self.on_raised: Callable[[], None] = _nothing
        """Called when a later time became known."""

    def is_due(self) -> bool:
        """Whether the caller has to ask."""
        if self._known_at is None:
            return True
        age = self.now() - self._known_at
        return age >= (self._never_older_than if self._asking else self._ask_after)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While one asks, others need not."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    def learn(self, milliseconds: int, began: float) -> None:
        """An answer to a question that was sent at ``began``."""
        if milliseconds > self.milliseconds:
            self.milliseconds = milliseconds
            self.on_raised()
        if began >= self._forgotten_at:
            self._known_at = began if self._known_at is None else max(self._known_at, began)

    def forget(self) -> None:
        """It may have been raised: whoever needs it has to ask. What is known stays known."""
        self._known_at = None
        self._forgotten_at = self.now()


def _nothing() -> None:
    """What happens when nobody wants to know."""
