"""Flows over one live session: step it up (RFC 9470), let it end earlier."""

from collections.abc import Sequence

from clusterpass.limits import DAY
from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import ImpersonationRefused, InvalidInput, SessionNotFound
from clusterpass.model.values import AccessToken, Session, SessionEvent
from clusterpass.protocol.calls import subject as subject_calls
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.check_arguments import (
    check_level,
    check_lifetime,
    check_methods,
    check_seconds,
)
from clusterpass.sessions.context import Context
from clusterpass.sessions.present import describe_session, live_record, pack_address
from clusterpass.tokens.identifiers import check_subject, decode_session_id, encode_session_id


class Adjust:
    """The flows."""

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._keyspace = context.keyspace
        self._keeping = context.keeping
        self._minting = context.minting
        self._tell = context.tell

    def elevate(
        self,
        session: Session,
        level: str,
        *,
        for_seconds: int,
        amr: Sequence[str],
        address: str | None,
    ) -> Flow[AccessToken]:
        """Note that the user was authenticated again; an access token that says so."""
        self._minting.require_private_key()
        if not isinstance(session, Session):
            raise InvalidInput("the session must be a Session, as verify returns it")
        check_level(self._config.levels, level)
        check_seconds("for_seconds", for_seconds, 1, DAY)
        methods = check_methods(amr)
        check_subject(session.subject)
        session_id = decode_session_id(session.session_id)
        if session_id is None:
            raise SessionUnknown
        answer: Answer[subject_calls.Elevated] = yield subject_calls.elevate(
            self._keyspace,
            self._keeping(),
            session.subject,
            session_id=session_id,
            seconds=for_seconds,
            level=level,
            methods=methods,
            address=pack_address(address),
        )
        stored = answer.reply.stored
        record = live_record(stored)
        if answer.reply.status == "IMPERSONATED":
            raise ImpersonationRefused(
                "An impersonation cannot be stepped up", reason="impersonated"
            )
        self._tell(
            SessionEvent(
                "elevated",
                session.subject,
                stored.now,
                session_ids=(session.session_id,),
                address=address,
                reason=level,
            )
        )
        return self._minting.make_access_token(
            session.subject,
            encode_session_id(session_id),
            stored,
            record,
            durable=answer.durable,
        )

    def shorten(
        self, subject: str, session_id: str, *, lifetime: int | None, idle_lifetime: int | None
    ) -> Flow[Session]:
        """Let a session end earlier than it would."""
        check_subject(subject)
        if lifetime is None and idle_lifetime is None:
            raise InvalidInput("give lifetime, idle_lifetime or both")
        if lifetime is not None:
            check_seconds("lifetime", lifetime, 1, 2**31)
        if idle_lifetime is not None:
            check_lifetime("idle_lifetime", idle_lifetime)
        wanted = decode_session_id(session_id)
        if wanted is None:
            raise SessionNotFound
        answer: Answer[Stored] = yield subject_calls.shorten(
            self._keyspace,
            self._keeping(),
            subject,
            session_id=wanted,
            lifetime=lifetime,
            idle_lifetime=idle_lifetime,
        )
        stored = answer.reply
        if stored.record is None:
            raise SessionNotFound
        record = live_record(stored)
        return describe_session(self._config, subject, session_id, stored, record)
