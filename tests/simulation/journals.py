"""The journal of endings that a primary holds, as the scripts of the library read and write it."""

from typing import Any

from clusterpass.protocol.script import load_script

APPEND, READ, FILL = (load_script(f"journal_{verb}") for verb in ("append", "read", "fill"))
KINDS = {READ.source: "inquiry", READ.sha1: "inquiry", FILL.source: "fill", FILL.sha1: "fill"}
EVIDENCE_MILLISECONDS = 250


class StoredJournal:
    """The hash of one journal slot."""

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.head = 0
        self.entries: dict[bytes, bytes] = {}
        self.events: list[bytes] = []

    def copy(self) -> "StoredJournal":
        made = StoredJournal(self.mark)
        made.head, made.entries, made.events = self.head, dict(self.entries), list(self.events)
        return made

    def told(self) -> list[bytes]:
        """The reply to the HMGET of a heartbeat."""
        return [b"%d" % self.head, self.mark, b"%d" % EVIDENCE_MILLISECONDS]

    def append(self, entry_id: bytes, entry: bytes) -> bytes:
        self.entries[entry_id] = entry
        self.events.append(entry_id)
        self.head += 1
        return b"OK"

    def read(self, position: bytes | int, own_mark: bytes) -> list[Any]:
        cursor, found = b"", self.entries.items()
        if position != b"":
            number = int(position)
            cursor = b"0" if number > self.head else b""
            ids = () if cursor else self.events[number:]
            found = [(each, self.entries.get(each, b"")) for each in ids]
        flat = [part for pair in found for part in pair]
        return [self.head, self.mark, own_mark, EVIDENCE_MILLISECONDS, cursor, flat]

    def fill(self, arguments: tuple[Any, ...], own_mark: bytes) -> bytes:
        seen, seen_own, _, is_last, *entries = arguments
        if seen != self.mark or seen_own != own_mark:
            return b"CHANGED"
        for entry_id, entry in zip(entries[::2], entries[1::2], strict=True):
            if entry_id not in self.entries:
                self.append(entry_id, entry)
        if is_last == b"1":
            self.mark = own_mark
        return b"OK"
