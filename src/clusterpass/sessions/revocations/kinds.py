"""Endings that must not be lost: what each asks of the store, and what it means in this process.

An *order* has one operation id, however often it is carried out. It is interpreted when the store
has carried it out, even if no replica has confirmed that yet. Carried out again after a rollback,
it spares what was opened since its first time.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from clusterpass.model.errors import (
    SessionNotFound,
    StoreDenied,
    StoreUnavailable,
    TooManyBans,
)
from clusterpass.model.reasons import RevocationReason
from clusterpass.model.values import EventKind, SessionEvent
from clusterpass.protocol.calls import (
    namespace as namespace_calls,
    session as session_calls,
    subject as subject_calls,
)
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF
from clusterpass.protocol.records import LONGEST_NOTE, shorten_text
from clusterpass.protocol.replies import StoredBan
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.denials import Denial, Sweep
from clusterpass.tokens.identifiers import encode_session_id

_CLOCKS_APART: Final = 60_000
"""Milliseconds by which the clocks of primaries may differ."""


class Revocation(Protocol):
    """One of them."""

    @property
    def kind(self) -> str:
        """A word for it."""

    def call(self, operation: bytes) -> ScriptCall[Any]:
        """What carries it out."""

    def interpret(self, reply: Any) -> None:
        """It was carried out: tell the listeners, the first time.

        Raises what says that it has come to nothing.
        """

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """Keep to it in this process."""

    def release(self, operation: bytes) -> None:
        """It has come to nothing: keep to it no more."""


@dataclass(slots=True, kw_only=True)
class _SubjectRevocation:
    context: Context
    subject: str
    event: EventKind
    note: str = ""
    address: str | None = None
    packed_address: bytes = b""
    milliseconds: int | None = None
    """When the store carried it out first."""
    ended: tuple[bytes, ...] = ()
    """The sessions that it ended, as far as the store has told."""
    is_told: bool = False
    """Whether the listeners know."""

    @property
    def _key(self) -> bytes:
        """Of the sessions of the subject."""
        return self.context.keyspace.sessions(self.subject)

    @property
    def _short_note(self) -> str:
        """As tombstones keep it."""
        return shorten_text(self.note, LONGEST_NOTE).decode()

    def _seconds(self) -> int:
        if self.milliseconds is not None:
            return self.milliseconds // 1000
        return int(self.context.clock.wall())

    def _note_time(self, milliseconds: int) -> None:
        if self.milliseconds is None:
            self.milliseconds = milliseconds

    def _sweep(self, operation: bytes, sweep: Sweep) -> None:
        """Over are those that the store has ended, and all that were opened before."""
        for session_id in self.ended:
            self.context.memory.denials.add(session_id, sweep.denial)
        # Of those opened in the same millisecond, the ones that were there are among the ended.
        until = None if self.milliseconds is None else self.milliseconds - 1
        self.context.memory.sweep(self._key, operation, sweep, until)

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
    """The end of one session."""

    session_id: bytes
    reason: RevocationReason
    must_exist: bool = False
    kind: str = "end of a session"
    status: str = ""
    """What the store answered last."""

    def call(self, operation: bytes) -> ScriptCall[session_calls.EndedOne]:
        """See :class:`Revocation`."""
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
        """Raises SessionNotFound where there has to be one."""
        self.status = reply.status
        if reply.status == "UNKNOWN" and self.must_exist:
            raise SessionNotFound
        self._note_time(reply.now_milliseconds)
        if reply.status == "ENDED":
            self._tell((self.session_id,), self.note)

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """See :class:`Revocation`. Of a session that was dead already, the store says why."""
        if self.status in {"ALREADY", "UNKNOWN"} and not is_pending:
            self.release(operation)
            return
        denial = Denial(self.reason, self._seconds(), self._short_note, is_pending)
        self.context.memory.deny(self._key, self.session_id, denial)

    def release(self, operation: bytes) -> None:
        """See :class:`Revocation`."""
        self.context.memory.denials.lift(self.session_id)


@dataclass(slots=True, kw_only=True)
class EndAll(_SubjectRevocation):
    """The end of all sessions of a subject, but one or those of other devices."""

    keep: bytes | None
    device_type: str | None
    kind: str = "end of all sessions"
    asked_at: float = field(init=False)
    """When it was asked for, in seconds of the steady clock."""

    def __post_init__(self) -> None:
        self.asked_at = self.context.clock.steady()

    def call(self, operation: bytes) -> ScriptCall[session_calls.EndedAll]:
        """See :class:`Revocation`."""
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
        """See :class:`Revocation`."""
        self._note_time(reply.now_milliseconds)
        self.ended = reply.ended
        if reply.ended:
            self._tell(reply.ended, self.note)

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """See :class:`Revocation`."""
        denial = Denial("revoked", self._seconds(), self._short_note, is_pending)
        sweep = Sweep(denial, since=self.asked_at, keep=self.keep, device_type=self.device_type)
        self._sweep(operation, sweep)

    def release(self, operation: bytes) -> None:
        """See :class:`Revocation`."""
        self.context.memory.forget_sweep(self._key, operation)


@dataclass(slots=True, kw_only=True)
class AddBan(_SubjectRevocation):
    """A ban; one from everything ends all sessions."""

    scope: str
    level: int
    seconds: int
    kind: str = "ban"

    def call(self, operation: bytes) -> ScriptCall[subject_calls.Banned]:
        """See :class:`Revocation`."""
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
        """Raises TooManyBans where there is no room for it."""
        if reply.status == "FULL":
            raise TooManyBans
        self._note_time(reply.now_milliseconds)
        self.ended = reply.ended
        self._tell(reply.ended, f"{self.scope} {self.note}".strip())

    def enforce(self, operation: bytes, *, is_pending: bool) -> None:
        """From everything: its sessions are over. From a scope: verify tells of it meanwhile."""
        denial = Denial("banned", self._seconds(), self._short_note, is_pending)
        if not self.scope:
            self._sweep(operation, Sweep(denial))
        elif is_pending:
            at = self._seconds()
            until = at + self.seconds if self.seconds else 0
            ban = StoredBan(self.scope, self.level, until, self.note, at)
            self.context.memory.sweep(self._key, operation, Sweep(denial, bans=(ban,)), None)
        else:
            self.release(operation)

    def release(self, operation: bytes) -> None:
        """See :class:`Revocation`."""
        self.context.memory.forget_sweep(self._key, operation)


class RaiseCutoff:
    """The end of all sessions of the namespace that were opened before a time; in three copies."""

    def __init__(self, context: Context, milliseconds: int | None) -> None:
        """``milliseconds`` since the epoch; None: now."""
        self._context = context
        self._milliseconds = milliseconds
        self._ahead = 0
        self._left = list(SLOTS_WITH_CUTOFF)
        self._durable = True
        self.failure: StoreUnavailable | None = None
        """Of the latest attempt, where a copy could not be reached."""

    def attempt(self) -> Flow[bool]:
        """Raise the copies that are not confirmed; whether all are, now. Raises StoreDenied."""
        keyspace, cutoff = self._context.keyspace, self._context.memory.cutoff
        self.failure = None
        for slot in list(self._left):
            began = cutoff.now()
            try:
                answer: Answer[int] = yield namespace_calls.raise_cutoff(
                    keyspace, slot, milliseconds=self._milliseconds, ahead=self._ahead
                )
            except StoreDenied:
                raise
            except StoreUnavailable as error:
                self.failure = error
                continue
            # The others take what the first one's clock admitted.
            self._milliseconds, self._ahead = answer.reply, _CLOCKS_APART
            cutoff.learn(answer.reply, began)
            if answer.is_confirmed:
                self._left.remove(slot)
                self._durable = self._durable and answer.durable
        return not self._left

    @property
    def is_durable(self) -> bool:
        """Whether each copy survives the loss of a node."""
        return self._durable and not self._left
