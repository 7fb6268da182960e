"""Flows that read and change a subject: sessions, history, generation, live claims and bans.

Every flow raises InvalidInput for an invalid subject, before anything is sent.
"""

from collections.abc import Mapping
from typing import Any

from clusterpass.limits import LARGEST_LIVE_CLAIMS_BYTES, LONGEST_LIFETIME
from clusterpass.model.bans import Ban
from clusterpass.model.check_values import check_ban_level, check_scope
from clusterpass.model.errors import OperationMismatch, SubjectBanned
from clusterpass.model.events import EventKind, HistoryEntry, SessionEvent
from clusterpass.model.frozen import frozen
from clusterpass.model.values import NO_CLAIMS, Applied, Ended, Session
from clusterpass.protocol.calls import session as session_calls, subject as subject_calls
from clusterpass.protocol.calls.subject_change import OPERATION_BYTES
from clusterpass.protocol.replies import Listed, StoredBan
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.audit_recorder import AuditTrail
from clusterpass.sessions.check_arguments import check_code, check_reason, check_seconds
from clusterpass.sessions.context import Context
from clusterpass.sessions.public_values import describe_bans, describe_line, describe_live
from clusterpass.sessions.read_cutoff import read_cutoff
from clusterpass.sessions.revocations.add_ban import AddBan
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.tokens.encoding import encode_json
from clusterpass.tokens.identifiers import check_subject, encode_session_id
from clusterpass.tokens.issuer import check_claims


