"""A journaled ending that this process knows of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.script import ScriptCall


@dataclass(slots=True, eq=False)
class KnownEntry:
    """An ending, with what this process knows about it."""

    entry: JournalEntry
    encoded: bytes
    key: bytes
    """The key of the sessions of the entry's subject."""
    make: Callable[[], ScriptCall[Any]]
    """Makes the call that carries the entry out; may raise UnreadableRecord."""
    left_at: float
    """When the entry is handed to ``on_left``."""
    rename: Callable[["KnownEntry"], None]
    missing: tuple[int, ...] = ()
    """The slots of the journals that have not confirmed the entry to the process that wrote it."""

    def refuse(self) -> None:
        """Carry the entry out under an id of its own: the store knows another request under its."""
        self.rename(self)
