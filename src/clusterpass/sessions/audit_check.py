"""Checks the audit trail: whether every entry is what was written, and none is missing. Pure."""

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from clusterpass.model.audit import AuditFault, AuditFaultKind, AuditReport
from clusterpass.model.errors import UnreadableRecord
from clusterpass.protocol.calls.audit import StoredEntry
from clusterpass.sessions.audit_entry import decode_entry

MOST_FAULTS: Final = 100
_SETTLED_SECONDS: Final = 60.0
"""After this time an entry is no longer on its way behind a later one of its writer."""
_MOST_RECENT: Final = 1000


class _Gap(NamedTuple):
    """Numbers of a writer, from ``first`` to ``last``, that were not seen yet."""

    first: int
    last: int
    behind: int
    """The number of the entry by which the gap was noticed."""
    at: float
    """When that was written."""


class _Writer:
    """Which entries of one manager were seen.

    They arrive in any order: one that a verb waits for overtakes thousands that wait while the
    store is away.
    """

    def __init__(self) -> None:
        self.began_at = 0.0
        self.lowest = self.highest = 0
        self.gaps: list[_Gap] = []
        """In the order of their numbers, none of which is in two."""
        self._recent: OrderedDict[int, str] = OrderedDict()
        """The digests of the latest entries, by number."""

    def see(self, number: int, digest: str, behind: int, at: float) -> bool:
        """Take note of the entry ``number`` of the writer, the entry ``behind`` of the chain.

        Returns False where the number belongs to another entry. One that was written twice, as its
        answer was lost, is no fault; nor is a number that was seen too long ago to tell.
        """
        if not self._recent:
            self.began_at, self.lowest, self.highest = at, number, number
        elif number > self.highest:
            self._leave_out(self.highest + 1, number - 1, behind, at)
            self.highest = number
        elif number < self.lowest:
            self._leave_out(number + 1, self.lowest - 1, behind, at)
            self.lowest = number
        elif not self._fill(number):
            return self._recent.get(number, digest) == digest
        self._recent[number] = digest
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)
        return True

    def _leave_out(self, first: int, last: int, behind: int, at: float) -> None:
        if first <= last:
            where = len(self.gaps) if first > self.lowest else 0
            self.gaps.insert(where, _Gap(first, last, behind, at))

    def _fill(self, number: int) -> bool:
        """Take ``number`` out of its gap; return whether there is one."""
        where = bisect_right(self.gaps, number, key=lambda gap: gap.first) - 1
        if where < 0 or number > self.gaps[where].last:
            return False
        gap = self.gaps[where]
        left = gap._replace(last=number - 1), gap._replace(first=number + 1)
        self.gaps[where : where + 1] = [each for each in left if each.first <= each.last]
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
            for gap in writer.gaps:
                # What was overtaken may be over its retention where the chain begins.
                is_old = self._first > 1 and gap.at - self._first_at < _SETTLED_SECONDS
                if now - gap.at <= _SETTLED_SECONDS or is_old:
                    continue
                for number in range(gap.first, min(gap.last, gap.first + MOST_FAULTS) + 1):
                    self._add("lost", gap.behind, f"entry {number} of writer {name} never arrived")
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
        writer = self._writers.setdefault(read.writer, _Writer())
        if not writer.see(number, hashlib.sha256(entry.text).hexdigest(), entry.number, at):
            text = f"entry {number} of writer {read.writer} is there with another text, too"
            self._add("changed", entry.number, text)

    def _add(self, kind: AuditFaultKind, number: int, message: str) -> None:
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(AuditFault(kind, number, message))


def _written_at(entry: StoredEntry) -> float:
    """When the store was given the entry, in seconds since the epoch."""
    return int(entry.id.partition("-")[0]) / 1000
