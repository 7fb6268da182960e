"""The flow that checks an access token: first its signature, then its session.

What can be answered from memory is; the rules are those of ``memory.near_cache``. The session of
an impersonation is not kept: it hangs on two subjects at once.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from clusterpass.config import VerificationMode, check_grace, check_mode
from clusterpass.model.authentication_errors import (
    SessionExpired,
    SessionRevoked,
    SessionUnknown,
    StepUpRequired,
    TokenExpired,
)
from clusterpass.model.errors import InvalidInput, StoreDenied, StoreUnavailable
from clusterpass.model.values import Actor, Session
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored, StoredBan, read_stored, used_at
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.sessions.check_arguments import check_level, check_seconds
from clusterpass.sessions.context import Context
from clusterpass.sessions.endings.confirm import Confirmation
from clusterpass.sessions.memory.denials import Moment, denial_of
from clusterpass.sessions.memory.entries import Loaded, Remembered
from clusterpass.sessions.present import (
    Authentication,
    authentications,
    claimed_authentication,
    describe_claims,
    describe_session,
    live_record,
    means_the_same_until,
    session_of,
)
from clusterpass.tokens.identifiers import decode_session_id

_NOTES_IN_AN_IDLE_LIFETIME: Final = 20
_SHORT: Final = 0.05
_LONGEST_AGE: Final = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a verify asks for."""

    mode: VerificationMode
    level: str | None
    max_auth_age: int | None


