"""The revocations of one subject: what each sends to the store, and what it enforces here.

- A revocation keeps one operation id for all its attempts, so the store recognises a retry. An id
  that belongs to another request is refused, and what this process enforced for it is released.
- The reply is interpreted once the store has carried out the revocation, even when no replica has
  confirmed it yet.
- A retry after a rollback spares the sessions that were opened after the first attempt.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from clusterpass.config import Config
from clusterpass.model.errors import SessionNotFound, TooManyBans
from clusterpass.model.reasons import RevocationReason
from clusterpass.model.values import EventKind, SessionEvent
from clusterpass.protocol.calls import (
    fingerprints,
    session as session_calls,
    subject as subject_calls,
)
from clusterpass.protocol.journal_entry import LATEST, JournalEntry
from clusterpass.protocol.records import LONGEST_NOTE, shorten_text
from clusterpass.protocol.replies import StoredBan
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.denials import Denial, Sweep
from clusterpass.tokens.identifiers import encode_session_id

_LONGEST_SESSION: Final = 366 * 86_400
_LONGEST_BAN: Final = 10 * 366 * 86_400


def longest_session(config: Config) -> int:
    """Return the seconds after which no session that is open now can be live."""
    return max(config.absolute_lifetime, config.remember_lifetime, _LONGEST_SESSION)


class Revocation(Protocol):
    """A revocation of sessions of one subject."""

    @property
    def kind(self) -> str:
        """The kind of the revocation, for the log."""

    def call(self, operation: bytes) -> ScriptCall[Any]:
        """Return the call that carries out the revocation under the id ``operation``."""

    def interpret(self, reply: Any) -> None:
        """Take note of the reply of the store; the first time, report the event to the listeners.

        Raises SessionNotFound or TooManyBans when the store refused the revocation.
        """

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """Enforce the revocation in this process.

        ``is_pending``: whether the store may not have carried it out durably yet.
        """

    def release(self, operation: bytes) -> None:
        """Stop enforcing the revocation: the store refused it, or nothing retries it."""

    def entry(self, operation: bytes) -> JournalEntry:
        """Return the revocation as the journals hold it, under the id ``operation``."""


@dataclass(slots=True, kw_only=True)
class _SubjectRevocation:
    context: Context
    subject: str
    event: EventKind
    note: str = ""
    address: str | None = None
    packed_address: bytes = b""
    milliseconds: int | None = None
    """When the store first carried out the revocation, in milliseconds since the epoch."""
    ended: tuple[bytes, ...] = ()
    """The ids of the sessions that the store has ended, according to its replies."""
    is_told: bool = False
    """Whether the event was reported to the listeners."""

    @property
    def _key(self) -> bytes:
        """The key of the subject's sessions."""
        return self.context.keyspace.sessions(self.subject)

    @property
    def _short_note(self) -> str:
        """The note as a tombstone holds it, truncated."""
        return shorten_text(self.note, LONGEST_NOTE).decode()

    def _seconds(self) -> int:
        if self.milliseconds is not None:
            return self.milliseconds // 1000
        return int(self.context.clock.wall())

    def _note_time(self, milliseconds: int) -> None:
        if self.milliseconds is None:
            self.milliseconds = milliseconds

    def _denial(self, reason: RevocationReason, request: bytes, *, is_pending: bool) -> Denial:
        requests = frozenset({request}) if is_pending else frozenset()
        return Denial(reason, self._seconds(), self._short_note, is_pending, requests=requests)

    def _expires_at(self, seconds: int = 0) -> int:
        """The second from which nothing that the revocation ends could be live, ``seconds`` from
        now at the earliest."""
        longest = max(longest_session(self.context.config), seconds)
        return min(int(self.context.clock.wall()) + longest, LATEST)

    def _note_ended(self, session_ids: tuple[bytes, ...]) -> None:
        # After a rollback, a retry does not find all that the first attempt ended.
        self.ended = tuple(dict.fromkeys((*self.ended, *session_ids)))

    def _sweep(self, request: bytes, sweep: Sweep) -> None:
        """Deny the sessions that the store has ended, and all that were opened before them."""
        for session_id in self.ended:
            self.context.memory.denials.add(session_id, sweep.denial)
        # Sessions opened in the same millisecond are denied only if they are among the ended.
        until = None if self.milliseconds is None else self.milliseconds - 1
        self.context.memory.sweep(self._key, request, sweep, until)

    @property
    def ended_now(self) -> int:
        """How many live sessions the store says to have ended."""
        return len(self.ended)

    def _release(self, request: bytes) -> None:
        """Drop the sweep of ``request``, and what it alone denies without a confirmation."""
        for session_id in self.ended:
            self.context.memory.denials.lift(session_id, request)
        self.context.memory.forget_sweep(self._key, request)

    def _tell(self, session_ids: tuple[bytes, ...], reason: str) -> None:
        if self.is_told:
            return
        self.is_told = True
        self.context.tell(
            SessionEvent(
                self.event,
                self.subject,
                int(self.context.clock.wall()),
                session_ids=tuple(encode_session_id(each) for each in session_ids),
                address=self.address,
                reason=reason or None,
            )
        )


