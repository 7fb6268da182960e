"""A ban. A ban from everything also ends all sessions of the subject."""

from dataclasses import dataclass
from typing import Final

from clusterpass.model.errors import TooManyBans
from clusterpass.protocol.calls import fingerprints, subject as subject_calls
from clusterpass.protocol.journal_entry import JournalEntry
from clusterpass.protocol.replies import StoredBan
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.memory.denial import Sweep
from clusterpass.sessions.revocations.revocation import SubjectRevocation

_LONGEST_BAN: Final = 10 * 366 * 86_400


@dataclass(slots=True, kw_only=True)
class AddBan(SubjectRevocation):
    """A ban. A ban from everything ends all sessions of the subject."""

    scope: str
    """The scope that the subject is banned from; empty: everything."""
    level: int
    """The severity of the ban, 1 to 1000."""
    seconds: int
    """The duration of the ban in seconds; 0: until it is lifted."""
    kind: str = "ban"

    def call(self, operation: bytes) -> ScriptCall[subject_calls.Banned]:
        """Return the call of ``ban.lua`` under the id ``operation``."""
        return subject_calls.ban(
            self.context.keyspace,
            self.context.keeping(),
            self.subject,
            scope=self.scope,
            level=self.level,
            seconds=self.seconds,
            reason=self.note,
            operation=operation,
            begins=self.milliseconds,
        )

    def interpret(self, reply: subject_calls.Banned) -> None:
        """Take note of the reply; raise TooManyBans when the subject has the maximum number."""
        if reply.status == "FULL":
            raise TooManyBans
        self._note_time(reply.now_milliseconds)
        self._note_ended(reply.ended)
        self._tell(reply.ended, f"{self.scope} {self.note}".strip())

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """Deny all sessions for a ban from everything; tell of a pending ban with each answer."""
        request = self.request(operation)
        denial = self._denial("banned", request, is_pending=is_pending)
        at = self._seconds()
        until = at + self.seconds if self.seconds else 0
        ban = StoredBan(self.scope, self.level, until, self.note, at)
        sweep = Sweep(denial, bans=(ban,) if is_pending else ())
        if not self.scope:
            self._sweep(request, sweep)
        elif is_pending:
            self.context.memory.sweep(self._key, request, sweep, None)
        else:
            self.context.memory.settle_ban(self._key, request)

    def enforce_journaled(self, operation: bytes) -> None:
        """Deny nothing by a time: whoever asks about the subject carries the revocation out."""
        if self.scope:
            self.context.memory.settle_ban(self._key, self.request(operation))
        else:
            self.release(operation)

    def entry(self, operation: bytes) -> JournalEntry:
        """Return the ban as the journals hold it, under the id ``operation``."""
        return JournalEntry.of_ban(
            operation,
            self.subject,
            scope=self.scope,
            level=self.level,
            seconds=self.seconds,
            reason=self.note,
            milliseconds=self.milliseconds,
            expires_at=self._expires_at(self.seconds or _LONGEST_BAN),
        )

    def release(self, operation: bytes) -> None:
        """Stop denying sessions because of this revocation."""
        self._release(self.request(operation))

    def request(self, operation: bytes) -> bytes:
        """Return what tells this request from all others: ``operation`` and a fingerprint."""
        return operation + fingerprints.of_ban(
            self.subject,
            scope=self.scope,
            level=self.level,
            seconds=self.seconds,
            reason=self.note,
        )
