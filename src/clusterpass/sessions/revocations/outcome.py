"""The outcome of a revocation: the reply, and whether it is durable or journaled."""

from dataclasses import dataclass
from typing import Any

from clusterpass.model.values import Ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a revocation that no single failure can undo."""

    reply: Any
    """The reply of the subject's own shard; None: the shard could not be asked."""
    durable: bool
    """Whether the revocation is durable; False where nothing could confirm it."""
    is_journaled: bool = False
    """Whether journals hold the revocation, as its own shard could not confirm it."""

    def count(self, ended: int) -> Ended:
        """The outcome as a caller gets it, with the number of sessions that ended."""
        return Ended(ended, self.durable, self.is_journaled)
