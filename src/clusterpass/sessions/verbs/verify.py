"""Verifies access tokens: first the signature, then the session.

- In ``cached`` mode a session is served from memory while its lease lasts (``memory.near_cache``),
  also where its use is due to be recorded, which happens a moment later (:class:`Uses`).
- An impersonation is never served from memory, as it depends on the sessions of two subjects.
- While the store is unavailable, a session that was seen live within ``outage_grace`` is accepted
  unless this process knows that it has ended (:class:`OutageGrace`).
"""

from dataclasses import replace
from typing import Any, Final

from clusterpass.config import VerificationMode
from clusterpass.model.authentication_errors import StepUpRequired, TokenExpired, TokenKeyUnknown
from clusterpass.model.errors import ClusterPassError, StoreDenied, StoreUnavailable
from clusterpass.model.values import Session
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.replies import used_at
from clusterpass.protocol.script import Answer, Flow, ScriptCall
from clusterpass.sessions.authentication import claimed_authentication, require_authentication
from clusterpass.sessions.context import Context
from clusterpass.sessions.loaded_session import Loads
from clusterpass.sessions.memory.entries import CachedToken
from clusterpass.sessions.public_values import describe_claims
from clusterpass.sessions.read_cutoff import read_cutoff
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.verbs.actor import Actors
from clusterpass.sessions.verbs.outage_grace import OutageGrace
from clusterpass.sessions.verbs.requirements import Requirements, Wanted
from clusterpass.sessions.verbs.use import Uses
from clusterpass.tokens.identifiers import rotation_of, session_of
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.undelivered_token import UndeliveredToken
from clusterpass.tokens.verifier import TokenVerifier

_SHORT: Final = 0.05
_LATE: Final = 0.2
"""The share of the deadline that is left to a caller who has waited in vain for another one."""


