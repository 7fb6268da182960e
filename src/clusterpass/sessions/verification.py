"""The flow that checks an access token: first its signature, then its session."""

from typing import Final

from clusterpass.errors import (
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    StepUpRequired,
    StoreUnavailable,
)
from clusterpass.models import Actor, Session
from clusterpass.protocol import calls
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Flow
from clusterpass.sessions.arguments import check_level, check_seconds
from clusterpass.sessions.context import Context
from clusterpass.sessions.describe import (
    authentications,
    describe_session,
    live_record,
    session_of,
)
from clusterpass.tokens.identifiers import decode_session_id

_NOTES_IN_AN_IDLE_LIFETIME: Final = 20
_LONGEST_AGE: Final = 10 * 366 * 86_400


class Verification:
    """The flow, and what it asks for."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def verify(
        self, access_token: str, *, level: str | None = None, max_auth_age: int | None = None
    ) -> Flow[Session]:
        """The live session of an access token."""
        context = self._context
        if level is not None:
            check_level(context.config.levels, level)
        if max_auth_age is not None:
            check_seconds("max_auth_age", max_auth_age, 0, _LONGEST_AGE)
        claims = context.verifier.verify(access_token)
        session_id = session_of(claims)
        cutoff = yield from context.current_cutoff()
        answer = yield from calls.verify(context.keyspace, claims.subject, session_id=session_id)
        stored = answer.reply
        record = live_record(stored, cutoff)
        context.verifier.check_expiry(claims, stored.now)
        session = describe_session(context.config, claims.subject, session_id, stored, record)
        if session.act is not None:
            yield from self.check_actor(session.act, cutoff)
        if level is not None or max_auth_age is not None:
            self._check_authentication(stored, record, level, max_auth_age)
        if self._is_to_be_noted(record, stored.now):
            yield from self._note_use(claims.subject, session_id)
        return session

    def check_actor(self, actor: Actor, cutoff: int) -> Flow[None]:
        """An impersonation ends with the session of who impersonates."""
        ended_at = 0
        session_id = decode_session_id(actor.session_id)
        if session_id is not None:
            answer = yield from calls.verify(
                self._context.keyspace, actor.subject, session_id=session_id
            )
            try:
                live_record(answer.reply, cutoff)
            except (SessionExpired, SessionRevoked) as end:
                ended_at = end.ended_at
            except SessionUnknown:
                ended_at = answer.reply.now
            else:
                return
        # Why it ended is the actor's business, not the subject's.
        raise SessionRevoked(reason="revoked", ended_at=ended_at, note="the impersonation is over")

    def _check_authentication(
        self, stored: Stored, record: LiveRecord, level: str | None, max_auth_age: int | None
    ) -> None:
        """One and the same authentication must be strong enough and recent enough."""
        config = self._context.config
        lowest = -1 if level is None else config.levels.index(level)
        for each in authentications(config, stored, record):
            if each.rank >= lowest and (
                max_auth_age is None or stored.now - each.time <= max_auth_age
            ):
                return
        acr_values = () if level is None else config.levels[lowest:]
        raise StepUpRequired(acr_values=acr_values, max_age=max_auth_age)

    def _is_to_be_noted(self, record: LiveRecord, now: int) -> bool:
        interval = self._context.config.activity_interval
        if not interval:
            return False
        if record.idle_seconds:
            interval = min(interval, max(1, record.idle_seconds // _NOTES_IN_AN_IDLE_LIFETIME))
        return now - record.active_at >= interval

    def _note_use(self, subject: str, session_id: bytes) -> Flow[bool]:
        """Whether the use was noted; a store that fails here does not make the session invalid."""
        context = self._context
        try:
            yield from calls.touch(
                context.keyspace, context.keeping, subject, session_id=session_id
            )
        except StoreUnavailable:
            return False
        return True
