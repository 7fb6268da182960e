"""Flows that change one live session: a step-up (RFC 9470), and a shorter lifetime."""

from collections.abc import Sequence

from clusterpass.limits import DAY
from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import ImpersonationRefused, InvalidInput, SessionNotFound
from clusterpass.model.events import SessionEvent
from clusterpass.model.values import Session, TokenPair
from clusterpass.protocol.calls import step_up_and_shorten as adjust_calls
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.check_arguments import (
    check_level,
    check_lifetime,
    check_methods,
    check_seconds,
)
from clusterpass.sessions.context import Context
from clusterpass.sessions.public_values import describe_session, live_record
from clusterpass.tokens.identifiers import check_subject, decode_session_id, encode_session_id


class Adjust:
    """The flows that step up and shorten sessions."""

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._keyspace = context.keyspace
        self._keeping = context.keeping
        self._stored_address = context.stored_address
        self._minting = context.minting
        self._secrets = context.secrets
        self._tell = context.tell

    def elevate(
        self,
        session: Session,
        level: str,
        *,
        for_seconds: int,
        amr: Sequence[str],
        address: str | None,
        password_changed: bool = False,
    ) -> Flow[TokenPair]:
        """Record a new authentication of the user; return tokens that claim it.

        The step-up applies to these tokens and to those of their refreshes. ``for_seconds``: how
        long the step-up lasts, 1 second to one day. ``password_changed``: the user has changed the
        password; this ends the tokens that were issued before. Raises InvalidInput,
        ImpersonationRefused for an impersonation, ConfigurationError without a private key, and
        SessionUnknown, SessionExpired or SessionRevoked when the session is not live.
        """
        self._minting.require_private_key()
        if not isinstance(session, Session):
            raise InvalidInput("session must be a Session, as verify returns it")
        check_level(self._config.levels, level)
        check_seconds("for_seconds", for_seconds, 1, DAY)
        methods = check_methods(amr)
        check_subject(session.subject)
        session_id = decode_session_id(session.session_id)
        if session_id is None:
            raise SessionUnknown
        tokens = yield from self._secrets.tokens()
        self._minting.require_open_key()
        # The script decides the rotation, of which the digest is independent.
        token = tokens.first(session.subject, session_id)
        answer: Answer[adjust_calls.Elevated] = yield adjust_calls.elevate(
            self._keyspace,
            self._keeping(),
            session.subject,
            session_id=session_id,
            seconds=for_seconds,
            level=level,
            methods=methods,
            address=self._stored_address(address),
            step_up=self._minting.new_step_up(),
            refresh_digest=token.digest,
            ends_older=password_changed or self._config.step_up_ends_older_tokens,
            # The release before takes an event that it does not know for a login.
            password_changed=password_changed and self._config.compatibility == "current",
        )
        stored = answer.reply.stored
        record = live_record(stored)
        if answer.reply.status == "IMPERSONATED":
            raise ImpersonationRefused(
                "An impersonation cannot be stepped up", reason="impersonated"
            )
        self._tell(
            SessionEvent(
                "password_changed" if password_changed else "elevated",
                session.subject,
                stored.now,
                session_ids=(session.session_id,),
                address=address,
                reason=None if password_changed else level,
            )
        )
        assert stored.elevation is not None
        return self._minting.make_pair(
            tokens.renumbered(token, stored.elevation.first_rotation),
            encode_session_id(session_id),
            stored,
            record,
            durable=answer.durable,
        )

    def shorten(
        self, subject: str, session_id: str, *, lifetime: int | None, idle_lifetime: int | None
    ) -> Flow[Session]:
        """Shorten the remaining or the idle lifetime of a session, in seconds.

        Raises InvalidInput, SessionNotFound, and SessionExpired or SessionRevoked when the session
        has ended.
        """
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
        answer: Answer[Stored] = yield adjust_calls.shorten(
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
