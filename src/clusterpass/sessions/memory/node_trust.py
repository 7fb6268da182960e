"""Judges from heartbeats, epochs and journals whether a node can be trusted as a primary.

The watch of a store reports the events; a store asks before it believes a reply. One lock guards
the :class:`Leases` and whatever depends on them.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Set
from contextlib import AbstractContextManager
from typing import Any, Final

from clusterpass.protocol.calls.journal import Told
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.journal import Journal
from clusterpass.sessions.memory.leases import Leases


class NodeTrust:
    """The evidence of one manager."""

    def __init__(
        self,
        leases: Leases,
        cutoff: Cutoff,
        *,
        steady: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        """``steady``: returns seconds of the steady clock; ``lock``: creates a reentrant lock."""
        self.leases: Final = leases
        self._cutoff: Final = cutoff
        self._steady = steady
        self._new_lock = lock
        self._lock = lock()
        self.journal: Journal | None = None
        """What is known of the journals of a cluster; None: nothing, and nobody asks."""
        self.on_time: Callable[[Hashable, int, float, Set[Hashable]], None] = _nothing
        """Called with a node, its clock in milliseconds, when it was asked, and all primaries."""
        self.uses = 0
        """How often something was asked of the store."""
        self.on_use: Callable[[], None] | None = None
        """Called once, when the store is asked next; None: nobody waits for that."""
        self.on_gap: Callable[[], None] = _nothing
        """Called when a node may have changed something unheard: it left, was lost, or is new."""

    @property
    def activity(self) -> int:
        """A number that grows with whatever is read."""
        return self.uses

    @property
    def is_followed(self) -> bool:
        """Whether somebody waits for news, whether or not anything is read."""
        return False

    def note_use(self) -> None:
        """Take note that the store is about to be asked, or somebody waits for news."""
        self.uses += 1
        on_use = self.on_use
        if on_use is not None:
            self.on_use = None
            on_use()

    def rested(self) -> None:
        """Take note that heartbeats pause from now on."""
        with self._lock:
            self.leases.rested()

    def set_primaries(self, nodes: Set[Hashable], journals: Set[Hashable] = frozenset()) -> None:
        """Set the nodes that own slots, and those among them that hold a journal."""
        with self._lock:
            known = self.leases.primaries
            for node in known - nodes:
                self._note_gap(node)
            for _ in nodes - known if known else ():
                self.on_gap()  # what it changed since it owns slots was not pushed to this process
            self.leases.set_primaries(nodes)
            self.leases.set_journals(journals)

    def mapped(self, seconds: float, moved: Mapping[Hashable, Collection[int]]) -> None:
        """Take note of the slot map that was asked for ``seconds`` ago.

        ``moved``: the slots that have another owner than in the map before, by that former owner.
        """
        with self._lock:
            self.leases.mapped(self._steady() - seconds, moved)

    def set_journals(self, nodes: Set[Hashable]) -> None:
        """Set the nodes that hold the journals."""
        with self._lock:
            self.leases.set_journals(nodes)

    def connected(self, node: Hashable, *, pushes: bool = True) -> None:
        """Begin a generation: ``node`` answers heartbeats, and ``pushes`` invalidations or not."""
        with self._lock:
            self.leases.connected(node, pushes=pushes, at=self._steady())
            if self.journal is not None:
                self.journal.forget_node(node)

    def unheard(self, key: bytes) -> None:
        """Take note that no node pushes when what was just read of ``key`` changes."""

    def lost(self, node: Hashable) -> None:
        """End the generation of ``node``: it no longer pushes, or does not own its slots."""
        with self._lock:
            self._note_gap(node)
            self.leases.lost(node)
            if self.journal is not None:
                self.journal.forget_node(node)

    def _note_gap(self, node: Hashable) -> None:
        """Tell of a gap, if ``node`` pushes changes until now."""
        if self.leases.lease(node) is not None:
            self.on_gap()

    def beat_sent(self, node: Hashable) -> int:
        """Return the number of a heartbeat that is about to be sent to ``node``."""
        with self._lock:
            return self.leases.beat_sent(node, self._steady())

    def time_told(self, node: Hashable, number: int, milliseconds: int) -> None:
        """Take note of the clock of ``node`` in the answer to beat ``number``."""
        with self._lock:
            sent_at = self.leases.sent_at(node, number)
            if sent_at is not None:
                self.on_time(node, milliseconds, sent_at, self.leases.primaries)

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
        """Take note of the answer to beat ``number``; return whether the slots may have changed.

        ``cutoff``: in milliseconds since the epoch; None: the node holds no copy of the cutoff.
        ``told``: what the journal of the node tells of itself; None: there is none. ``own_epoch``:
        the config epoch of the node itself.
        """
        with self._lock:
            sent_at = self.leases.sent_at(node, number)
            if sent_at is None:
                return False
            if cutoff is not None:
                self._cutoff.learn(cutoff, sent_at)
            has_changed = self.leases.beat_answered(
                node,
                number,
                epoch=epoch,
                own_epoch=own_epoch,
                knows_cutoff=cutoff is not None,
                heard_at=self._steady(),
            )
            if told is not None and self.knows(node, told):
                self.leases.heads_heard(node, sent_at)
            self.leases.met(node, self._steady())
        if self.journal is not None:
            self.journal.look_for_left()
        return has_changed

    def doubts(self, node: Hashable, *, age: float = 0.0, is_durable: bool = False) -> bool:
        """Return whether more evidence is needed to believe an answer of ``node``.

        A node may have been replaced without knowing it when it reports an older epoch than others,
        when it is not a known primary, or when a majority of primaries does not answer; a single
        server, when it has not said lately that it is a primary. The node may lack an ending when
        the journals were not asked lately. ``is_durable``: whether every replica has confirmed what
        the node wrote, so that none can have replaced it.

        Evidence counts that was asked for less than L before the request was made, ``age`` seconds
        ago: nothing that it lacks had been acknowledged by then. However long the answer waits for
        its turn, later evidence is not needed.
        """
        return self.leases.doubts(node, self._steady() - age, is_durable=is_durable)

    def seconds_unsettled(self, node: Hashable) -> float:
        """Return for how long somebody may still believe the primary that ``node`` has replaced."""
        return self.leases.seconds_unsettled(node, self._steady())

    def knows(self, node: Hashable, told: Told) -> bool:
        """Return whether all entries of the journal of ``node`` are known."""
        return self.journal is not None and self.journal.knows(node, told)

    def has_gaps(self) -> bool:
        """Return whether a journal was read that may have lost entries, and is not filled yet."""
        return self.journal is not None and self.journal.has_gaps()

    def heads_heard(self, node: Hashable, sent_at: float) -> None:
        """Take note that the journal of ``node``, asked at ``sent_at``, holds nothing unknown."""
        with self._lock:
            self._take_bound()
            self.leases.heads_heard(node, sent_at)

    def heads_agreed(self, sent_at: float, epoch: int) -> None:
        """Take note that all entries of two journals, asked from ``sent_at`` on, are known."""
        with self._lock:
            self._take_bound()
            self.leases.heads_agreed(sent_at, epoch)

    def _take_bound(self) -> None:
        if self.journal is not None and self.journal.milliseconds:
            self.leases.set_evidence_bound(self.journal.milliseconds / 1000)

    def effective_epoch(self, epoch: int) -> int:
        """Return as what ``epoch`` counts: a known primary may have taken it for itself."""
        return self.leases.epochs.effective(epoch)

    def rely_on_agreements(self) -> None:
        """Believe a single server while the Sentinels that look after it agree, and not because of
        what it says of itself."""
        with self._lock:
            self.leases.rely_on_agreements()

    def agreed(self, node: Hashable, sent_at: float, *, epoch: int = 0) -> None:
        """Believe ``node`` for a while: a majority, asked from ``sent_at`` on, told its epoch.

        ``epoch``: that of the service, where the majority is one of Sentinels.
        """
        with self._lock:
            self.leases.agreed(node, sent_at, epoch=epoch, now=self._steady())

    def unjudged(self, node: Hashable) -> None:
        """Believe ``node``, which refuses to tell what a judgement needs."""
        with self._lock:
            self.leases.unjudged(node)


def _nothing(*_: object) -> None:
    """Ignore the event."""
