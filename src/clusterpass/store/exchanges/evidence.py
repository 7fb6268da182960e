"""Collects the evidence for answers: the epochs of a majority, and the journals. Pure.

- A node is believed when a majority of the primaries reports the same epoch as the node itself: a
  replica is promoted by the votes of a majority, and a primary raises its epoch before it votes. An
  epoch that a primary has taken without a vote counts as the one before it.
- Endings that a node does not know yet, because its shard could not confirm them, are in the
  journals. All of them are known once two filled journals were read whose primaries report that
  epoch too.
- A journal that may have lost entries is filled from the others: from two filled ones, or from all
  there are, as after a restart of the whole cluster. In a new namespace two suffice to begin.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol

from clusterpass.model.errors import StoreDenied, StoreUnavailable
from clusterpass.protocol.calls.journal import JournalRead, ReadFrom, fill_journal, read_journal
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, Keyspace
from clusterpass.protocol.script import ScriptCall
from clusterpass.store.address import Address
from clusterpass.store.exchanges.commands import command_of
from clusterpass.store.exchanges.server_errors import judge
from clusterpass.store.exchanges.steps import Exchange, Send
from clusterpass.store.exchanges.terms import Ahead
from clusterpass.store.outcomes import Command, Replies, ServerError
from clusterpass.store.randomness import chance
from clusterpass.store.topology.epoch import read_epoch
from clusterpass.store.topology.slots import SlotMap

_ENOUGH: Final = 2
"""Journals whose entries have to be known; an entry is confirmed by as many of the three."""
_MOST_FILLED_AT_ONCE: Final = 500
_EVIDENCE_MILLISECONDS: Final = 250
_REFUSED: Final = frozenset({"NOPERM", "ERR"})
_CLUSTER_INFO: Final[Command] = (b"CLUSTER", b"INFO")


class JournalBook(Protocol):
    """The journals as a process knows them; no method blocks or raises."""

    @property
    def ahead(self) -> Mapping[bytes, tuple[Ahead, ...]]:
        """The endings to carry out ahead of every call about a subject, by the key of its
        sessions."""

    def read_from(self, node: Address) -> ReadFrom:
        """The place from which the journal of ``node`` has to be read."""

    def take(self, node: Address, asked: ReadFrom, read: JournalRead) -> ReadFrom | None:
        """Take note of a reply; from where to go on, None: all entries are known."""

    def encoded(self) -> Mapping[bytes, bytes]:
        """All known entries by id, as a journal holds them."""


def journal_nodes(slots: SlotMap) -> dict[Address, int]:
    """The primaries that hold the journals, with the slot of each.

    Empty without replicas, as then nothing is ever journaled, and where the three slots lie on
    fewer than three primaries, as the loss of one node would take two journals.
    """
    found = {
        shard.primary: slot
        for slot in JOURNAL_SLOTS
        if (shard := slots.shard(slot)) is not None and slots.is_replicated
    }
    return found if len(found) == len(JOURNAL_SLOTS) else {}


class Inquiry:
    """One round of questions to the nodes of a cluster."""

    def __init__(
        self,
        slots: SlotMap,
        keyspace: Keyspace,
        book: JournalBook | None,
        *,
        clock: Callable[[], float],
        steady: Callable[[], float],
        until: float,
        silent: Collection[object] = (),
        effective: Callable[[int], int] = int,
    ) -> None:
        """``book``: None where nothing is known of journals; ``clock``, ``steady``: return seconds
        of the monotonic and of the steady clock; ``until``: the time of ``clock`` after which no
        further node is asked; ``silent``: nodes that are asked last; ``effective``: returns as
        what an epoch counts."""
        self._slots = slots
        self._keyspace = keyspace
        self._book = book
        self._clock = clock
        self._steady = steady
        self._until = until
        self._silent = silent
        self._effective = effective
        self._journals = {} if book is None else journal_nodes(slots)
        self._epochs: dict[Address, int] = {}
        self._heads: dict[Address, tuple[float, JournalRead]] = {}
        self._refused: set[Address] = set()
        self.epoch = 0
        """The epoch that the inquiry is about."""

    @property
    def heads_at(self) -> float | None:
        """When the older of two filled journals was asked, in steady seconds; None: too few."""
        asked = sorted(
            at
            for node, (at, read) in self._heads.items()
            if read.is_filled and self._is_of_epoch(node)
        )
        return asked[-_ENOUGH] if len(asked) >= _ENOUGH else None

    def about(self, node: Address) -> Exchange[bool]:
        """Whether what ``node`` has answered before may be believed.

        A node that refuses to tell an epoch at all, as an ACL forbids the question, cannot be
        judged: then the result is True.
        """
        yield from self._ask(node)
        if node in self._refused:
            return True
        if node not in self._epochs:
            return False
        self.epoch = self._epochs[node]
        for other in self._in_order(node):
            is_agreed = self._agreeing() > len(self._slots.primaries()) // 2
            if (is_agreed and self._knows_heads()) or self._clock() >= self._until:
                break
            yield from self._ask(other)
            if self._effective(self._epochs.get(other, 0)) > self._effective(self.epoch):
                return False
        if self._agreeing() <= len(self._slots.primaries()) // 2:
            return False
        if not self._knows_heads():
            yield from self._fill()
        return self._knows_heads()

    def read_one(self, node: Address) -> Exchange[float | None]:
        """Read the journal of ``node``: when it was asked, in steady seconds; None: not filled."""
        yield from self._ask(node)
        asked_at, read = self._heads.get(node, (None, None))
        return asked_at if read is not None and read.is_filled else None

    def fill(self) -> Exchange[None]:
        """Fill the journals that may have lost entries, where the others suffice."""
        for node in self._in_order():
            yield from self._ask(node)
        self.epoch = max(self._epochs.values(), default=0)
        told = sum(self._is_of_epoch(node) for node in self._epochs)
        if told > len(self._slots.primaries()) // 2:
            yield from self._fill()

    def _knows_heads(self) -> bool:
        return not self._journals or self.heads_at is not None

    def _agreeing(self) -> int:
        primaries = self._slots.primaries()
        # A node that owns nothing any more has no voice.
        return sum(
            self._is_of_epoch(each) and self._epochs[each] <= self.epoch for each in primaries
        )

    def _is_of_epoch(self, node: Address) -> bool:
        told = self._epochs.get(node)
        return told is not None and self._effective(told) == self._effective(self.epoch)

    def _in_order(self, first: Address | None = None) -> list[Address]:
        """The nodes to ask after ``first``: those with journals first, silent ones last."""
        journals, others = list(self._journals), self._slots.primaries()
        chance.shuffle(journals)
        chance.shuffle(others)
        nodes = [each for each in dict.fromkeys((*journals, *others)) if each != first]
        return sorted(nodes, key=lambda each: each in self._silent)

    def _ask(self, node: Address) -> Exchange[None]:
        """Ask ``node`` for its epoch, and read its journal if it holds one."""
        asked: ReadFrom | None = None
        slot = self._journals.get(node)
        if slot is not None and self._book is not None:
            asked = self._book.read_from(node)
        while True:
            commands: tuple[Command, ...] = (_CLUSTER_INFO,)
            if asked is not None and slot is not None:
                commands = (_CLUSTER_INFO, self._command(read_journal(self._keyspace, slot, asked)))
            sent_at = self._steady()
            outcome = yield Send(node, commands, urgent=True)
            if not isinstance(outcome, Replies):
                return
            info = outcome.values[0]
            if isinstance(info, ServerError):
                self._refused |= {node} if info.code in _REFUSED else set()
                return
            epoch = read_epoch(info)
            if epoch is None:
                return
            self._epochs[node] = epoch
            if asked is None:
                return
            if isinstance(outcome.values[1], ServerError):
                self._judge(node, outcome.values[1])
                return
            asked = self._take(node, asked, outcome.values[1], sent_at)
            if asked is None:
                return

    @staticmethod
    def _judge(node: Address, error: ServerError) -> None:
        """Raise StoreDenied or StoreFailed where the journal of ``node`` can never be read."""
        try:
            judge(error)
        except StoreDenied as refusal:
            refusal.node = str(node)
            raise
        except StoreUnavailable:
            pass  # the node has other troubles, which pass

    def _take(self, node: Address, asked: ReadFrom, reply: Any, sent_at: float) -> ReadFrom | None:
        assert self._book is not None
        slot = self._journals[node]
        read = read_journal(self._keyspace, slot, asked).read(reply)
        more = self._book.take(node, asked, read)
        if more is None:
            self._heads[node] = sent_at, read
        return more

    def _fill(self) -> Exchange[None]:
        assert self._book is not None
        heard = {node: read for node, (_, read) in self._heads.items() if self._is_of_epoch(node)}
        filled = sum(read.is_filled for read in heard.values())
        are_new = all(not read.mark and not read.head for read in heard.values())
        enough = _ENOUGH if are_new else len(self._journals)
        if filled < _ENOUGH and len(heard) < enough:
            return
        entries = list(self._book.encoded().items())
        firsts = range(0, len(entries) or 1, _MOST_FILLED_AT_ONCE)
        for node, read in heard.items():
            for first in firsts if not read.is_filled else ():
                call = fill_journal(
                    self._keyspace,
                    self._journals[node],
                    seen=read,
                    milliseconds=_EVIDENCE_MILLISECONDS,
                    entries=dict(entries[first : first + _MOST_FILLED_AT_ONCE]),
                    is_last=first == firsts[-1],
                )
                outcome = yield Send(node, (self._command(call),), urgent=True)
                if not isinstance(outcome, Replies) or outcome.values != [b"OK"]:
                    break  # a part that is missing must not be followed by the mark
            if not read.is_filled:
                yield from self._ask(node)

    @staticmethod
    def _command(call: ScriptCall[Any]) -> Command:
        return command_of(call, call.keys, by_name=False)
