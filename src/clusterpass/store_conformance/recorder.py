"""An observer of a store that notes what it is told, for the tests to look at."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence, Set

from clusterpass.protocol.calls.journal import Told
from clusterpass.store.exchanges.evidence import JournalBook


class Recorder:
    """An observer that keeps what it is told."""

    prefixes: Sequence[bytes] = (b"cp:{", b"cp:not-before:{")
    journal: JournalBook | None = None
    """No journals are read."""
    held = 0
    """Nothing is in memory."""
    activity = 0
    """Nothing is read from memory."""
    is_followed = True
    """Heartbeats never pause."""

    def __init__(self, *, wants_all: bool = True) -> None:
        """``wants_all``: whether all changes are of interest, or those of what was read."""
        self.wants_all = wants_all
        self.on_use: Callable[[], None] | None = None
        self.refusal = ""
        self.primaries: Set[Hashable] = frozenset()
        self.pushing: set[Hashable] = set()
        self.keys: set[bytes] = set()
        self.own: set[bytes] = set()
        self.unannounced: set[bytes] = set()
        self.answered: set[Hashable] = set()
        self._beats = 0

    def set_primaries(self, nodes: Set[Hashable], journals: Set[Hashable] = frozenset()) -> None:
        """Keep who owns the slots."""
        self.primaries = frozenset(nodes)

    def note_use(self) -> None:
        """Nobody waits for a use."""

    def rested(self) -> None:
        """Heartbeats never pause."""

    def mapped(self, seconds: float, moved: Mapping[Hashable, Collection[int]]) -> None:
        """Nothing depends on the slots."""

    def effective_epoch(self, epoch: int) -> int:
        """No epoch is explained."""
        return epoch

    def unheard(self, key: bytes) -> None:
        """Keep which keys were read without being announced."""
        self.unannounced.add(key)

    def set_journals(self, nodes: Set[Hashable]) -> None:
        """No journals are read."""

    def knows(self, node: Hashable, told: Told) -> bool:
        """Nothing is unknown."""
        return True

    def has_gaps(self) -> bool:
        """Nothing is missing."""
        return False

    def heads_heard(self, node: Hashable, sent_at: float) -> None:
        """No journals are read."""

    def heads_agreed(self, sent_at: float, epoch: int) -> None:
        """No journals are read."""

    def connected(self, node: Hashable, *, pushes: bool = True) -> None:
        """Keep whether ``node`` pushes."""
        (self.pushing.add if pushes else self.pushing.discard)(node)

    def rely_on_agreements(self) -> None:
        """Nobody is asked, as no node is ever doubted."""

    def agreed(self, node: Hashable, sent_at: float, *, epoch: int = 0) -> None:
        """Nobody is asked, as no node is ever doubted."""

    def unjudged(self, node: Hashable) -> None:
        """Nobody is judged."""

    def lost(self, node: Hashable) -> None:
        """Keep that ``node`` pushes no more."""
        self.pushing.discard(node)

    def pushed(self, node: Hashable, keys: Iterable[bytes] | None) -> bool:
        """Keep which keys have changed."""
        self.keys.update(keys or ())
        return False

    def beat_sent(self, node: Hashable) -> int:
        """The number of a heartbeat."""
        self._beats += 1
        return self._beats

    def time_told(self, node: Hashable, number: int, milliseconds: int) -> None:
        """No clock is compared."""

    def beat_answered(
        self,
        node: Hashable,
        number: int,
        epoch: int,
        cutoff: int | None,
        told: Told | None = None,
        *,
        own_epoch: int | None = None,
    ) -> bool:
        """Keep that ``node`` answered a heartbeat."""
        self.answered.add(node)
        return False

    def doubts(self, node: Hashable, *, age: float = 0.0, is_durable: bool = False) -> bool:
        """No node is ever doubted."""
        return False

    def changed(self, key: bytes) -> None:
        """Keep which keys this process has changed."""
        self.own.add(key)
