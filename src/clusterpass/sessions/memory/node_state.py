"""The state of one node as a process knows it: its lease, its heartbeats and its epoch."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from math import inf
from typing import Final

_MOST_UNANSWERED: Final = 64
_MOST_TOLD: Final = 8
_MOST_UNMAPPED: Final = 16


class Lease:
    """The lease of one generation of one node."""

    __slots__ = ("began", "connected", "node", "until")

    def __init__(self, node: Hashable, began: int, connected: int | None = None) -> None:
        """``connected``: the number of the event with which the connection began that pushes; by
        default, the generation began with it."""
        self.node: Final = node
        """The node that the sessions were read from."""
        self.began: Final = began
        """The number of the event with which the generation began."""
        self.connected: Final = began if connected is None else connected
        """The number of the event with which the first generation on the connection began."""
        self.until = -inf
        """When the lease expires, in seconds of the steady clock."""


NEVER: Final = Lease(None, 0)
"""The lease of entries that may not be served."""


ALWAYS: Final = Lease(None, 0)
"""The lease of entries that no node can change."""
ALWAYS.until = inf


@dataclass(slots=True)
class Unmapped:
    """A change after which the slots of a node have to be looked up. Times are steady seconds."""

    safe_at: float
    """When the node was last asked before the change: until then it had lost no slot."""
    heard_at: float
    """When the change became known; a slot map that was asked for later covers it."""


class NodeState:
    """The connection, the heartbeats and the epoch of one node."""

    __slots__ = (
        "connected_at",
        "cutoff_sent_at",
        "epoch",
        "epoch_sent_at",
        "heads_sent_at",
        "is_met",
        "lease",
        "majority_at",
        "met_at",
        "met_epoch",
        "own_epoch",
        "own_until",
        "previous",
        "told",
        "unanswered",
        "unmapped",
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
        self.met_epoch: int | None = None
        """The config epoch of the node when the heartbeats paused; None: they do not pause."""
        self.connected_at: float | None = None
        """When the present connection began; None: not known."""
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
        self.own_epoch: int | None = None
        """The config epoch that the node last claimed as its own."""
        self.majority_at = -inf
        """When a majority was last asked that had voted for no epoch above the node's."""
        self.told: dict[int, float] = {}
        """When the latest beat was sent to which the node reported an epoch, by epoch."""
        self.unmapped: deque[Unmapped] = deque(maxlen=_MOST_UNMAPPED)
        """The changes of the node's epoch, or of the connection, that no slot map covers yet."""

    def sent_at(self, number: int) -> float | None:
        """Return when the beat was sent, and discard earlier beats, which were never answered."""
        while self.unanswered and self.unanswered[0][0] <= number:
            found, sent_at = self.unanswered.popleft()
            if found == number:
                return sent_at
        return None

    def rest(self) -> None:
        """Note that heartbeats pause: until the next one is answered, nothing rests on the node."""
        if self.own_epoch is not None:
            self.met_epoch = self.own_epoch

    def resume(self, own_epoch: int | None) -> None:
        """Note the config epoch that the node tells after a pause, if there was one.

        A primary that was replaced meanwhile and has come back has another one than before: it is
        a new acquaintance.
        """
        if self.met_epoch is not None and self.met_epoch != own_epoch:
            self.own_epoch, self.met_at = None, None
        self.met_epoch = None

    def epoch_told(self, epoch: int, sent_at: float) -> None:
        """Note that the node reported ``epoch`` to the beat that was sent at ``sent_at``."""
        self.told[epoch] = max(self.told.get(epoch, -inf), sent_at)
        while len(self.told) > _MOST_TOLD:
            del self.told[min(self.told)]

    def told_up_to(self, epoch: int) -> float:
        """Return when the latest beat was sent to which the node reported ``epoch`` or less."""
        return max((at for told, at in self.told.items() if told <= epoch), default=-inf)

    def note_unmapped(self, safe_at: float, heard_at: float) -> None:
        """Note a change after which the slots have to be looked up."""
        if len(self.unmapped) == _MOST_UNMAPPED:
            self.unmapped[-1].heard_at = heard_at
        else:
            self.unmapped.append(Unmapped(safe_at, heard_at))

    def mapped(self, asked_at: float) -> None:
        """Note that a slot map that was asked for at ``asked_at`` is in use."""
        while self.unmapped and self.unmapped[0].heard_at < asked_at:
            self.unmapped.popleft()
