"""Completes the endings that journals hold, whichever process has asked for them.

An entry is trimmed once every replica of its own shard has the ending.
"""

import logging
from typing import Any, Final

from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls import promotion
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import slot_of
from clusterpass.protocol.script import Answer, Flow, Rest, ScriptCall
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.known_entry import KnownEntry
from clusterpass.sessions.revocations.journaling import Journaling
from clusterpass.sessions.revocations.retry_call import retry_of

logger: Final = logging.getLogger("clusterpass.pending")


class LeftEndings:
    """Carries out the journaled endings that one manager knows."""

    def __init__(self, context: Context, journaling: Journaling) -> None:
        self._context: Final = context
        self._memory: Final = context.memory
        self._journaling: Final = journaling
        context.memory.journal.on_left = self._queue

    def _queue(self, known: KnownEntry) -> None:
        """Queue an ending that the process which journaled it has not carried out for good."""
        call = known.make()
        self._memory.pending.add(
            "journaled ending",
            lambda: self.attempt(known.entry.id),
            slot=slot_of(call.keys[0]) if call.slot is None else call.slot,
            operation=known.entry.operation,
            once_for=known.entry.id,
            is_journaled=True,
        )

    def attempt(self, entry_id: bytes) -> Flow[bool]:
        """Carry out the ending with this id; return whether nothing is left to do.

        Raises StoreUnavailable when its shard cannot be reached.
        """
        requests = self._memory.journal.requests(entry_id)
        if not requests:
            return True  # trimmed by another process
        for known in requests:
            if not (yield from self._carry_out(known)):
                return False
        if len(self._memory.journal.requests(entry_id)) > len(requests):
            return False  # trimming would remove what has become known meanwhile
        yield from self._journaling.trim_soon(entry_id)
        return True

    def _carry_out(self, known: KnownEntry) -> Flow[bool]:
        """Carry out an ending; return whether that is for good, or it has expired."""
        if self._memory.journal.is_expired(known):
            return True
        answer: Answer[Any] = yield retry_of(known.make())
        if answer.reply.status == "MISMATCH":
            # The ending was acknowledged: it is carried out under an id of its own.
            other = known.entry.renamed()
            answer = yield retry_of(other.call(self._context.keyspace, self._context.keeping()))
        if answer.durable:
            yield from self.settle(known.make(), answer)
            if answer.reply.status == "FULL":
                self.note_rejected(known.entry.subject)
            return True
        yield from self.keep(known.entry, answer.reply.now_milliseconds)
        return False

    def note_rejected(self, subject: str) -> None:
        """Report a ban that its caller was not told to be impossible, as its shard was away."""
        self._memory.pending.rejected += 1
        logger.error(
            "a ban of %r is not carried out: the subject has the maximum number of bans;"
            " the shard of the subject could not tell when the ban was asked for",
            subject,
        )

    def keep(self, entry: JournalEntry, milliseconds: int) -> Flow[None]:
        """Let all three journals hold ``entry``, with the time of its first execution."""
        entry = yield from self._journaling.note_time(entry, milliseconds)
        yield from self._journaling.complete(entry)

    def settle(self, call: ScriptCall[Any], answer: Answer[Any]) -> Flow[None]:
        """Wait until nobody believes the primary any more that the node may have replaced."""
        seconds = self._memory.near.seconds_unsettled(answer.node)
        if seconds <= 0:
            return
        try:
            told: Answer[int] = yield promotion.never_promoted(call.keys[0], call.slot)
        except StoreUnavailable:
            yield Rest(seconds)
        else:
            if not told.reply or told.node != answer.node:
                yield Rest(seconds)
