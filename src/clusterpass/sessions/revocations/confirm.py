"""Endings are acknowledged when they are as durable as they have to be; before, they are pending.

"Login may degrade, revocation may not": who ends a session gets either the word that it cannot come
back, or :class:`RevocationPending`. In the second case this process keeps to the ending at once,
and carries it out again until it is confirmed.
"""

import logging
from typing import Any, Final

from clusterpass.model.errors import (
    InvalidInput,
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
from clusterpass.sessions.revocations.kinds import EndOne, RaiseCutoff, Revocation
from clusterpass.tokens.identifiers import encode_session_id

logger: Final = logging.getLogger("clusterpass.pending")


class Confirm:
    """Carries out orders."""

    def __init__(self, context: Context) -> None:
        self._context: Final = context
        self._memory: Final = context.memory
        self._random_bytes: Final = context.random_bytes

    def carry_out(
        self, revocation: Revocation, operation_id: str | None = None
    ) -> Flow[Answer[Any]]:
        """The answer to an revocation that is confirmed; raises RevocationPending otherwise.

        ``operation_id``: of the same revocation when it was given before. Raises InvalidInput, and
        what says that the revocation has come to nothing.
        """
        operation = self._operation(operation_id)
        try:
            answer: Answer[Any] = yield revocation.call(operation)
        except StoreDenied:
            raise
        except StoreUnavailable as error:
            raise self._pending(revocation, operation, error.reason) from error
        revocation.interpret(answer.reply)
        if answer.is_confirmed:
            revocation.enforce(operation, is_pending=False)
            return answer
        raise self._pending(revocation, operation, "unconfirmed")

    def raise_cutoff(self, revocation: RaiseCutoff) -> Flow[bool]:
        """Whether it is durable; raises RevocationPending when a copy is not confirmed."""
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
        """The store shows a session alive that is over: say so, and end it there too."""
        if denial.is_pending:
            return
        self._memory.denials.rollbacks += 1
        logger.warning(
            "the store shows session %s alive, which is over (%s): it has lost writes;"
            " it is ended again",
            encode_session_id(session_id),
            denial.reason,
        )
        self.repair(subject, session_id, denial)

    def repair(self, subject: str, session_id: bytes, denial: Denial) -> None:
        """End a session again that the store shows alive although it is over."""
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
            raise InvalidInput("operation_id must be 16 hexadecimal digits, not all of them 0")
        return operation

    def _pending(
        self, revocation: Revocation, operation: bytes, reason: str | None
    ) -> RevocationPending:
        revocation.enforce(operation, is_pending=True)
        is_retried = self._memory.pending.add(
            revocation.kind, lambda: self._attempt(revocation, operation)
        )
        if not is_retried:
            # Nothing would ever end it: a subject must not be kept out here for good.
            revocation.release(operation)
        return RevocationPending(reason=reason, operation_id=operation.hex(), is_retried=is_retried)

    def _attempt(self, revocation: Revocation, operation: bytes) -> Flow[bool]:
        answer: Answer[Any] = yield revocation.call(operation)
        try:
            revocation.interpret(answer.reply)
        except (SessionNotFound, TooManyBans):
            revocation.release(operation)
            return True
        revocation.enforce(operation, is_pending=not answer.is_confirmed)
        return answer.is_confirmed
