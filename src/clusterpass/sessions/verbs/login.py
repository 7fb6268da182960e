"""Flows that open a session: a login, and an impersonation.

- All arguments are checked before anything is sent.
- No token is issued before the store has accepted the session.
"""

from dataclasses import replace
from typing import Final, NoReturn

from clusterpass.limits import LONGEST_IMPERSONATION
from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import (
    ImpersonationRefused,
    InvalidInput,
    LoginOvertaken,
    SubjectBanned,
)
from clusterpass.model.events import EventKind, SessionEvent
from clusterpass.model.values import SESSION_ID_BYTES, Actor, Session, TokenPair, TooManySessions
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.records import IMPERSONATED, LiveRecord
from clusterpass.protocol.replies import Details, StoredBan
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.check_arguments import check_reason, check_seconds
from clusterpass.sessions.context import Context
from clusterpass.sessions.options import LoginOptions
from clusterpass.sessions.public_values import (
    describe_bans,
    describe_live,
    live_record,
)
from clusterpass.sessions.read_cutoff import read_cutoff
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.verbs.actor import Actors
from clusterpass.sessions.verbs.new_session import NewSessions
from clusterpass.tokens.identifiers import (
    check_subject,
    decode_session_id,
    encode_session_id,
)

_MOST_TRIES: Final = 3


