"""The calls of the journals, which hold the endings that their own shard could not confirm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from clusterpass.protocol.calls.statuses import JournalAppendStatus, JournalFillStatus
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import ScriptCall, load_script

MOST_ENTRIES: Final = 100_000
"""The most endings that a journal holds; more are refused as pending."""
_MOST_IN_A_REPLY: Final = 1000
_DEADLINE: Final = 0.5
"""Seconds: the other journals are waiting for their turn."""
Told = tuple[int, bytes, int, int]
"""What a journal tells of itself: head, mark, how old evidence may be in milliseconds, and the
config epoch of its primary."""


@dataclass(frozen=True, slots=True)
class ReadFrom:
    """The place to read a journal from: an event, or a cursor among all entries."""

    position: int | None
    """The latest event that is known; None: all entries are read."""
    cursor: bytes = b"0"
    """Where to go on among all entries."""
    began_at: int = 0
    """The head when reading of all entries began."""


@dataclass(frozen=True, slots=True)
class JournalRead:
    """The reply to one read of a journal."""

    head: int
    """The number of the latest event."""
    mark: bytes
    """The mark of the journal; empty: it was never filled."""
    own_mark: bytes
    """The mark of a filled journal: the run of the server and its config epoch."""
    milliseconds: int
    """How old evidence may be, in the whole namespace; 0: the journal does not say."""
    cursor: bytes
    """Where to go on reading all entries; empty: everything was read."""
    entries: Mapping[bytes, bytes]
    """The entries by id; empty: the entry was trimmed."""

    @property
    def is_filled(self) -> bool:
        """Whether the journal has all entries that two journals have confirmed."""
        return self.mark == self.own_mark

    @property
    def told(self) -> Told:
        """The journal's report on itself."""
        epoch = int(self.own_mark.rpartition(b":")[2])
        return self.head, self.mark, self.milliseconds, epoch


def append_to_journal(
    keyspace: Keyspace, slot: int, entry_id: bytes, entry: bytes, *, confirm: bool = True
) -> ScriptCall[JournalAppendStatus]:
    """Write ``entry`` into the journal in ``slot``: ``scripts/journal_append.lua``."""
    return ScriptCall(
        load_script("journal_append"),
        (keyspace.journal(slot),),
        (entry_id, entry, MOST_ENTRIES),
        lambda raw: cast("JournalAppendStatus", raw.decode()),
        confirm=confirm,
        is_ending=True,
        deadline=_DEADLINE,
        slot=slot,
    )


def read_journal(keyspace: Keyspace, slot: int, asked: ReadFrom) -> ScriptCall[JournalRead]:
    """Read the journal in ``slot`` from where ``asked`` says: ``scripts/journal_read.lua``."""
    return ScriptCall(
        load_script("journal_read"),
        (keyspace.journal(slot),),
        (b"" if asked.position is None else asked.position, asked.cursor, _MOST_IN_A_REPLY),
        _read_journal,
        slot=slot,
    )


def trim_journal(keyspace: Keyspace, slot: int, entry_ids: Sequence[bytes]) -> ScriptCall[int]:
    """Remove entries from the journal in ``slot``; the reply is how many there were.

    No replica is asked to confirm: an entry that comes back is carried out once more. The script is
    ``scripts/journal_trim.lua``.
    """
    return ScriptCall(
        load_script("journal_trim"),
        (keyspace.journal(slot),),
        tuple(entry_ids),
        int,
        confirm=False,
        deadline=_DEADLINE,
        slot=slot,
    )


def fill_journal(
    keyspace: Keyspace,
    slot: int,
    *,
    seen: JournalRead,
    milliseconds: int,
    entries: Mapping[bytes, bytes],
    is_last: bool,
) -> ScriptCall[JournalFillStatus]:
    """Write ``entries`` of the others into the journal in ``slot``, which was ``seen`` unfilled.

    ``milliseconds``: how old evidence may be, where the journal does not say; ``is_last``: whether
    the journal is marked as filled. The script is ``scripts/journal_fill.lua``.
    """
    pairs = [part for pair in entries.items() for part in pair]
    return ScriptCall(
        load_script("journal_fill"),
        (keyspace.journal(slot),),
        (seen.mark, seen.own_mark, milliseconds, b"1" if is_last else b"", *pairs),
        lambda raw: cast("JournalFillStatus", raw.decode()),
        confirm=False,
        slot=slot,
    )


def told_in(fields: Sequence[bytes | None], epoch: int) -> Told:
    """Parse a journal's report on itself from its fields ``h``, ``m`` and ``l``.

    ``epoch``: the config epoch of its primary.
    """
    head, mark, milliseconds = fields
    return int(head or 0), mark or b"", int(milliseconds or 0), epoch


def _read_journal(raw: list[Any]) -> JournalRead:
    head, mark, own_mark, milliseconds, cursor, found = raw
    entries = dict(zip(found[::2], found[1::2], strict=True))
    return JournalRead(head, mark, own_mark, milliseconds, cursor, entries)