class Verify:
    """The flow that verifies an access token."""

    def __init__(self, context: Context, confirm: Confirm) -> None:
        config = context.config
        self._config = config
        self._keyspace = context.keyspace
        self._clock = context.clock
        self._deadline = context.deadline
        self._memory = context.memory
        self._signing = context.signing
        self._verifies = context.counters.verifies
        self._clocks = context.memory.clocks
        self._near = context.memory.near
        self._cutoff = context.memory.cutoff
        self._actors = Actors(context, confirm)
        self._loads = Loads(context, confirm)
        self.uses: Final = Uses(context, self._loads)
        requirements = Requirements(config, context.deadline)
        self._wanted = requirements.read
        self._check = requirements.check
        self._grace = OutageGrace(context.memory, self._loads, requirements.check)
        self._verifier = TokenVerifier(
            config.keys,
            issuer=config.issuer,
            audience=config.audience,
            clock_leeway=config.clock_leeway,
            expiry_leeway=config.expiry_leeway,
            clock=context.clock.wall,
        )

    def replace_keys(self, keys: KeyRing) -> None:
        """Accept the access tokens that ``keys`` verify from now on."""
        self._verifier = self._verifier.with_keys(keys)

    @property
    def is_cold(self) -> bool:
        """Whether this process has to read the cutoff before it can verify anything."""
        return self._cutoff.known_at is None and self._config.verification != "stateless"

    def warm_up(self) -> Flow[int]:
        """Read the cutoff, which every verify needs; raises StoreUnavailable."""
        return read_cutoff(self._keyspace, self._cutoff, self._deadline)

    def verify(
        self,
        access_token: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        verification: VerificationMode | None = None,
        outage_grace: float | None = None,
        is_late: bool = False,
    ) -> Flow[Session]:
        """Return the live session of ``access_token``.

        Takes and raises what ``SessionManager.verify`` documents. ``is_late``: whether the caller
        has waited for the answer to another one, and has little time left. The first use of an
        :class:`UndeliveredToken` stays to be noted by the next verify.
        """
        wanted = self._wanted(level, max_auth_age, verification, outage_grace)
        if isinstance(access_token, UndeliveredToken):
            access_token = str(access_token)  # what is kept of it is used by its client
            wanted = replace(wanted, notes_use=False)
        if is_late:
            wanted = replace(wanted, seconds=wanted.seconds * _LATE)
        if self._signing is None:
            return (yield from self._judge(access_token, wanted))
        yield from self._signing.prepare(asks=wanted.mode != "stateless")
        try:
            return (yield from self._judge(access_token, wanted))
        except TokenKeyUnknown:
            yield from self._signing.search()
        return (yield from self._judge(access_token, wanted))

    def _judge(self, access_token: str, wanted: Wanted) -> Flow[Session]:
        """Verify the token by itself, then its session; count what came of it."""
        decided_by = "token"
        try:
            if wanted.mode == "stateless":
                session = self._by_token_alone(access_token, wanted)
                self._verifies["ok", "token"] += 1
                return session
            entry = self._known(access_token)
            decided_by = "store"
            if wanted.mode == "cached" and self._near.is_served(entry):
                served = self._served(entry, wanted)
                if served is not None:
                    return served
            return (yield from self._ask(entry, wanted))
        except ClusterPassError as error:
            self._verifies[error.code, decided_by] += 1
            raise

    def _served(self, entry: CachedToken, wanted: Wanted) -> Session | None:
        """Return the session of an entry that is served, unless the store has to be asked."""
        assert entry.session is not None and entry.loaded is not None
        try:
            self._check(entry, entry.loaded, self._near.store_seconds(entry.loaded), wanted)
        except StepUpRequired:
            # A refusal is never served from memory: the store's own clock decides.
            return None
        return entry.session

    def _known(self, access_token: str) -> CachedToken:
        """Return the cache entry of a genuine token, or a new one.

        Raises TokenExpired when the token has expired by this machine's clock.
        """
        entry = self._near.entry(access_token) if isinstance(access_token, str) else None
        if entry is not None:
            if self._clock.wall() >= entry.expires_at:
                raise TokenExpired
            return entry
        era = self._near.era  # before the signature is verified, by keys that may be replaced
        claims = self._verifier.verify(access_token)
        session_id = session_of(claims)
        keys = self._keyspace.keys_of(claims.subject)
        expires_at = claims.expires_at + self._config.expiry_leeway
        entry = CachedToken(
            access_token,
            claims.subject,
            keys,
            session_id,
            expires_at,
            session_text=claims.session_id,
            step_up=claims.step_up,
            era=era,
        )
        entry.rotation = rotation_of(claims)
        return entry

    def _ask(self, entry: CachedToken, wanted: Wanted) -> Flow[Session]:
        """Ask the store; when it is unavailable, answer from memory if that is allowed."""
        near, cutoff, mode = self._near, self._cutoff, wanted.mode
        loading = None
        began = cutoff.now()
        try:
            known_cutoff = cutoff.milliseconds
            if cutoff.is_due():
                known_cutoff = yield from read_cutoff(self._keyspace, cutoff, wanted.seconds)
            loading = near.begin(entry.key, entry.token) if mode == "cached" else None
            sent_at = cutoff.now()
            answer: Answer[list[Any]] = yield self._call_of(entry, wanted, sent_at - began)
            reply = self._clocks.judge_reply(answer.reply, sent_at)
            known_cutoff = max(known_cutoff, cutoff.milliseconds)
            loaded = self._loads.interpret(entry, reply, mode, sent_at, known_cutoff)
            session, now = loaded.session, reply[0] // 1000
            if session.act is not None:
                yield from self._actors.require_actor(session.act, known_cutoff)
            if wanted.level is not None or wanted.max_auth_age is not None:
                self._check(entry, loaded, now, wanted)
            if wanted.notes_use and now >= loaded.note_at:
                noted = yield from self.uses.record(entry)
                if noted:
                    reply = used_at(reply, now, noted - 1)
                    loaded = self._loads.read(entry, reply, sent_at, known_cutoff)
            if loading is not None or loaded is not entry.loaded:
                near.keep(entry, loaded, None if session.act else loading, answer.node)
        except StoreDenied:
            raise
        except StoreUnavailable:
            recalled = self._grace.recalled(entry, wanted)
            if recalled is None:
                raise
            return recalled
        finally:
            if loading is not None:
                near.end(loading)
        self._verifies["ok", "store"] += 1
        return session

    def _call_of(self, entry: CachedToken, wanted: Wanted, elapsed: float) -> ScriptCall[list[Any]]:
        """Return the call that reads the session.

        ``elapsed``: seconds of the deadline that reading the cutoff has used up.
        """
        has_begun = elapsed < _SHORT and wanted.seconds == self._deadline
        if entry.call is not None and has_begun and wanted.mode == "strict":
            return entry.call
        call = session_calls.read_session(
            entry.keys,
            session_id=entry.session_id,
            deadline=None if has_begun else max(_SHORT, wanted.seconds - elapsed),
            follows=wanted.mode == "cached",
        )
        if wanted.mode == "strict" and has_begun:
            entry.call = call
        return call

    def _by_token_alone(self, access_token: str, wanted: Wanted) -> Session:
        """Return the session that the token describes by itself, without asking the store."""
        config, era = self._config, self._near.era
        claims = self._verifier.verify(access_token)
        session_id = session_of(claims)
        denial = self._memory.denials.of_session(session_id)
        if denial is not None:
            raise denial.error()
        session = describe_claims(config, claims)
        if session.act is not None:
            self._actors.refuse_ended(session.act)
        found = (claimed_authentication(config, session),)
        now = self._clock.wall()
        require_authentication(config, found, now, wanted.level, wanted.max_auth_age)
        if config.verification == "stateless" and session.act is None:
            keys = self._keyspace.keys_of(claims.subject)
            expires_at = claims.expires_at + config.expiry_leeway
            entry = CachedToken(access_token, claims.subject, keys, session_id, expires_at, era=era)
            self._near.keep_stateless(entry, session)
        return session
