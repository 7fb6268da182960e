"""The interface of a revocation, and the base class of those of one subject.

- A revocation keeps one operation id for all its attempts, so the store recognises a retry. An id
  that belongs to another request is refused, and what this process enforced for it is released.
- The reply is interpreted once the store has carried out the revocation, even when no replica has
  confirmed it yet.
- A retry after a rollback spares the sessions that were opened after the first attempt.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from clusterpass.config import Config
from clusterpass.model.events import EventKind, SessionEvent
from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.actor_prefix import join_actor, split_actor
from clusterpass.protocol.journal_entry import LATEST, JournalEntry
from clusterpass.protocol.records import LONGEST_NOTE, shorten_text
from clusterpass.protocol.script import ScriptCall
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.denial import Denial, Sweep
from clusterpass.tokens.identifiers import encode_session_id

_LONGEST_SESSION: Final = 366 * 86_400


def longest_session(config: Config) -> int:
    """Return the seconds after which no session that is open now can be live."""
    return max(config.absolute_lifetime, config.remember_lifetime, _LONGEST_SESSION)


class Revocation(Protocol):
    """A revocation of sessions of one subject."""

    milliseconds: int | None
    """When the store first carried out the revocation, in milliseconds since the epoch; None: not
    known."""

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

    def enforce_journaled(self, operation: bytes) -> None:
        """Enforce the revocation, which journals hold, as far as no clock is needed for it.

        Every call about the subject carries it out first, so the order of the owner's log decides.
        """

    def leave(self, operation: bytes) -> None:
        """Keep nothing in memory that a retry would have to settle.

        The journals hold the revocation, and it is not queued in this process.
        """

    def release(self, operation: bytes) -> None:
        """Stop enforcing the revocation: the store refused it, or nothing retries it."""

    def request(self, operation: bytes) -> bytes:
        """Return what tells this request from all others: ``operation`` and a fingerprint."""

    def entry(self, operation: bytes) -> JournalEntry:
        """Return the revocation as the journals hold it, under the id ``operation``."""


@dataclass(slots=True, kw_only=True)
class SubjectRevocation:
    """The base class of revocations of one subject."""

    context: Context
    subject: str
    event: EventKind
    note: str = ""
    actor: str | None = None
    """Who asked for it; None: unknown."""
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
    def stored_note(self) -> str:
        """The note, with who asked for the revocation, as the store is given it."""
        return join_actor(self.actor, self.subject, self.note)

    @property
    def _short_note(self) -> str:
        """The note as a tombstone holds it, truncated."""
        return split_actor(shorten_text(self.stored_note, LONGEST_NOTE).decode())[1]

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
        """The number of live sessions that the store reports as ended."""
        return len(self.ended)

    def leave(self, operation: bytes) -> None:
        """Keep nothing that a retry would have to settle: what is journaled denies nothing here."""

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
