"""Checks the audit trail: whether every entry is what was written, and none is missing. Pure."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from clusterpass.model.audit import AuditFault, AuditFaultKind, AuditReport
from clusterpass.model.errors import UnreadableRecord
from clusterpass.protocol.calls.audit import StoredEntry
from clusterpass.sessions.audit_entry import decode_entry

MOST_FAULTS: Final = 100
_SETTLED_SECONDS: Final = 60.0
"""After this time an entry is no longer on its way behind a later one of its writer."""
_MOST_RECENT: Final = 1000


class _Writer:
    """Which entries of one manager were seen."""

    def __init__(self, number: int, at: float) -> None:
        self.began_at = at
        self.lowest = number
        self.highest = number - 1
        self.missing: dict[int, tuple[int, float]] = {}
        """The numbers that were left out, each with the number and the time of the entry behind."""
        self._recent: OrderedDict[int, str] = OrderedDict()
        """The digests of the latest entries, by number."""

    def see(self, number: int, digest: str, behind: int, at: float) -> bool:
        """Take note of the entry ``number`` of the writer, the entry ``behind`` of the chain.

        Returns False where the number belongs to another entry. One that was written twice, as its
        answer was lost, is no fault.
        """
        is_new = number > self.highest or number < self.lowest or number in self.missing
        if not is_new:
            return self._recent.get(number) == digest
        self.lowest = min(self.lowest, number)
        self.missing.pop(number, None)
        if number > self.highest:
            for each in range(self.highest + 1, min(number, self.highest + 1 + MOST_FAULTS)):
                self.missing[each] = (behind, at)
            self.highest = number
        self._recent[number] = digest
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)
        return True


class AuditCheck:
    """The check of one trail, which is fed with all entries from the oldest to the latest."""

    def __init__(self, head: str | None = None) -> None:
        """``head``: ``NUMBER:CHAIN`` of an earlier check that the trail must contain."""
        number, _, chain = (head or "").partition(":")
        self._wanted = (int(number) if number.isdigit() else 0, chain)
        self._has_head = head is None
        self._before: StoredEntry | None = None
        self._first = self._count = 0
        self._first_at = 0.0
        self._writers: dict[str, _Writer] = {}
        self._faults: list[AuditFault] = []

    def feed(self, entries: Iterable[StoredEntry]) -> None:
        """Check ``entries``, which follow those before."""
        for entry in entries:
            self._link(entry)
            self._read(entry)
            self._has_head |= (entry.number, entry.chain) == self._wanted
            self._before = entry
            if not self._first:
                self._first, self._first_at = entry.number, _written_at(entry)
            self._count += 1

    def report(self, now: float) -> AuditReport:
        """Return what was found. ``now``: seconds since the epoch."""
        for name, writer in self._writers.items():
            is_settled = now - writer.began_at > _SETTLED_SECONDS
            if self._first == 1 and writer.lowest > 1 and is_settled:
                self._add("missing", 1, f"the first entries of writer {name} are not there")
            for number, (behind, at) in writer.missing.items():
                # What was overtaken may be over its retention where the chain begins.
                is_old = self._first > 1 and at - self._first_at < _SETTLED_SECONDS
                if now - at > _SETTLED_SECONDS and not is_old:
                    self._add("lost", behind, f"entry {number} of writer {name} never arrived")
        latest = self._before
        last = latest.number if latest else 0
        wanted = self._wanted[0]
        # A head that is older than the oldest entry cannot be looked for any more.
        if not self._has_head and not 0 < wanted < self._first:
            self._add("other_head", wanted, f"the chain does not contain the head {wanted}")
        head = f"{latest.number}:{latest.chain}" if latest else ""
        return AuditReport(self._count, self._first, last, head, tuple(self._faults[:MOST_FAULTS]))

    def _link(self, entry: StoredEntry) -> None:
        before = self._before
        if before is None and entry.number != 1:
            return  # those before it are over their retention, and its chain is taken on trust
        expected = before.number + 1 if before else 1
        if entry.number != expected:
            between = f"entries {expected} to {entry.number - 1} are not there"
            self._add("missing", entry.number, between)
            return
        digest = hashlib.sha256(entry.text).hexdigest()
        linked = (before.chain if before else "") + digest
        # Chained by the server, which has SHA-1 alone; what is hashed are digests of SHA-256.
        if hashlib.sha1(linked.encode(), usedforsecurity=False).hexdigest() != entry.chain:
            self._add("changed", entry.number, f"entry {entry.number} is not what was written")

    def _read(self, entry: StoredEntry) -> None:
        try:
            read = decode_entry(entry)
        except UnreadableRecord:
            self._add("unreadable", entry.number, f"entry {entry.number} cannot be read")
            return
        number, at = read.writer_number, _written_at(entry)
        writer = self._writers.get(read.writer)
        if writer is None:
            writer = self._writers[read.writer] = _Writer(number, at)
        if not writer.see(number, hashlib.sha256(entry.text).hexdigest(), entry.number, at):
            text = f"entry {number} of writer {read.writer} is there with another text, too"
            self._add("changed", entry.number, text)

    def _add(self, kind: AuditFaultKind, number: int, message: str) -> None:
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(AuditFault(kind, number, message))


def _written_at(entry: StoredEntry) -> float:
    """When the store was given the entry, in seconds since the epoch."""
    return int(entry.id.partition("-")[0]) / 1000
