"""The end of one session: a logout, a revocation or a repair."""

from dataclasses import dataclass

from clusterpass.model.errors import SessionNotFound
from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.calls import end as end_calls, fingerprints
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.revocations.revocation import SubjectRevocation


@dataclass(slots=True, kw_only=True)
class EndOne(SubjectRevocation):
    """The revocation of one session: a logout, a revocation or a repair."""

    session_id: bytes
    reason: RevocationReason
    must_exist: bool = False
    kind: str = "revocation of a session"
    status: str = ""
    """The status of the latest reply."""

    @property
    def ended_now(self) -> int:
        """The number of live sessions that the store reports as ended: one, or none."""
        return 1 if self.status == "ENDED" else 0

    def call(self, operation: bytes) -> ScriptCall[end_calls.EndedOne]:
        """Return the call of ``end_session.lua`` under the id ``operation``."""
        return end_calls.end_session(
            self.context.keyspace,
            self.context.keeping(),
            self.subject,
            session_id=self.session_id,
            reason=self.reason,
            address=self.packed_address,
            note=self.stored_note,
            operation=operation,
        )

    def interpret(self, reply: end_calls.EndedOne) -> None:
        """Take note of the reply; raise SessionNotFound if a session was required to exist."""
        self.status = reply.status
        if reply.status == "UNKNOWN" and self.must_exist:
            raise SessionNotFound
        self._note_time(reply.now_milliseconds)
        if reply.status == "ENDED":
            self._tell((self.session_id,), self.note)

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """Deny the session, unless the store confirms that it had ended before.

        The store tells the reason for a session that had ended before.
        """
        if self.status in {"ALREADY", "UNKNOWN"} and not is_pending:
            self.release(operation)
            return
        denial = self._denial(self.reason, self.request(operation), is_pending=is_pending)
        self.context.memory.deny(self._key, self.session_id, denial)

    def enforce_journaled(self, operation: bytes) -> None:
        """Deny the session, whose id is never used again."""
        self.enforce(operation, is_pending=True)

    def leave(self, operation: bytes) -> None:
        """Deny the session for good, whatever is told of it: its end was acknowledged."""
        self.enforce(operation, is_pending=False)

    def entry(self, operation: bytes) -> JournalEntry:
        """Return the revocation as the journals hold it, under the id ``operation``."""
        return JournalEntry.of_end_session(
            operation,
            self.subject,
            session_id=self.session_id,
            reason=self.reason,
            address=self.packed_address,
            note=self.stored_note,
            expires_at=self._expires_at(),
        )

    def release(self, operation: bytes) -> None:
        """Stop denying the session if the denial is pending, for this revocation alone."""
        self.context.memory.denials.lift(self.session_id, self.request(operation))

    def request(self, operation: bytes) -> bytes:
        """Return what tells this request from all others: ``operation`` and a fingerprint."""
        return operation + fingerprints.of_end_session(
            self.subject, session_id=self.session_id, reason=self.reason, note=self.stored_note
        )
