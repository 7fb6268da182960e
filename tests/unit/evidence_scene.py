"""Fake nodes that are asked for evidence.

Each has an epoch and a journal, and answers an inquiry from them; a silent node times out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clusterpass.protocol.calls.journal import Told
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, Keyspace
from clusterpass.protocol.script import load_script
from clusterpass.sessions.memory.journal import Journal
from clusterpass.store.address import Address
from clusterpass.store.exchanges.evidence import Inquiry
from clusterpass.store.exchanges.steps import Send
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.topology.slots import Shard, SlotMap

from .journal_scene import Scene

KEYSPACE = Keyspace()
NODES = A, B, C, D, E, F, G = tuple(Address(name, 1) for name in "abcdefg")
"""Primaries, of which the first three hold the journals."""
MARK, MARK_BEFORE = b"f" * 40 + b":3", b"f" * 40 + b":2"
"""The mark of a filled journal, and the one that it had under the config epoch before."""
JOURNALS = dict(zip(NODES, JOURNAL_SLOTS, strict=False))


def primaries(count: int = 3, *, replicas: int = 1, journals: int = 3) -> SlotMap:
    """``count`` primaries, of which the first ``journals`` own the slots of the journals."""
    shards: list[Shard | None] = [Shard(NODES[slot % count], replicas) for slot in range(16384)]
    for number, slot in enumerate(JOURNAL_SLOTS):
        shards[slot] = Shard(NODES[number % journals], replicas)
    return SlotMap(shards, 1, is_replicated=replicas > 0)


@dataclass
class Node:
    """A node: the epoch that it tells, and its journal. Changing ``is_silent`` stops it."""

    epoch: int = 5
    entries: dict[bytes, bytes] = field(default_factory=dict)
    head: int = 0
    mark: bytes = MARK
    own_mark: bytes = MARK
    """The mark with which the journal is filled."""
    is_silent: bool = False
    refusal: ServerError | None = None
    journal_refusal: ServerError | None = None
    """The answer to scripts alone."""
    fills: list[tuple[Any, ...]] = field(default_factory=list)
    """The arguments of each script that fills the journal."""

    @property
    def is_filled(self) -> bool:
        return self.mark == self.own_mark

    @property
    def told(self) -> Told:
        """Return the part of a heartbeat's reply that is about the journal."""
        return self.head, self.mark, 250, int(self.own_mark[41:])

    def answer(self, commands: tuple[tuple[Any, ...], ...]) -> Replies | Fault:
        if self.is_silent:
            return Fault("timeout")
        if self.refusal is not None:
            return Replies([self.refusal] * len(commands))
        return Replies([self._reply(command) for command in commands])

    def _reply(self, command: tuple[Any, ...]) -> Any:
        if command == (b"CLUSTER", b"INFO"):
            return b"cluster_state:ok\r\ncluster_current_epoch:%d\r\n" % self.epoch
        if self.journal_refusal is not None:
            return self.journal_refusal
        text, arguments = command[1], command[4:]
        if text == load_script("journal_fill").source:
            return self._fill(arguments)
        assert text == load_script("journal_read").source
        found = [part for pair in self.entries.items() for part in pair]
        if arguments[0] == self.head:
            found = []  # nothing has happened since it was read last
        return [self.head, self.mark, self.own_mark, 250, b"", found]

    def _fill(self, arguments: tuple[Any, ...]) -> bytes:
        self.fills.append(arguments)
        mark, own_mark, _, is_last, *pairs = arguments
        if (mark, own_mark) != (self.mark, self.own_mark):
            return b"CHANGED"
        lacked = dict(zip(pairs[::2], pairs[1::2], strict=True))
        lacked = {each: lacked[each] for each in lacked if each not in self.entries}
        self.entries |= lacked
        self.head += len(lacked)
        if is_last == b"1":
            self.mark = own_mark
        return b"OK"


class Cluster:
    """An inquiry to some nodes, and whom it has asked when."""

    def __init__(
        self,
        nodes: Mapping[Address, Node],
        slots: SlotMap | None = None,
        *,
        book: Journal | None = None,
        has_book: bool = True,
        until: float = 99.0,
        silent: tuple[Address, ...] = (),
    ) -> None:
        self.nodes = nodes
        self.now = 10.0
        self.asked: list[Address] = []
        self.asked_at: dict[Address, float] = {}
        self.book = Scene().journal if book is None else book
        self.inquiry = Inquiry(
            slots or primaries(),
            KEYSPACE,
            self.book if has_book else None,
            clock=lambda: self.now,
            steady=lambda: 1000.0 + self.now,
            until=until,
            silent=silent,
        )

    def run(self, exchange: Any) -> Any:
        """The result of ``exchange``; each question takes a second."""
        outcome: Any = None
        while True:
            try:
                step = exchange.send(outcome)
            except StopIteration as stop:
                return stop.value
            assert isinstance(step, Send)
            assert step.urgent, "what is believed depends on it"
            self.asked.append(step.address)
            self.asked_at[step.address] = 1000.0 + self.now
            outcome = self.nodes[step.address].answer(step.commands)
            self.now += 1

    def about(self, node: Address) -> Any:
        return self.run(self.inquiry.about(node))
