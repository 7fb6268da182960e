"""Confirms revocations: each is either durable or reported to its caller as pending.

- A revocation succeeds only when it is as durable as ``Config.durability`` demands, so that a
  failover cannot undo it. Otherwise its caller gets :class:`RevocationPending`.
- This process enforces a pending revocation at once, and retries it until it is confirmed.
- When the store reports a session as live that this process knows has ended, the store has lost
  writes, and the session is ended there again.
"""

import logging
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
from clusterpass.protocol.calls.housekeeping import NO_OPERATION, OPERATION_BYTES
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.denials import Denial
from clusterpass.sessions.revocations.kinds import EndOne, Revocation
from clusterpass.sessions.revocations.raise_cutoff import RaiseCutoff
from clusterpass.tokens.identifiers import encode_session_id

logger: Final = logging.getLogger("clusterpass.pending")


class Confirm:
    """Carries out revocations, and queues those that are not confirmed."""

    def __init__(self, context: Context) -> None:
        self._context: Final = context
        self._memory: Final = context.memory
        self._random_bytes: Final = context.random_bytes

    def carry_out(
        self, revocation: Revocation, operation_id: str | None = None
    ) -> Flow[Answer[Any]]:
        """Carry out ``revocation`` and return the answer of the store once it is confirmed.

        ``operation_id``: 16 hexadecimal digits that identify a repeated call; None: a new one.
        Raises RevocationPending when the revocation is not confirmed, InvalidInput for an
        invalid ``operation_id``, OperationMismatch for one that belongs to another request, and
        SessionNotFound or TooManyBans when the store refuses the revocation.
        """
        operation = self._operation(operation_id)
        try:
            answer: Answer[Any] = yield revocation.call(operation)
        except StoreDenied:
            raise
        except StoreUnavailable as error:
            raise self._pending(revocation, operation, error.reason) from error
        try:
            _interpret(revocation, answer.reply)
        except OperationMismatch:
            # An earlier call may have been enforced here before the id was used elsewhere.
            revocation.release(operation)
            raise
        if answer.is_confirmed:
            revocation.enforce(operation, is_pending=False)
            return answer
        raise self._pending(revocation, operation, "unconfirmed")

    def raise_cutoff(self, revocation: RaiseCutoff) -> Flow[bool]:
        """Raise every copy of the cutoff; return whether all copies are durable.

        Raises RevocationPending when a copy is not confirmed.
        """
        if (yield from revocation.attempt()):
            return revocation.is_durable
        memory = self._memory
        memory.pending_cutoffs += 1

        def attempt() -> Flow[bool]:
            is_settled = yield from revocation.attempt()
            memory.pending_cutoffs -= is_settled
            return is_settled

        is_retried = memory.pending.add("cutoff", attempt)
        reason = revocation.failure.reason if revocation.failure is not None else "unconfirmed"
        raise RevocationPending(reason=reason, is_retried=is_retried) from revocation.failure

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
        operation = self._random_bytes(OPERATION_BYTES)
        self._memory.pending.add(
            "repair", lambda: self._attempt(revocation, operation), once_for=session_id
        )

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
        self, revocation: Revocation, operation: bytes, reason: str | None
    ) -> RevocationPending:
        revocation.enforce(operation, is_pending=True)
        is_retried = self._memory.pending.add(
            revocation.kind, lambda: self._attempt(revocation, operation)
        )
        if not is_retried:
            # Nothing would ever settle it, and this process must not refuse the subject for good.
            revocation.release(operation)
        return RevocationPending(reason=reason, operation_id=operation.hex(), is_retried=is_retried)

    def _attempt(self, revocation: Revocation, operation: bytes) -> Flow[bool]:
        answer: Answer[Any] = yield revocation.call(operation)
        try:
            _interpret(revocation, answer.reply)
        except (SessionNotFound, TooManyBans):
            revocation.release(operation)
            return True
        except OperationMismatch:
            logger.error(  # noqa: TRY400 (a traceback says no more)
                "a pending %s is given up: its operation id belongs to another request",
                revocation.kind,
            )
            revocation.release(operation)
            return True
        revocation.enforce(operation, is_pending=not answer.is_confirmed)
        return answer.is_confirmed


def _interpret(revocation: Revocation, reply: Any) -> None:
    """Let the revocation take note of a reply; raise OperationMismatch if the store refused its id.

    Raises SessionNotFound and TooManyBans as :meth:`Revocation.interpret` does.
    """
    if reply.status == "MISMATCH":
        raise OperationMismatch
    revocation.interpret(reply)
