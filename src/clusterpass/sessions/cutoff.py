"""The time before which every session of the namespace has ended, as this process knows it.

- It is asked for again when the last answer is half a second old; one caller asks, the others go
  on with what is known until that is nearly a second old, then they ask too.
- The age of an answer counts from before the question was sent.
- It never falls: what was revoked stays revoked, whatever a store says that was rolled back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_ASK_AFTER: Final = 0.5
_NEVER_OLDER_THAN: Final = 0.9


class Cutoff:
    """Not locked: threads that meet here ask once too often at worst."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """``monotonic``: seconds."""
        self.now: Final = monotonic
        self.milliseconds = 0
        self.copy = 0
        """Which copy is asked."""
        self._known_at: float | None = None
        self._asking = 0

    def is_due(self) -> bool:
        """Whether the caller has to ask."""
        if self._known_at is None:
            return True
        age = self.now() - self._known_at
        return age >= (_NEVER_OLDER_THAN if self._asking else _ASK_AFTER)

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
        self.milliseconds = max(self.milliseconds, milliseconds)
        self._known_at = max(self._known_at or began, began)
