"""A journal in memory, with replies of its nodes and clocks under the control of the test."""

import threading
from dataclasses import replace
from typing import Any

from clusterpass.protocol.calls.journal import JournalRead, ReadFrom, Told
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.sessions.memory.journal import Journal
from clusterpass.sessions.memory.known_entry import KnownEntry

KEYSPACE = Keyspace()
ALL = ReadFrom(None)
WALL = 1_800_000_000
TIME = WALL * 1000
KEY = KEYSPACE.sessions("alice")
MARK, OTHER_RUN = b"a" * 40 + b":3", b"b" * 40 + b":3"
"""The mark of a journal that was filled, and that of another run of its server."""
MARK_BEFORE = b"a" * 40 + b":2"
"""The mark of a journal that was filled under an earlier config epoch of its primary."""


class Scene:
    """A journal in memory whose clocks and chance are the test's."""

    def __init__(self) -> None:
        self.now = 100.0
        self.chance = 0.5
        self.changed: list[bytes] = []
        self.left: list[KnownEntry] = []
        self.journal = Journal(
            KEYSPACE,
            lambda: Housekeeping(975),
            steady=lambda: self.now,
            clock=lambda: WALL,
            lock=threading.RLock,
            jitter=lambda: self.chance,
            changed=self.changed.append,
        )
        self.journal.on_left = self.left.append

    def take(self, asked: ReadFrom, answer: JournalRead, node: str = "a") -> ReadFrom | None:
        return self.journal.take(node, asked, answer)

    def known(self) -> set[bytes]:
        return {entry_id[:8] for entry_id in self.journal.encoded()}

    def look(self, seconds: float) -> list[KnownEntry]:
        """What is handed over when somebody looks after so many more seconds."""
        self.now += seconds
        self.left.clear()
        self.journal.look_for_left()
        return list(self.left)


def entry(name: str = "1", subject: str = "alice", time: int | None = None) -> JournalEntry:
    return JournalEntry.of_end_all(
        name.encode().ljust(8, b"."),
        subject,
        keep=None,
        device_type=None,
        note="",
        milliseconds=time,
        expires_at=WALL + 1,
    )


def ids(*names: str) -> set[bytes]:
    return {entry(name).operation for name in names}


def answer(
    head: int,
    *entries: JournalEntry,
    trimmed: tuple[JournalEntry, ...] = (),
    own_mark: bytes = MARK,
    mark: bytes | None = None,
    **changed: Any,
) -> JournalRead:
    """Return the reply of a journal; it is filled unless its ``mark`` is given."""
    found = {each.id: each.encode() for each in entries} | {each.id: b"" for each in trimmed}
    mark = own_mark if mark is None else mark
    read = JournalRead(head, mark, own_mark, milliseconds=250, cursor=b"", entries=found)
    return replace(read, **changed)


def told(head: int, mark: bytes = MARK, milliseconds: int = 250, epoch: int = 3) -> Told:
    return head, mark, milliseconds, epoch
