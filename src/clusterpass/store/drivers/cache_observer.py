"""The interface by which a store tells a cache of its data what has changed."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence, Set
from typing import Protocol

from clusterpass.protocol.calls.journal import Told
from clusterpass.store.exchanges.evidence import JournalBook


class Observer(Protocol):
    """A cache that invalidations and heartbeats keep current. No method blocks or raises."""

    @property
    def prefixes(self) -> Sequence[bytes]:
        """The prefixes of the keys whose changes nodes have to push; the second is the cutoff's.

        Without prefixes nothing is pushed: heartbeats alone are of interest.
        """

    @property
    def wants_all(self) -> bool:
        """Whether all changes are of interest, not only those of what was read here."""

    @property
    def held(self) -> int:
        """The number of entries in memory."""

    refusal: str
    """Why no node pushes changes, as text for an operator; empty while nodes do push."""

    on_use: Callable[[], None] | None
    """Called once, from any thread, when the store is asked next; None: nobody waits for that."""

    @property
    def activity(self) -> int:
        """A number that grows with whatever is read, from memory or from the store."""

    @property
    def is_followed(self) -> bool:
        """Whether somebody waits for news, whether or not anything is read."""

    def note_use(self) -> None:
        """Note that the store is about to be asked."""

    def rested(self) -> None:
        """Note that heartbeats pause from now on, until the store is asked again."""

    @property
    def journal(self) -> JournalBook | None:
        """The known journals of a cluster; None: none is known, and nobody asks."""

    def set_primaries(self, nodes: Set[Hashable], journals: Set[Hashable] = frozenset()) -> None:
        """Note that ``nodes``, and no others, own the slots, and which of them hold journals."""

    def mapped(self, seconds: float, moved: Mapping[Hashable, Collection[int]]) -> None:
        """Note that a slot map is in use that was asked for ``seconds`` ago.

        ``moved``: the slots that have another owner than in the map before, by that former owner.
        """

    def set_journals(self, nodes: Set[Hashable]) -> None:
        """Note which nodes hold the journals; none of them: nothing is journaled."""

    def connected(self, node: Hashable, *, pushes: bool = True) -> None:
        """Note that ``node`` answers heartbeats from now on, and ``pushes`` changes or not."""

    def unheard(self, key: bytes) -> None:
        """Note that ``key`` was read in such a way that no node pushes when it changes."""

    def lost(self, node: Hashable) -> None:
        """Note that ``node`` no longer pushes changes, or no longer owns its slots."""

    def pushed(self, node: Hashable, keys: Collection[bytes] | None) -> bool:
        """Note that ``keys`` have changed; None: all keys of ``node``. Returns whether the next
        heartbeat should go out at once."""

    def beat_sent(self, node: Hashable) -> int:
        """Note that a heartbeat for ``node`` goes out now; returns the number of the heartbeat."""

    def time_told(self, node: Hashable, number: int, milliseconds: int) -> None:
        """Note the clock of ``node``, in milliseconds since the epoch, in the reply to heartbeat
        ``number``; called before :meth:`beat_answered`."""

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
        """Note the reply to heartbeat ``number``; returns whether the slots may have changed.

        ``cutoff``: milliseconds; None where the node holds no copy of the cutoff. ``told``: what
        the journal of the node tells of itself; None: there is none. ``own_epoch``: the config
        epoch of the node itself; None where it tells none.
        """

    def knows(self, node: Hashable, told: Told) -> bool:
        """Whether all entries of the journal of ``node`` are known, given what it told."""

    def heads_heard(self, node: Hashable, sent_at: float) -> None:
        """Note that all entries are known that the journal of ``node`` had at ``sent_at``.

        ``sent_at``: seconds of ``clusterpass.model.clock.steady_seconds``.
        """

    def has_gaps(self) -> bool:
        """Whether some journal was read that may have lost entries, and is not filled yet."""

    def heads_agreed(self, sent_at: float, epoch: int) -> None:
        """Note that all entries are known of two journals, which were asked from ``sent_at`` on.

        ``sent_at``: seconds of ``clusterpass.model.clock.steady_seconds``; ``epoch``: what the
        nodes of both told.
        """

    def doubts(self, node: Hashable, *, age: float = 0.0, is_durable: bool = False) -> bool:
        """Whether a reply of ``node`` needs more evidence: the node may have been replaced, or lack
        an ending that stands in the journals.

        ``age``: the seconds since the request was made. ``is_durable``: whether every replica has
        confirmed what the node wrote.
        """

    def effective_epoch(self, epoch: int) -> int:
        """The epoch as which ``epoch`` counts: a primary may have taken it without a vote."""

    def rely_on_agreements(self) -> None:
        """Note that Sentinels look after a single server: what it says of itself does not suffice,
        and it is believed while they agree."""

    def agreed(self, node: Hashable, sent_at: float, *, epoch: int = 0) -> None:
        """Note that a majority, asked from ``sent_at`` on, agreed that ``node`` was not replaced.

        ``sent_at``: seconds of ``clusterpass.model.clock.steady_seconds``; ``epoch``: that of the
        service, where the majority is one of Sentinels.
        """

    def unjudged(self, node: Hashable) -> None:
        """Note that ``node`` refuses to tell what is needed to judge whether it was replaced."""

    def changed(self, key: bytes) -> None:
        """Note that this process has changed ``key``, or may have."""
