"""Cluster epochs that a known primary took without a vote.

A promoted replica gets a new epoch by the vote of a majority of primaries. But a primary also takes
one without a vote, for example for each slot that it imports. Such an epoch replaces no primary, so
it counts as the one before it.
"""

from typing import Final

_MOST: Final = 1000


class Epochs:
    """The epochs that known primaries have taken without a vote."""

    def __init__(self) -> None:
        self._counts_as: dict[int, int] = {}

    def explain(self, epoch: int) -> None:
        """Take note that a primary which was known before has taken ``epoch``."""
        if epoch not in self._counts_as:
            self._counts_as[epoch] = self.effective(epoch - 1)
            while len(self._counts_as) > _MOST:
                del self._counts_as[next(iter(self._counts_as))]

    def effective(self, epoch: int) -> int:
        """Return the epoch as which ``epoch`` counts: itself unless it is explained."""
        return self._counts_as.get(epoch, epoch)

    def forget(self) -> None:
        """Forget all of them."""
        self._counts_as.clear()
