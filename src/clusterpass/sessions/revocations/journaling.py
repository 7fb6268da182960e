"""Records endings that their own shard cannot confirm in the journals of other shards.

- An ending is acknowledged once two journals hold it, and every server had to ask them again: the
  evidence by which servers believe an answer is never older than a bound, so waiting for that bound
  is enough.
- There are three journals. Two suffice, as every server reads two; the third is written when the
  ending is retried.
- An entry is trimmed when its own shard has confirmed the ending with all replicas.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from clusterpass.model.errors import OperationMismatch, StoreDenied, StoreUnavailable
from clusterpass.protocol.calls.journal import append_to_journal, trim_journal
from clusterpass.protocol.calls.statuses import JournalAppendStatus
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import JOURNAL_SLOTS
from clusterpass.protocol.script import Answer, Flow, Rest
from clusterpass.sessions.context import Context

_ENOUGH: Final = 2
_MOST_TRIMMED_AT_ONCE: Final = 100
_TRIM_WITHIN: Final = 0.25
"""Seconds for which an entry waits for others that are trimmed together with it."""


class Journaling:
    """Writes and trims the entries of one manager."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._near = context.memory.near
        self._journal = context.memory.journal
        self._done: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        """The entries to trim, by their ids: since when, and how many requests the id had then."""
        self._being_written: dict[bytes, JournalEntry] = {}
        """The ends of one session that calls are writing now, by their fingerprints."""
        self._failed: set[int] = set()
        """The slots of the journals that did not confirm the latest entry; they are tried last."""

    @property
    def is_possible(self) -> bool:
        """Whether three primaries hold journals, as far as is known."""
        return self._near.leases.has_journals

    def record_once(self, entry: JournalEntry) -> Flow[bytes | None]:
        """Let two journals confirm ``entry``; return the operation id under which they hold it.

        None: they cannot. An entry that ends the same session is confirmed anew instead, so that
        repeated logouts of one token are one entry. Raises OperationMismatch when a journal holds
        another request under the operation id of ``entry``.
        """
        if not self.is_possible:
            return None
        alike = self._being_written.setdefault(entry.fingerprint, entry)
        try:
            known = self._journal.known_for(entry)
            if known is entry and alike.is_same_end(entry):
                known = alike
            if known is not entry:
                with contextlib.suppress(OperationMismatch):
                    return known.operation if (yield from self.record(known)) else None
            return entry.operation if (yield from self.record(entry)) else None
        finally:
            if alike is entry:
                self._being_written.pop(entry.fingerprint, None)

    def record(self, entry: JournalEntry) -> Flow[bool]:
        """Write ``entry`` into two journals, and wait until every server asks them again.

        Returns False where fewer than two have confirmed. Raises OperationMismatch when a journal
        holds another request under the operation id. A journal that took the entry before keeps it:
        removed, it would look trimmed to whoever knows the other request under the id.
        """
        if self._journal.requests(entry.id) and self._journal.find_same(entry) is None:
            raise OperationMismatch
        confirmed = set()
        missing = list(JOURNAL_SLOTS)
        for slot in self._in_order(entry):
            answer = yield from self._append(slot, entry)
            is_confirmed = answer is not None and answer.reply == "OK" and answer.durable
            if answer is not None and answer.reply == "MISMATCH":
                raise OperationMismatch
            if is_confirmed and answer is not None and answer.node is not None:
                self._failed.discard(slot)
                confirmed.add(answer.node)
                missing.remove(slot)
            else:
                self._failed.add(slot)
            if len(confirmed) == _ENOUGH:
                break
        if len(confirmed) < _ENOUGH:
            return False
        self._journal.learn(entry, missing)
        yield Rest(self._near.leases.evidence_bound)
        return True

    def _in_order(self, entry: JournalEntry) -> list[int]:
        """The slots of the journals; last those that are unlikely to confirm.

        The shard of the subject, which has not confirmed the ending either, is one of them.
        """
        owner_of = self._context.memory.pending.owner_of
        slot = self._context.keyspace.keys_of(entry.subject).slot
        suspect = owner_of(slot) if entry.subject else None

        def is_unlikely(journal: int) -> bool:
            return journal in self._failed or (suspect is not None and owner_of(journal) == suspect)

        return sorted(JOURNAL_SLOTS, key=is_unlikely)

    def complete(self, entry: JournalEntry) -> Flow[None]:
        """Write ``entry`` into the journals that did not confirm it."""
        known = self._journal.find_same(entry)
        for slot in () if known is None else known.missing:
            answer = yield from self._append(slot, entry)
            if answer is not None and answer.reply == "OK" and answer.durable:
                self._journal.note_completed(entry, slot)

    def note_time(self, entry: JournalEntry, milliseconds: int) -> Flow[JournalEntry]:
        """Note in the journals when the owner first carried ``entry`` out; return the new entry.

        A repetition after a rollback then spares what was opened later.
        """
        if entry.verb == "end_session" or entry.milliseconds is not None:
            return entry
        entry = replace(entry, milliseconds=milliseconds)
        self._journal.learn(entry)
        for slot in JOURNAL_SLOTS:
            yield from self._append(slot, entry, confirm=False)
        return entry

    def trim_soon(self, entry_id: bytes) -> Flow[None]:
        """Remove an entry from the journals, together with others if many are being carried out.

        If nobody comes to trim it, it is carried out once more.
        """
        now, pending = self._context.clock.steady(), self._context.memory.pending
        self._done.setdefault(entry_id, (now, len(self._journal.requests(entry_id))))
        since, _ = next(iter(list(self._done.values())), (now, 0))
        is_enough = len(self._done) >= _MOST_TRIMMED_AT_ONCE or pending.shared <= 1
        if not is_enough and now - since < _TRIM_WITHIN:
            return
        ids = []
        with contextlib.suppress(KeyError):  # as soon as another thread has taken the last one
            while self._done:
                done, (_, requests) = self._done.popitem(last=False)
                if len(self._journal.requests(done)) <= requests:  # nothing has become known since
                    ids.append(done)
        yield from self.trim(ids)

    def trim(self, entry_ids: Iterable[bytes]) -> Flow[None]:
        """Remove entries from the journals: their own shard has confirmed them."""
        ids = list(entry_ids)
        self._journal.forget(ids)
        for slot in JOURNAL_SLOTS:
            for first in range(0, len(ids), _MOST_TRIMMED_AT_ONCE):
                some = ids[first : first + _MOST_TRIMMED_AT_ONCE]
                try:
                    yield trim_journal(self._context.keyspace, slot, some)
                except StoreDenied:
                    raise
                except StoreUnavailable:
                    break  # whoever reads this journal carries the entries out once more

    def _append(
        self, slot: int, entry: JournalEntry, *, confirm: bool = True
    ) -> Flow[Answer[JournalAppendStatus] | None]:
        call = append_to_journal(
            self._context.keyspace, slot, entry.id, entry.encode(), confirm=confirm
        )
        try:
            answer: Answer[JournalAppendStatus] = yield call
        except StoreDenied:
            raise
        except StoreUnavailable:
            return None
        return answer