@dataclass(slots=True, kw_only=True)
class EndOne(_SubjectRevocation):
    """The revocation of one session: a logout, a revocation or a repair."""

    session_id: bytes
    reason: RevocationReason
    must_exist: bool = False
    kind: str = "revocation of a session"
    status: str = ""
    """The status of the latest reply."""

    @property
    def ended_now(self) -> int:
        """How many live sessions the store says to have ended: one, or none."""
        return 1 if self.status == "ENDED" else 0

    def call(self, operation: bytes) -> ScriptCall[session_calls.EndedOne]:
        """Return the call of ``end_session.lua`` under the id ``operation``."""
        return session_calls.end_session(
            self.context.keyspace,
            self.context.keeping(),
            self.subject,
            session_id=self.session_id,
            reason=self.reason,
            address=self.packed_address,
            note=self.note,
            operation=operation,
        )

    def interpret(self, reply: session_calls.EndedOne) -> None:
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
        denial = self._denial(self.reason, self._request(operation), is_pending=is_pending)
        self.context.memory.deny(self._key, self.session_id, denial)

    def entry(self, operation: bytes) -> JournalEntry:
        """Return the revocation as the journals hold it, under the id ``operation``."""
        return JournalEntry.of_end_session(
            operation,
            self.subject,
            session_id=self.session_id,
            reason=self.reason,
            address=self.packed_address,
            note=self.note,
            expires_at=self._expires_at(),
        )

    def release(self, operation: bytes) -> None:
        """Stop denying the session if the denial is pending, for this revocation alone."""
        self.context.memory.denials.lift(self.session_id, self._request(operation))

    def _request(self, operation: bytes) -> bytes:
        return operation + fingerprints.of_end_session(
            self.subject, session_id=self.session_id, reason=self.reason, note=self.note
        )


@dataclass(slots=True, kw_only=True)
class EndAll(_SubjectRevocation):
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

    def call(self, operation: bytes) -> ScriptCall[session_calls.EndedAll]:
        """Return the call of ``end_all.lua`` under the id ``operation``."""
        return session_calls.end_all(
            self.context.keyspace,
            self.context.keeping(),
            self.subject,
            keep=self.keep,
            reason="revoked",
            device_type=self.device_type,
            note=self.note,
            operation=operation,
            up_to=self.milliseconds,
        )

    def interpret(self, reply: session_calls.EndedAll) -> None:
        """Take note of the ended sessions; the first time, report them to the listeners."""
        self._note_time(reply.now_milliseconds)
        self._note_ended(reply.ended)
        if reply.ended:
            self._tell(reply.ended, self.note)

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """Deny the sessions of the subject that were open when the store revoked them."""
        request = self._request(operation)
        denial = self._denial("revoked", request, is_pending=is_pending)
        sweep = Sweep(denial, since=self.asked_at, keep=self.keep, device_type=self.device_type)
        self._sweep(request, sweep)

    def entry(self, operation: bytes) -> JournalEntry:
        """Return the revocation as the journals hold it, under the id ``operation``."""
        return JournalEntry.of_end_all(
            operation,
            self.subject,
            keep=self.keep,
            device_type=self.device_type,
            note=self.note,
            milliseconds=self.milliseconds,
            expires_at=self._expires_at(),
        )

    def release(self, operation: bytes) -> None:
        """Stop denying sessions because of this revocation."""
        self._release(self._request(operation))

    def _request(self, operation: bytes) -> bytes:
        return operation + fingerprints.of_end_all(
            self.subject,
            keep=self.keep,
            reason="revoked",
            device_type=self.device_type,
            note=self.note,
        )


@dataclass(slots=True, kw_only=True)
class AddBan(_SubjectRevocation):
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
        """Deny all sessions for a ban from everything; add a pending scope ban to sessions."""
        request = self._request(operation)
        denial = self._denial("banned", request, is_pending=is_pending)
        if not self.scope:
            self._sweep(request, Sweep(denial))
        elif is_pending:
            at = self._seconds()
            until = at + self.seconds if self.seconds else 0
            ban = StoredBan(self.scope, self.level, until, self.note, at)
            self.context.memory.sweep(self._key, request, Sweep(denial, bans=(ban,)), None)
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
        self._release(self._request(operation))

    def _request(self, operation: bytes) -> bytes:
        return operation + fingerprints.of_ban(
            self.subject,
            scope=self.scope,
            level=self.level,
            seconds=self.seconds,
            reason=self.note,
        )