class SubjectFlows:
    """The flows that read and change a subject."""

    def __init__(self, context: Context, confirm: Confirm) -> None:
        self._context = context
        self._config = context.config
        self._keyspace = context.keyspace
        self._keeping = context.keeping
        self._deadline = context.deadline
        self._memory = context.memory
        self._confirm = confirm

    def sessions(self, subject: str) -> Flow[list[Session]]:
        """Return the live sessions of ``subject``, newest first."""
        check_subject(subject)
        cutoff = yield from read_cutoff(self._keyspace, self._memory.cutoff, self._deadline)
        asked_at = self._memory.cutoff.now()
        answer: Answer[Listed] = yield session_calls.list_sessions(self._keyspace, subject)
        key = self._keyspace.sessions(subject)
        listed = self._memory.without_ended(key, answer.reply, asked_at)
        return describe_live(self._config, subject, listed, cutoff)

    def history(self, subject: str) -> Flow[list[HistoryEntry]]:
        """Return the history of ``subject``, newest first."""
        check_subject(subject)
        answer: Answer[Listed] = yield session_calls.list_sessions(self._keyspace, subject)
        lines = [describe_line(line, subject) for line in answer.reply.history]
        # Lines arrive in the order in which they were written, which orders those of one second.
        order = sorted(enumerate(lines), key=lambda entry: (entry[1].at, entry[0]), reverse=True)
        return [line for _, line in order]

    def generation(self, subject: str) -> Flow[int]:
        """Return the generation of ``subject``, which each ``revoke_all`` raises; 0 initially."""
        check_subject(subject)
        answer: Answer[int] = yield subject_calls.read_generation(self._keyspace, subject)
        return answer.reply

    def set_claims(self, subject: str, claims: Mapping[str, Any]) -> Flow[Applied]:
        """Replace the live claims of ``subject``; return how many sessions they apply to."""
        check_subject(subject)
        checked = check_claims(claims, largest=LARGEST_LIVE_CLAIMS_BYTES)
        answer: Answer[subject_calls.ClaimsSet] = yield subject_calls.set_claims(
            self._keyspace,
            self._keeping(),
            subject,
            claims=encode_json(checked) if checked else b"",
            operation=self._context.random_bytes(OPERATION_BYTES),
        )
        if answer.reply.status == "MISMATCH":
            raise OperationMismatch
        if answer.reply.is_changed:
            self._tell("claims_changed", subject)
        return Applied(answer.reply.sessions, answer.durable)

    def login_failed(
        self, subject: str, *, error: str, address: str | None, trail: AuditTrail | None
    ) -> Flow[None]:
        """Note in the history of ``subject`` and in ``trail`` that a login was refused.

        Listeners are told, too.
        """
        check_subject(subject)
        check_code("error", error)
        packed = self._context.stored_address(address)
        if trail is not None:
            trail.login_failed(subject, error, address)
        at = int(self._context.clock.wall())
        self._context.tell(SessionEvent("refused", subject, at, address=address, reason=error))
        if self._config.history_entries and error != "too_many_attempts":
            yield subject_calls.note_refusal(
                self._keyspace, self._keeping(), subject, address=packed, code=error
            )

    def claims(self, subject: str) -> Flow[Mapping[str, Any]]:
        """Return the live claims of ``subject``; empty when there are none."""
        check_subject(subject)
        answer: Answer[dict[str, Any]] = yield subject_calls.read_claims(self._keyspace, subject)
        return frozen(answer.reply) if answer.reply else NO_CLAIMS

    def ban(
        self,
        subject: str,
        *,
        reason: str,
        for_seconds: int | None,
        scope: str,
        level: int,
        operation_id: str | None = None,
    ) -> Flow[Ended]:
        """Ban ``subject`` from everything (an empty ``scope``) or from ``scope``.

        ``for_seconds``: the duration; None: until the ban is lifted. ``level``: 1 to 1000. Raises
        InvalidInput, TooManyBans, OperationMismatch, and RevocationPending when the ban is not
        confirmed.
        """
        check_subject(subject)
        check_reason(reason)
        _check_ban_scope(scope)
        check_ban_level(level)
        if for_seconds is not None:
            check_seconds("for_seconds", for_seconds, 1, LONGEST_LIFETIME)
        revocation = AddBan(
            context=self._context,
            subject=subject,
            event="banned",
            note=reason,
            scope=scope,
            level=level,
            seconds=for_seconds or 0,
        )
        outcome = yield from self._confirm.carry_out(revocation, operation_id)
        return outcome.count(revocation.ended_now)

    def unban(self, subject: str, *, scope: str) -> Flow[Applied]:
        """Lift the ban of ``subject`` from ``scope``; return how many bans were lifted."""
        check_subject(subject)
        _check_ban_scope(scope)
        answer: Answer[int] = yield subject_calls.unban(
            self._keyspace,
            self._keeping(),
            subject,
            scope=scope,
            operation=self._context.random_bytes(OPERATION_BYTES),
        )
        if answer.reply == subject_calls.UNBAN_MISMATCH:
            raise OperationMismatch
        if answer.reply:
            self._tell("unbanned", subject, reason=scope)
        return Applied(answer.reply, answer.durable)

    def bans(self, subject: str) -> Flow[tuple[Ban, ...]]:
        """Return the bans of ``subject`` that are in force."""
        check_subject(subject)
        asked_at = self._memory.cutoff.now()
        answer: Answer[tuple[int, tuple[StoredBan, ...]]] = yield subject_calls.read_subject_bans(
            self._keyspace, subject
        )
        now, bans = answer.reply
        now = self._memory.clocks.judge(1000 * now, asked_at) // 1000
        key = self._keyspace.sessions(subject)
        return describe_bans(self._memory.with_pending_bans(key, bans, asked_at), now)

    def check_ban(self, subject: str, scope: str, level: int) -> Flow[None]:
        """Raise SubjectBanned when a ban forbids everything, or ``scope`` at ``level``."""
        _check_ban_scope(scope)
        check_ban_level(level)
        for ban in (yield from self.bans(subject)):
            if ban.forbids(scope, level):
                raise SubjectBanned(ban=ban)

    def _tell(
        self,
        kind: EventKind,
        subject: str,
        session_ids: tuple[bytes, ...] = (),
        reason: str | None = None,
    ) -> None:
        ids = tuple(encode_session_id(each) for each in session_ids)
        at = int(self._context.clock.wall())
        self._context.tell(SessionEvent(kind, subject, at, session_ids=ids, reason=reason or None))


def _check_ban_scope(scope: object) -> None:
    if scope != "":
        check_scope(scope)
