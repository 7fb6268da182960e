"""What is known of one node: its lease, its heartbeats, and the epoch that it told."""

from collections import deque
from collections.abc import Hashable
from math import inf
from typing import Final

_MOST_UNANSWERED: Final = 64


class Lease:
    """The lease of one generation of one node."""

    __slots__ = ("began", "node", "until")

    def __init__(self, node: Hashable, began: int) -> None:
        self.node: Final = node
        """The node that the sessions were read from."""
        self.began: Final = began
        """The number of the event with which the generation began."""
        self.until = -inf
        """When the lease expires, in seconds of the steady clock."""


NEVER: Final = Lease(None, 0)
"""The lease of entries that may not be served."""


ALWAYS: Final = Lease(None, 0)
"""The lease of entries that no node can change."""
ALWAYS.until = inf


class NodeState:
    """The connection, the heartbeats and the epoch of one node."""

    __slots__ = (
        "cutoff_sent_at",
        "epoch",
        "epoch_sent_at",
        "heads_sent_at",
        "is_met",
        "lease",
        "met_at",
        "own_until",
        "previous",
        "unanswered",
    )

    def __init__(self) -> None:
        self.epoch: int | None = None
        """The latest epoch that the node reported; kept when the connection is lost."""
        self.lease: Lease | None = None
        """The lease of the current generation; None while the node does not push."""
        self.is_met = False
        """Whether the node is connected, and its heartbeats count."""
        self.met_at: float | None = None
        """When the node first answered a heartbeat on this connection and under this epoch."""
        self.forget_beats()

    def forget_beats(self) -> None:
        """Discard all heartbeats that were sent before."""
        self.unanswered: deque[tuple[int, float]] = deque(maxlen=_MOST_UNANSWERED)
        self.previous: float | None = None
        """When the latest answered beat was sent, in seconds of the steady clock."""
        self.own_until = -inf
        self.epoch_sent_at = -inf
        self.cutoff_sent_at = -inf
        self.heads_sent_at = -inf
        """When the latest beat was sent by which all entries of the node's journal are known."""

    def sent_at(self, number: int) -> float | None:
        """Return when the beat was sent, and discard earlier beats, which were never answered."""
        while self.unanswered and self.unanswered[0][0] <= number:
            found, sent_at = self.unanswered.popleft()
            if found == number:
                return sent_at
        return None
