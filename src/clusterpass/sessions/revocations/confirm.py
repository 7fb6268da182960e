"""Confirms revocations: each is either durable or reported to its caller as pending.

- A revocation succeeds only when it is as durable as ``Config.durability`` demands, so that a
  failover cannot undo it. What its own shard cannot confirm is written into the journals of three
  primaries. Where these cannot confirm either, its caller gets :class:`RevocationPending`.
- This process enforces a pending revocation at once, and retries it until it is confirmed.
- When the store reports a session as live that this process knows has ended, the store has lost
  writes, and the session is ended there again.
"""

import logging
from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final

from clusterpass.model.errors import (
    InvalidInput,
    OperationMismatch,
    RevocationPending,
    SessionNotFound,
    StoreDenied,
    StoreUnavailable,
    TooManyBans,
)
from clusterpass.protocol.calls.subject_change import NO_OPERATION, OPERATION_BYTES
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.keyspace import slot_of
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.denial import Denial
from clusterpass.sessions.revocations.confirm_cutoff import ConfirmCutoff
from clusterpass.sessions.revocations.end_one import EndOne
from clusterpass.sessions.revocations.journaling import Journaling
from clusterpass.sessions.revocations.left_endings import LeftEndings
from clusterpass.sessions.revocations.outcome import Outcome
from clusterpass.sessions.revocations.retry_call import retry_of
from clusterpass.sessions.revocations.revocation import Revocation
from clusterpass.tokens.identifiers import encode_session_id

logger: Final = logging.getLogger("clusterpass.pending")
_MOST_FIRST_TIMES: Final = 10_000
_OWN_SHARD_SECONDS: Final = 0.5
"""Seconds after which the journals are asked instead of the shard of the subject."""


