"""Confirms revocations of the whole namespace, by the copies of the cutoff and by the journals.

A revocation that neither confirms is reported to its caller as pending, and retried until every
copy has it.
"""

from typing import Final

from clusterpass.model.errors import RevocationPending
from clusterpass.protocol.calls.subject_change import OPERATION_BYTES
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.script import Flow, Rest
from clusterpass.sessions.context import Context
from clusterpass.sessions.revocations.journaling import Journaling
from clusterpass.sessions.revocations.raise_cutoff import RaiseCutoff
from clusterpass.sessions.revocations.revocation import longest_session


class ConfirmCutoff:
    """Raises cutoffs, and queues those that not every copy has confirmed."""

    def __init__(self, context: Context, journaling: Journaling) -> None:
        self._context: Final = context
        self._memory: Final = context.memory
        self._endings: Final = context.counters.endings
        self._journaling: Final = journaling

    def carry_out(self, revocation: RaiseCutoff) -> Flow[bool]:
        """Raise every copy of the cutoff, and journal it; return whether it is durable.

        Every server reads two journals, but one copy only, of which a server that was restarted
        may have an old one. Raises RevocationPending when neither the journals nor all copies
        confirm.
        """
        is_settled = yield from revocation.attempt(is_retry=self._journaling.is_possible)
        is_journaled = yield from self._record(revocation)
        memory = self._memory
        if is_settled:
            self._endings["confirmed"] += 1
            if revocation.is_durable and not self._journaling.is_possible:
                # Somebody may still believe the primary that one of these has replaced.
                unsettled = map(memory.near.seconds_unsettled, revocation.nodes)
                if (seconds := max(unsettled, default=0.0)) > 0:
                    yield Rest(seconds)
            return is_journaled or revocation.is_durable
        memory.pending_cutoffs += 1

        def attempt() -> Flow[bool]:
            is_settled = yield from revocation.attempt(is_retry=True)
            memory.pending_cutoffs -= is_settled
            return is_settled

        is_retried = memory.pending.add("cutoff", attempt, is_journaled=is_journaled)
        if is_retried:
            revocation.enforce()
        else:
            memory.pending_cutoffs -= 1
        self._endings["journaled" if is_journaled else "pending"] += 1
        if is_journaled:
            return True
        failure = revocation.failure
        reason = failure.reason if failure is not None else "unconfirmed"
        raise RevocationPending(reason=reason, is_retried=is_retried, failure=failure) from failure

    def _record(self, revocation: RaiseCutoff) -> Flow[bool]:
        milliseconds = revocation.milliseconds
        if milliseconds is None or not self._journaling.is_possible:
            return False
        config = self._context.config
        entry = JournalEntry.of_revoke_before(
            self._context.random_bytes(OPERATION_BYTES),
            milliseconds=milliseconds,
            expires_at=int(self._context.clock.wall()) + longest_session(config),
        )
        if not (yield from self._journaling.record(entry)):
            return False
        yield from self._journaling.trim(self._memory.journal.older_cutoffs(milliseconds))
        return True