class Login:
    """The flows that open sessions."""

    def __init__(self, context: Context, confirm: Confirm) -> None:
        self._actors = Actors(context, confirm)
        self._new_sessions = NewSessions(context)
        self._config = context.config
        self._keyspace = context.keyspace
        self._keeping = context.keeping
        self._deadline = context.deadline
        self._random_bytes = context.random_bytes
        self._memory = context.memory
        self._cutoff = context.memory.cutoff
        self._minting = context.minting
        self._secrets = context.secrets
        self._tell = context.tell

    def login(self, subject: str, options: LoginOptions) -> Flow[TokenPair]:
        """Open a session of ``subject``.

        Raises TypeError for an unknown option, InvalidInput, SubjectBanned, TooManySessions and
        LoginOvertaken.
        """
        return self._open(subject, options)

    def impersonate(
        self, actor: Session, subject: str, *, reason: str, for_seconds: int
    ) -> Flow[TokenPair]:
        """Open a session of ``subject`` in which ``actor`` acts (RFC 8693 section 4.1).

        Raises InvalidInput, SubjectBanned, ImpersonationRefused, and SessionUnknown, SessionExpired
        or SessionRevoked when the actor's session is not live.
        """
        if not isinstance(actor, Session):
            raise InvalidInput("actor must be a Session, as verify returns it")
        check_subject(actor.subject)
        check_subject(subject)
        check_reason(reason, may_be_empty=False)
        check_seconds("for_seconds", for_seconds, 1, LONGEST_IMPERSONATION)
        if actor.act is not None:
            raise ImpersonationRefused(
                "An impersonation cannot start another impersonation", reason="nested"
            )
        if subject == actor.subject:
            raise ImpersonationRefused("Users cannot impersonate themselves", reason="self")
        if subject in self._config.protected_subjects:
            raise ImpersonationRefused("This subject cannot be impersonated", reason="protected")
        yield from self._check_actor(actor)
        wanted = session_calls.NewSession(
            session_id=self._random_bytes(SESSION_ID_BYTES),
            refresh_digest=b"",
            absolute_seconds=for_seconds,
            idle_seconds=0,
            flags=IMPERSONATED,
            device="impersonation\0",
            details=Details({}, actor=(actor.subject, actor.session_id, reason)),
            most_sessions=1,
            is_impersonation=True,
            label=f"{actor.subject}: {reason}",
        )
        event = SessionEvent(
            "impersonated",
            subject,
            0,
            reason=reason,
            actor=Actor(actor.subject, actor.session_id, reason),
        )
        return (yield from self._open(subject, {}, (wanted, event)))

    def _check_actor(self, actor: Session) -> Flow[None]:
        session_id = decode_session_id(actor.session_id)
        if session_id is None:
            raise SessionUnknown
        self._minting.require_private_key()
        cutoff = yield from read_cutoff(self._keyspace, self._cutoff, self._deadline)
        yield from self._actors.require_live(actor.subject, session_id, cutoff)

    def _open(
        self,
        subject: str,
        options: LoginOptions,
        prepared: tuple[session_calls.NewSession, SessionEvent] | None = None,
    ) -> Flow[TokenPair]:
        """Open the session that ``options`` ask for, or the one that is ``prepared``."""
        wanted, event = prepared or self._new_sessions.prepare(subject, options)
        self._minting.require_private_key()
        keys = self._keyspace.keys_of(subject)
        pending = self._memory.denials.pending_bans(keys.sessions)
        if pending:
            self._refuse_pending_ban(pending, event)
        if self._cutoff.is_due():
            yield from read_cutoff(self._keyspace, self._cutoff, self._deadline)
        tokens = yield from self._secrets.tokens()
        self._minting.require_open_key()
        for _ in range(_MOST_TRIES):
            token = tokens.first(subject, wanted.session_id)
            wanted.refresh_digest = token.digest
            answer: Answer[session_calls.Opened] = yield session_calls.login(
                self._keyspace, self._keeping(), subject, wanted, keys=keys
            )
            opened = answer.reply
            if opened.status != "OK" or isinstance(opened.stored.record, LiveRecord):
                break
            # An ending that was asked for before became known after the session was opened.
            wanted.session_id = self._random_bytes(SESSION_ID_BYTES)
        stored = opened.stored
        if opened.status != "OK":
            self.refuse(subject, opened, event)
        session_id = encode_session_id(token.session_id)
        self.report(opened, event, session_id)
        # The details are those of this login, however the store encodes them.
        stored.details = wanted.details
        return self._minting.make_pair(
            token, session_id, stored, live_record(stored), durable=answer.durable
        )

    def _refuse_pending_ban(self, pending: tuple[StoredBan, ...], event: SessionEvent) -> None:
        """Raise SubjectBanned for a ban from everything that the store may not know yet."""
        now = int(self._memory.clocks.call_time().milliseconds / 1000)
        for ban in describe_bans(pending, now):
            if not ban.scope:
                self._tell(replace(event, at=now, kind="refused", reason="banned"))
                raise SubjectBanned(ban=ban)

    def report(self, opened: session_calls.Opened, event: SessionEvent, session_id: str) -> None:
        """Tell the listeners of a session that was opened, and of those that it replaced."""
        now = opened.stored.now
        if opened.replaced:
            replaced = tuple(encode_session_id(each) for each in opened.replaced)
            self._tell(replace(event, kind="replaced", at=now, session_ids=replaced))
        self._tell(
            SessionEvent(  # sooner made than replaced
                event.kind,
                event.subject,
                now,
                (session_id,),
                event.device,
                event.device_type,
                event.address,
                event.reason,
                event.actor,
            )
        )

    def refuse(self, subject: str, opened: session_calls.Opened, event: SessionEvent) -> NoReturn:
        """Tell the listeners that no session was opened, and raise the error that says why."""
        event = replace(event, at=opened.stored.now)
        kind: EventKind = "refused"
        if opened.status == "OVERTAKEN":
            self._tell(replace(event, kind=kind, reason="overtaken"))
            raise LoginOvertaken
        if opened.status == "BANNED":
            self._tell(replace(event, kind=kind, reason="banned"))
            bans = describe_bans(opened.stored.bans, opened.stored.now)
            raise SubjectBanned(ban=next(ban for ban in bans if not ban.scope))
        self._tell(replace(event, kind=kind, reason="too_many_sessions"))
        assert opened.listed is not None
        live = describe_live(self._config, subject, opened.listed, self._cutoff.milliseconds)
        # Impersonations do not count towards the limit, so ending one would not make room.
        raise TooManySessions(sessions=[each for each in live if each.act is None])
