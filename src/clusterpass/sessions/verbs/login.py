"""Flows that open a session: a login, and an impersonation.

All that callers give is checked before anything is sent. No token is made before the store has
accepted the session.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from clusterpass.limits import LONGEST_IMPERSONATION
from clusterpass.model.authentication_errors import SessionUnknown
from clusterpass.model.errors import (
    ImpersonationRefused,
    InvalidInput,
    LoginOvertaken,
    SessionNotFound,
    SubjectBanned,
)
from clusterpass.model.policy import SessionPolicy
from clusterpass.model.values import (
    SESSION_ID_BYTES,
    Actor,
    EventKind,
    Session,
    SessionEvent,
    TokenPair,
    TooManySessions,
)
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.records import (
    BY_PASSWORD,
    HAS_DETAILS,
    IMPERSONATED,
    LONGEST_SHORT_DEVICE,
)
from clusterpass.protocol.replies import Details, Stored
from clusterpass.protocol.script import Flow
from clusterpass.sessions.check_arguments import (
    check_device_type,
    check_level,
    check_lifetime,
    check_methods,
    check_reason,
    check_seconds,
)
from clusterpass.sessions.context import Context
from clusterpass.sessions.issue_tokens import make_pair
from clusterpass.sessions.present import (
    PASSWORD,
    describe_bans,
    describe_live,
    live_record,
    pack_address,
)
from clusterpass.tokens.identifiers import (
    check_device,
    check_subject,
    decode_session_id,
    encode_session_id,
)
from clusterpass.tokens.issuer import check_claims

_LONGEST_GENERATION: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """What a login may say besides its subject; see ``SessionManager.login``."""

    device: str | None = None
    device_type: str | None = None
    claims: Mapping[str, Any] | None = None
    policy: SessionPolicy | None = None
    replace: str | None = None
    remember: bool = False
    lifetime: int | None = None
    idle_lifetime: int | None = None
    acr: str | None = None
    amr: Sequence[str] = ()
    address: str | None = None
    generation: int | None = None


class Opening:
    """The flows."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def login(self, subject: str, options: LoginOptions) -> Flow[TokenPair]:
        """Open a session."""
        context = self._context
        check_subject(subject)
        details, device, flags = self._describe(options)
        absolute, idle = self._lifetimes(options)
        policy = context.config.policy if options.policy is None else options.policy
        if not isinstance(policy, SessionPolicy):
            raise InvalidInput("policy must be a SessionPolicy")
        wanted = session_calls.Opening(
            session_id=context.random_bytes(SESSION_ID_BYTES),
            refresh_digest=b"",
            absolute_seconds=absolute,
            idle_seconds=idle,
            flags=flags,
            device=device,
            details=details,
            most_sessions=policy.max_sessions,
            most_per_device=policy.max_per_device,
            overflow=policy.overflow,
            replaced=_session_to_replace(options.replace),
            generation=_check_generation(options.generation),
            address=pack_address(options.address),
            label=options.device or options.device_type or "",
        )
        event = SessionEvent(
            "login",
            subject,
            0,
            device=options.device,
            device_type=options.device_type,
            address=options.address,
        )
        return (yield from self._open(subject, wanted, event))

    def impersonate(
        self, actor: Session, subject: str, *, reason: str, for_seconds: int
    ) -> Flow[TokenPair]:
        """Open a session of ``subject`` in which ``actor`` acts."""
        if not isinstance(actor, Session):
            raise InvalidInput("the actor must be a Session, as verify returns it")
        check_subject(actor.subject)
        check_subject(subject)
        check_reason(reason, may_be_empty=False)
        check_seconds("for_seconds", for_seconds, 1, LONGEST_IMPERSONATION)
        if actor.act is not None:
            raise ImpersonationRefused(
                "Who is impersonating cannot impersonate another", reason="nested"
            )
        if subject == actor.subject:
            raise ImpersonationRefused("Nobody can impersonate themselves", reason="self")
        if subject in self._context.config.protected_subjects:
            raise ImpersonationRefused("This subject cannot be impersonated", reason="protected")
        yield from self._check_actor(actor)
        wanted = session_calls.Opening(
            session_id=self._context.random_bytes(SESSION_ID_BYTES),
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
        return (yield from self._open(subject, wanted, event))

    def _check_actor(self, actor: Session) -> Flow[None]:
        session_id = decode_session_id(actor.session_id)
        if session_id is None:
            raise SessionUnknown
        context = self._context
        context.require_private_key()
        cutoff = yield from context.current_cutoff()
        answer = yield from session_calls.verify(
            context.keyspace, actor.subject, session_id=session_id
        )
        live_record(answer.reply, cutoff)

    def _open(
        self, subject: str, wanted: session_calls.Opening, event: SessionEvent
    ) -> Flow[TokenPair]:
        context = self._context
        context.require_private_key()
        token = context.refresh_tokens.first(subject, wanted.session_id)
        has_details = bool(wanted.details.encode())
        wanted.refresh_digest = token.digest
        wanted.flags |= HAS_DETAILS if has_details else 0
        if context.cutoff.is_due():
            yield from context.current_cutoff()
        answer = yield from session_calls.login(context.keyspace, context.keeping, subject, wanted)
        opened = answer.reply
        if opened.status != "OK":
            self._refuse(subject, opened, replace(event, at=opened.stored.now))
        session_id = encode_session_id(token.session_id)
        event = replace(event, at=opened.stored.now, session_ids=(session_id,))
        if opened.replaced:
            replaced = tuple(encode_session_id(each) for each in opened.replaced)
            context.tell(replace(event, kind="replaced", session_ids=replaced))
        context.tell(event)
        stored = Stored(
            opened.stored.now_milliseconds,
            opened.stored.record,
            wanted.details,
            opened.stored.elevation,
            opened.stored.live_claims,
            opened.stored.bans,
        )
        return make_pair(context, token, stored, live_record(stored), durable=answer.durable)

    def _refuse(self, subject: str, opened: session_calls.Opened, event: SessionEvent) -> None:
        context = self._context
        kind: EventKind = "refused"
        if opened.status == "OVERTAKEN":
            context.tell(replace(event, kind=kind, reason="overtaken"))
            raise LoginOvertaken
        if opened.status == "BANNED":
            context.tell(replace(event, kind=kind, reason="banned"))
            bans = describe_bans(opened.stored.bans, opened.stored.now)
            raise SubjectBanned(ban=next(ban for ban in bans if not ban.scope))
        context.tell(replace(event, kind=kind, reason="too_many_sessions"))
        assert opened.listed is not None
        live = describe_live(context.config, subject, opened.listed, context.cutoff.milliseconds)
        # An impersonation counts for nothing here, so its end would make no room.
        raise TooManySessions(sessions=[each for each in live if each.act is None])

    def _describe(self, options: LoginOptions) -> tuple[Details, str, int]:
        """The details, the device as the record holds it, and the record's flags."""
        check_device(options.device)
        kind = check_device_type(options.device_type)
        claims = check_claims({} if options.claims is None else options.claims)
        levels = self._context.config.levels
        acr = levels[0] if options.acr is None else check_level(levels, options.acr)
        methods = check_methods(options.amr)
        name = options.device or ""
        prefix = f"{kind}\0" if kind else ""
        is_short = len((prefix + name).encode()) <= LONGEST_SHORT_DEVICE
        details = Details(
            claims,
            None if is_short else name,
            None if acr == levels[0] else acr,
            () if methods == PASSWORD else methods,
        )
        flags = BY_PASSWORD if methods == PASSWORD else 0
        return details, prefix + (name if is_short else ""), flags

    def _lifetimes(self, options: LoginOptions) -> tuple[int, int]:
        config = self._context.config
        if not isinstance(options.remember, bool):
            raise InvalidInput("remember must be True or False")
        absolute, idle = config.absolute_lifetime, config.idle_lifetime
        if options.remember:
            absolute, idle = config.remember_lifetime, config.remember_idle_lifetime
        if options.lifetime is not None:
            absolute = check_lifetime("lifetime", options.lifetime)
        if options.idle_lifetime is not None:
            idle = check_lifetime("idle_lifetime", options.idle_lifetime, may_be_zero=True)
        return absolute, idle


def _session_to_replace(session_id: str | None) -> bytes:
    if session_id is None:
        return b""
    wanted = decode_session_id(session_id)
    if wanted is None:
        raise SessionNotFound("The session to replace is not a session id")
    return wanted


def _check_generation(generation: object) -> int | None:
    if generation is None:
        return None
    if (
        not isinstance(generation, int)
        or isinstance(generation, bool)
        or not 0 <= generation < _LONGEST_GENERATION
    ):
        raise InvalidInput("generation must be what SessionManager.generation returned")
    return generation