class Confirm:
    """Carries out revocations, and queues those that are not confirmed."""

    def __init__(self, context: Context) -> None:
        self._context: Final = context
        self._journaling: Final = Journaling(context)
        self._memory: Final = context.memory
        self._endings: Final = context.counters.endings
        self._random_bytes: Final = context.random_bytes
        self._first_times: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()
        """The latest requests that this process has made, and when they were first carried out, in
        milliseconds since the epoch: by operation and subject."""
        self._left: Final = LeftEndings(context, self._journaling)
        self.cutoff: Final = ConfirmCutoff(context, self._journaling)
        """Carries out revocations of the whole namespace."""

    def carry_out(self, revocation: Revocation, operation_id: str | None = None) -> Flow[Outcome]:
        """Carry out ``revocation``; return the outcome once no single failure can undo it.

        ``operation_id``: 16 hexadecimal digits that identify a repeated call; None: a new one.
        Raises RevocationPending when the revocation is neither confirmed nor journaled,
        InvalidInput for an invalid ``operation_id``, OperationMismatch for one that belongs to
        another request, and SessionNotFound or TooManyBans when the store refuses the revocation.
        """
        operation = self._operation(operation_id)
        is_named = operation_id is not None  # only then can a caller repeat the request
        if is_named:
            self._recall(revocation, operation)
        call = revocation.call(operation)
        self._memory.near.note_ending(call.keys[0])
        reply: Any = None
        failure: StoreUnavailable | None = None
        try:
            answer: Answer[Any] = yield self._first_try(call)
        except StoreDenied:
            raise
        except StoreUnavailable as error:
            failure = error
        else:
            reply = answer.reply
            try:
                _interpret(revocation, reply)
            except OperationMismatch:
                # An earlier call may have been enforced here before the id was used elsewhere.
                revocation.release(operation)
                raise
            if answer.is_confirmed:
                if answer.durable:
                    yield from self._left.settle(call, answer)
                revocation.enforce(operation, is_pending=False)
                if is_named:
                    self._note_first_time(revocation, operation)
                self._endings["confirmed"] += 1
                return Outcome(reply, answer.durable)
        if (yield from self._journal(revocation, operation)):
            if is_named:
                self._note_first_time(revocation, operation)
            self._endings["journaled"] += 1
            return Outcome(reply, durable=True, is_journaled=True)
        reason = "unconfirmed" if failure is None else failure.reason
        raise self._pending(revocation, operation, reason, failure) from failure

    def _journal(self, revocation: Revocation, operation: bytes) -> Flow[bool]:
        """Have the journals hold the revocation; return whether they do."""
        journaled = yield from self._journaling.record_once(revocation.entry(operation))
        if journaled is None:
            return False
        revocation.enforce_journaled(journaled)
        if not self._queue(revocation.kind, revocation, journaled, is_journaled=True):
            revocation.leave(journaled)
        return True

    def _first_try(self, call: ScriptCall[Any]) -> ScriptCall[Any]:
        """``call``, which does not insist where the journals can confirm it instead."""
        if not self._journaling.is_possible:
            return call
        return replace(call, insists=False, deadline=_OWN_SHARD_SECONDS)

    def _recall(self, revocation: Revocation, operation: bytes) -> None:
        """Take over when the request was first carried out, if it is a repetition.

        The shard may be away now, and a repetition ends nothing that was opened since. Raises
        OperationMismatch when this process made another request under the id.
        """
        known = self._first_times.get(revocation.entry(operation).id)
        if known is not None:
            request, revocation.milliseconds = known
            if request != revocation.request(operation):
                raise OperationMismatch

    def _note_first_time(self, revocation: Revocation, operation: bytes) -> None:
        if revocation.milliseconds is not None:
            first_time = revocation.request(operation), revocation.milliseconds
            self._first_times[revocation.entry(operation).id] = first_time
            if len(self._first_times) > _MOST_FIRST_TIMES:
                self._first_times.popitem(last=False)

    def deny(self, subject: str, session_id: bytes, denial: Denial) -> None:
        """Log that the store reports an ended session as live, and end the session there again."""
        if denial.is_pending:
            return
        self._memory.denials.rollbacks += 1
        logger.warning(
            "the store reports session %s as live, which has ended (%s): the store lost writes;"
            " the session is being ended again",
            encode_session_id(session_id),
            denial.reason,
        )
        self.repair(subject, session_id, denial)

    def repair(self, subject: str, session_id: bytes, denial: Denial) -> None:
        """Queue a revocation of a session that has ended but that the store reports as live."""
        revocation = EndOne(
            context=self._context,
            subject=subject,
            event="revoked",
            session_id=session_id,
            reason=denial.reason,
            note=denial.note,
            is_told=True,
        )
        self._queue("repair", revocation, self._random_bytes(OPERATION_BYTES), session_id)

    def _operation(self, operation_id: str | None) -> bytes:
        if operation_id is None:
            return self._random_bytes(OPERATION_BYTES)
        try:
            operation = bytes.fromhex(operation_id)
        except (TypeError, ValueError):
            operation = b""
        if len(operation) != OPERATION_BYTES or operation == NO_OPERATION:
            raise InvalidInput("operation_id must be 16 hexadecimal digits, not all zero")
        return operation

    def _pending(
        self,
        revocation: Revocation,
        operation: bytes,
        reason: str | None,
        failure: StoreUnavailable | None,
    ) -> RevocationPending:
        self._endings["pending"] += 1
        revocation.enforce(operation, is_pending=True)
        is_retried = self._queue(revocation.kind, revocation, operation)
        if not is_retried:
            # Nothing would ever settle it, and this process must not refuse the subject for good.
            revocation.release(operation)
        return RevocationPending(
            reason=reason, operation_id=operation.hex(), is_retried=is_retried, failure=failure
        )

    def _queue(
        self,
        kind: str,
        revocation: Revocation,
        operation: bytes,
        once_for: bytes | None = None,
        *,
        is_journaled: bool = False,
    ) -> bool:
        call = revocation.call(operation)
        return self._memory.pending.add(
            kind,
            lambda: self._attempt(revocation, operation),
            slot=slot_of(call.keys[0]) if call.slot is None else call.slot,
            operation=operation,
            once_for=revocation.entry(operation).id if is_journaled else once_for,
            is_journaled=is_journaled,
        )

    def _attempt(self, revocation: Revocation, operation: bytes) -> Flow[bool]:
        call, entry = revocation.call(operation), revocation.entry(operation)
        try:
            answer: Answer[Any] = yield retry_of(call)
        except StoreDenied:
            raise
        except StoreUnavailable:
            if (yield from self._journal_again(revocation, operation, entry)):
                return True
            raise
        known = self._memory.journal.find_same(entry)
        try:
            _interpret(revocation, answer.reply)
        except (SessionNotFound, TooManyBans) as error:
            revocation.release(operation)
            if known is None and isinstance(error, TooManyBans):
                self._left.note_rejected(entry.subject)
            return known is None or (yield from self._left.attempt(entry.id))
        except OperationMismatch:
            if known is not None:
                return (yield from self._left.attempt(entry.id))
            return self._give_up(revocation, operation)
        revocation.enforce(operation, is_pending=not answer.is_confirmed)
        return (yield from self._follow_up(revocation, operation, call, answer))

    def _follow_up(
        self, revocation: Revocation, operation: bytes, call: ScriptCall[Any], answer: Answer[Any]
    ) -> Flow[bool]:
        """Let the journals know what became of a retry; return whether it is settled."""
        entry, journal = revocation.entry(operation), self._memory.journal
        known = journal.find_same(entry)
        if known is None:
            if answer.is_confirmed:
                return True
            return (yield from self._journal_again(revocation, operation, entry))
        if not answer.is_confirmed:
            yield from self._left.keep(known.entry, answer.reply.now_milliseconds)
            return False
        if len(journal.requests(entry.id)) > 1:
            return (yield from self._left.attempt(entry.id))
        yield from self._left.settle(call, answer)
        yield from self._journaling.trim_soon(entry.id)
        return True

    def _journal_again(
        self, revocation: Revocation, operation: bytes, entry: JournalEntry
    ) -> Flow[bool]:
        """Let the journals confirm a pending revocation; return whether its retries end here."""
        if self._memory.journal.find_same(entry) is not None:
            return False
        try:
            journaled = yield from self._journaling.record_once(entry)
        except OperationMismatch:
            return self._give_up(revocation, operation)
        if journaled is None:
            return False
        revocation.enforce_journaled(operation)
        if journaled != operation or not self._memory.pending.note_journaled(operation):
            revocation.leave(operation)  # whoever knows the entry carries it out
            return True
        return False

    def _give_up(self, revocation: Revocation, operation: bytes) -> bool:
        logger.error(
            "a pending %s is given up: its operation id belongs to another request",
            revocation.kind,
        )
        revocation.release(operation)
        return True


def _interpret(revocation: Revocation, reply: Any) -> None:
    """Let the revocation take note of a reply; raise OperationMismatch if the store refused its id.

    Raises SessionNotFound and TooManyBans as :meth:`Revocation.interpret` does.
    """
    if reply.status == "MISMATCH":
        raise OperationMismatch
    revocation.interpret(reply)