class Verification:
    """The flow, and what it asks for."""

    def __init__(self, context: Context, confirmation: Confirmation) -> None:
        self._context = context
        self._confirmation = confirmation

    def verify(
        self,
        access_token: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        verification: VerificationMode | None = None,
        outage_grace: float | None = None,
    ) -> Flow[Session]:
        """The live session of an access token."""
        context = self._context
        if outage_grace is None:
            # Who says how to verify wants that, and nothing less.
            outage_grace = context.config.outage_grace if verification is None else 0
        else:
            check_grace(outage_grace, InvalidInput)
        if level is not None:
            check_level(context.config.levels, level)
        if max_auth_age is not None:
            check_seconds("max_auth_age", max_auth_age, 0, _LONGEST_AGE)
        mode = self._mode(verification)
        if mode == "stateless":
            return self._by_token_alone(access_token, level, max_auth_age)
        entry = self._known(access_token)
        wanted = _Wanted(mode, level, max_auth_age)
        if mode != "cached" or not context.near.is_served(entry):
            return (yield from self._ask_or_recall(entry, wanted, outage_grace))
        assert entry.session is not None and entry.loaded is not None
        now = context.near.store_seconds(entry.loaded)
        try:
            self._check_authentication(entry.loaded, now, level, max_auth_age)
        except StepUpRequired:
            # Nobody is refused from memory: the user may have stepped up a moment ago.
            return (yield from self._ask_or_recall(entry, wanted, outage_grace))
        return entry.session

    def _mode(self, wanted: VerificationMode | None) -> VerificationMode:
        usual = self._context.config.verification
        if wanted is None or wanted == usual:
            return usual
        check_mode(wanted, InvalidInput)
        if wanted == "cached":
            raise InvalidInput("nothing is cached here: make it with Config(verification='cached')")
        return wanted

    def _known(self, access_token: str) -> Remembered:
        """The entry of a genuine token that has not expired by this machine's clock."""
        context = self._context
        entry = context.near.entry(access_token) if isinstance(access_token, str) else None
        if entry is not None:
            if context.clock() >= entry.expires_at:
                raise TokenExpired
            return entry
        claims = context.verifier.verify(access_token)
        session_id = session_of(claims)
        key = context.keyspace.sessions(claims.subject)
        expires_at = claims.expires_at + context.config.expiry_leeway
        return Remembered(access_token, claims.subject, key, session_id, expires_at)

    def _ask_or_recall(
        self, entry: Remembered, wanted: "_Wanted", outage_grace: float
    ) -> Flow[Session]:
        """Ask the store; when it cannot be asked, answer what is known for certain, or by grace."""
        try:
            return (yield from self._ask(entry, wanted))
        except StoreDenied:
            raise
        except StoreUnavailable:
            self._refuse_if_over(entry)
            if not outage_grace or not self._is_in_grace(entry, outage_grace):
                raise
        assert entry.loaded is not None and entry.session is not None
        now = self._context.near.store_seconds(entry.loaded)
        self._check_authentication(entry.loaded, now, wanted.level, wanted.max_auth_age)
        self._context.grace_accepted += 1
        return replace(entry.session, in_grace=True)

    def _refuse_if_over(self, entry: Remembered) -> None:
        """Who has seen a session end needs no store to say so."""
        context = self._context
        if entry.loaded is None:
            denial = context.denials.of_session(entry.session_id)
        else:
            now = context.cutoff.now()
            moment = Moment(1000 * context.near.store_seconds(entry.loaded), now)
            record = live_record(read_stored([0, *entry.loaded.raw]))
            denial = context.denials.without_store(entry.key, entry.session_id, record, moment)
        if denial is not None:
            raise denial.error()

    def _is_in_grace(self, entry: Remembered, seconds: float) -> bool:
        context, loaded = self._context, entry.loaded
        age = context.near.seconds_since_seen(entry)
        return (
            loaded is not None
            and age is not None
            and age <= seconds
            and loaded.session.act is None
            and context.near.store_seconds(loaded) < loaded.fresh_until
            and loaded.created_milliseconds >= context.cutoff.milliseconds
            and not context.pending_cutoffs
        )

    def _ask(self, entry: Remembered, wanted: "_Wanted") -> Flow[Session]:
        """Ask the store, and remember what it answers."""
        context, near, mode = self._context, self._context.near, wanted.mode
        began = context.cutoff.now()
        cutoff = context.cutoff.milliseconds
        if context.cutoff.is_due():
            cutoff = yield from context.current_cutoff()
        loading = near.begin(entry.key) if mode == "cached" else None
        try:
            sent_at = context.cutoff.now()
            answer: Answer[list[Any]] = yield self._call_of(entry, mode, sent_at - began)
            loaded = self._interpret(entry, answer, mode, sent_at, cutoff)
            session, now = loaded.session, answer.reply[0] // 1000
            if session.act is not None:
                yield from self.check_actor(session.act, cutoff)
            self._check_authentication(loaded, now, wanted.level, wanted.max_auth_age)
            if now >= loaded.note_at and (
                yield from self._note_use(session.subject, entry.session_id)
            ):
                loaded = self._read(entry, used_at(answer.reply, now), sent_at, cutoff)
            if loading is not None or loaded is not entry.loaded:
                near.keep(entry, loaded, None if session.act else loading, answer.node)
        finally:
            if loading is not None:
                near.end(loading)
        return session

    def _call_of(
        self, entry: Remembered, mode: VerificationMode, elapsed: float
    ) -> ScriptCall[list[Any]]:
        """``elapsed``: seconds of the verify's time that are gone."""
        has_begun = elapsed < _SHORT
        if entry.call is not None and has_begun:
            return entry.call
        context = self._context
        call = session_calls.read_session(
            context.keyspace,
            entry.key,
            session_id=entry.session_id,
            slot=entry.slot,
            deadline=None if has_begun else max(_SHORT, context.deadline - elapsed),
        )
        if mode == "strict" and has_begun:
            entry.call = call
        return call

    def _interpret(
        self,
        entry: Remembered,
        answer: Answer[list[Any]],
        mode: VerificationMode,
        sent_at: float,
        cutoff: int,
    ) -> Loaded:
        """What the answer of the store says; raises what says why the session is none."""
        context = self._context
        milliseconds, raw = answer.reply[0], answer.reply[1:]
        now, ahead = milliseconds // 1000, milliseconds / 1000 - sent_at
        known = entry.loaded
        if (
            known is not None
            and known.raw == raw
            and now < known.fresh_until
            and known.created_milliseconds >= cutoff
            and now < entry.expires_at
            and not context.denials.concerns(entry.key, entry.session_id)
        ):
            return known if mode == "strict" else replace(known, ahead=ahead)
        loaded = self._read(entry, answer.reply, sent_at, cutoff)
        if now >= entry.expires_at:
            raise TokenExpired
        return loaded

    def _read(self, entry: Remembered, reply: list[Any], sent_at: float, cutoff: int) -> Loaded:
        context = self._context
        stored = read_stored(reply)
        if not isinstance(stored.record, LiveRecord):
            context.denials.learn_generation(entry.key, stored.generation)
        try:
            record = live_record(stored, cutoff)
        except (SessionExpired, SessionRevoked) as end:
            context.deny(entry.subject, entry.session_id, denial_of(end))
            raise
        except SessionUnknown:
            context.near.changed(entry.key)
            raise
        stored = self._allowed(entry, stored, sent_at)
        return Loaded(
            describe_session(context.config, entry.subject, entry.session_id, stored, record),
            reply[1:],
            ahead=stored.now_milliseconds / 1000 - sent_at,
            created_milliseconds=record.created_milliseconds,
            fresh_until=means_the_same_until(stored, record),
            note_at=record.active_at + self._note_interval(record.idle_seconds),
        )

    def _allowed(self, entry: Remembered, stored: Stored, sent_at: float) -> Stored:
        """What the store shows alive, unless this process knows better; raises what it knows."""
        denials = self._context.denials
        if not stored.generation and not denials.concerns(entry.key, entry.session_id):
            return stored
        denial = denials.judge(entry.key, entry.session_id, stored, sent_at)
        if denial is not None:
            self._context.near.changed(entry.key)
            self._confirmation.deny(entry.subject, entry.session_id, denial)
            raise denial.error()
        return _with_bans(stored, denials.pending_bans(entry.key))

    def _by_token_alone(
        self, access_token: str, level: str | None, max_auth_age: int | None
    ) -> Session:
        """The session as far as the token tells."""
        context = self._context
        claims = context.verifier.verify(access_token)
        session_id = session_of(claims)
        denial = context.denials.of_session(session_id)
        if denial is not None:
            raise denial.error()
        session = describe_claims(context.config, claims)
        found = (claimed_authentication(context.config, session),)
        self._require(found, context.clock(), level, max_auth_age)
        if context.config.verification == "stateless":
            key = context.keyspace.sessions(claims.subject)
            expires_at = claims.expires_at + context.config.expiry_leeway
            entry = Remembered(access_token, claims.subject, key, session_id, expires_at)
            context.near.keep_stateless(entry, session)
        return session

    def check_actor(self, actor: Actor, cutoff: int) -> Flow[None]:
        """An impersonation ends with the session of who impersonates."""
        ended_at = 0
        session_id = decode_session_id(actor.session_id)
        if session_id is not None:
            answer = yield from session_calls.verify(
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
        self, loaded: Loaded, now: float, level: str | None, max_auth_age: int | None
    ) -> None:
        if level is None and max_auth_age is None:
            return
        stored = read_stored([int(now * 1000), *loaded.raw])
        assert isinstance(stored.record, LiveRecord)
        found = authentications(self._context.config, stored, stored.record)
        self._require(found, now, level, max_auth_age)

    def _require(
        self,
        found: tuple[Authentication, ...],
        now: float,
        level: str | None,
        max_auth_age: int | None,
    ) -> None:
        """One and the same authentication must be strong enough and recent enough."""
        config = self._context.config
        lowest = -1 if level is None else config.levels.index(level)
        for each in found:
            if each.rank >= lowest and (max_auth_age is None or now - each.time <= max_auth_age):
                return
        acr_values = () if level is None else config.levels[lowest:]
        raise StepUpRequired(acr_values=acr_values, max_age=max_auth_age)

    def _note_interval(self, idle_seconds: int) -> float:
        """Seconds after a note of a session's use after which another one is due."""
        interval = self._context.config.activity_interval
        if not interval:
            return math.inf
        if idle_seconds:
            interval = min(interval, max(1, idle_seconds // _NOTES_IN_AN_IDLE_LIFETIME))
        return interval

    def _note_use(self, subject: str, session_id: bytes) -> Flow[bool]:
        """Whether the use was noted; a store that fails here does not make the session invalid."""
        context = self._context
        try:
            answer = yield from session_calls.touch(
                context.keyspace, context.keeping, subject, session_id=session_id
            )
        except StoreUnavailable:
            return False
        return bool(answer.reply)


def _with_bans(stored: Stored, pending: tuple[StoredBan, ...]) -> Stored:
    """With the bans that the store may not know yet."""
    known = {ban.scope for ban in stored.bans}
    missing = tuple(ban for ban in pending if ban.scope not in known)
    return replace(stored, bans=(*stored.bans, *missing)) if missing else stored
