"""Revokes the sessions of a subject: all or those of one device type, optionally except one."""

from dataclasses import dataclass, field

from clusterpass.protocol.calls import end as end_calls, fingerprints
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.memory.denial import Sweep
from clusterpass.sessions.revocations.revocation import SubjectRevocation


@dataclass(slots=True, kw_only=True)
class EndAll(SubjectRevocation):
    """The revocation of all sessions of a subject, except one or those of other device types."""

    keep: bytes | None
    """The id of the session that is spared; None: none."""
    device_type: str | None
    """The device type whose sessions are revoked; None: all."""
    kind: str = "revocation of all sessions"
    asked_at: float = field(init=False)
    """When the revocation was requested, in seconds of the steady clock."""

    def __post_init__(self) -> None:
        self.asked_at = self.context.clock.steady()

    def call(self, operation: bytes) -> ScriptCall[end_calls.EndedAll]:
        """Return the call of ``end_all.lua`` under the id ``operation``."""
        return end_calls.end_all(
            self.context.keyspace,
            self.context.keeping(),
            self.subject,
            keep=self.keep,
            reason="revoked",
            device_type=self.device_type,
            note=self.stored_note,
            operation=operation,
            up_to=self.milliseconds,
        )

    def interpret(self, reply: end_calls.EndedAll) -> None:
        """Take note of the ended sessions; the first time, report them to the listeners."""
        self._note_time(reply.now_milliseconds)
        self._note_ended(reply.ended)
        if reply.ended:
            self._tell(reply.ended, self.note)

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """Deny the sessions of the subject that were open when the store revoked them."""
        request = self.request(operation)
        denial = self._denial("revoked", request, is_pending=is_pending)
        sweep = Sweep(denial, since=self.asked_at, keep=self.keep, device_type=self.device_type)
        self._sweep(request, sweep)

    def enforce_journaled(self, operation: bytes) -> None:
        """Deny nothing by a time: whoever asks about the subject carries the revocation out."""
        self.release(operation)

    def entry(self, operation: bytes) -> JournalEntry:
        """Return the revocation as the journals hold it, under the id ``operation``."""
        return JournalEntry.of_end_all(
            operation,
            self.subject,
            keep=self.keep,
            device_type=self.device_type,
            note=self.stored_note,
            milliseconds=self.milliseconds,
            expires_at=self._expires_at(),
        )

    def release(self, operation: bytes) -> None:
        """Stop denying sessions because of this revocation."""
        self._release(self.request(operation))

    def request(self, operation: bytes) -> bytes:
        """Return what tells this request from all others: ``operation`` and a fingerprint."""
        return operation + fingerprints.of_end_all(
            self.subject,
            keep=self.keep,
            reason="revoked",
            device_type=self.device_type,
            note=self.stored_note,
        )
