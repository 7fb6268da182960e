"""Accepts the tokens of another issuer while its users move over, and exchanges them for sessions.

- An old token is exchanged once: whoever presents it again, another tab for example, gets the same
  tokens for as long as a refresh token may be presented again, and is refused after that. The store
  remembers the exchange until the old token expires, also when the session has ended long before.
- The session counts as opened when the old token was issued. Whatever ends the older sessions of a
  subject (``revoke_all``, a ban, ``revoke_before``) ends old tokens too.
- Nothing is known of the authentication behind an old token, so it has the lowest level.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    InvalidToken,
    SessionRevoked,
    TokenExpired,
)
from clusterpass.model.bans import Ban
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.frozen import frozen
from clusterpass.model.old_tokens import OldToken
from clusterpass.model.values import SESSION_ID_BYTES, Session, TokenPair
from clusterpass.protocol.calls import session as session_calls, subject as subject_calls
from clusterpass.protocol.calls.subject_change import OPERATION_BYTES
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import NO_DETAILS, Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.authentication import Authentication, require_authentication
from clusterpass.sessions.check_arguments import check_level
from clusterpass.sessions.context import Context
from clusterpass.sessions.options import LoginOptions
from clusterpass.sessions.public_values import describe_bans, live_record
from clusterpass.sessions.read_cutoff import read_cutoff
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.verbs.login import Login
from clusterpass.sessions.verbs.new_session import NewSessions
from clusterpass.tokens.identifiers import check_subject, encode_session_id
from clusterpass.tokens.refresh import CHAIN_LENGTH, RefreshToken, RefreshTokens

_OPENS_NONE: Final = 0
_NEVER: Final = 2**32 - 1


class Exchange:
    """The flows that accept tokens of another issuer."""

    def __init__(self, context: Context, login: Login, confirm: Confirm) -> None:
        self._config = context.config
        self._keyspace = context.keyspace
        self._keeping = context.keeping
        self._deadline = context.deadline
        self._wall = context.clock.wall
        self._memory = context.memory
        self._minting = context.minting
        self._secrets = context.secrets
        self._login = login
        self._new_sessions = NewSessions(context)
        self._confirm = confirm

    def exchange(self, old: OldToken, subject: str, options: LoginOptions) -> Flow[TokenPair]:
        """Return the tokens of the session of ``subject`` that ``old`` is exchanged for.

        ``options``: those of a login. Raises InvalidInput, InvalidRefreshToken when ``old`` has
        expired, was exchanged or logged out before, or belongs to what has been revoked since,
        SubjectBanned and TooManySessions.
        """
        self._minting.require_private_key()
        tokens = yield from self._secrets.tokens()
        self._minting.require_open_key()
        wanted, event = self._new_sessions.prepare(subject, options)
        wanted.session_id, wanted.operation = _names(old, subject)
        candidates = tokens.first_of(subject, wanted.session_id, old.digest())
        wanted.refresh_digest = candidates[0].digest
        answer, asked_at = yield from self._send(old, subject, wanted)
        opened = answer.reply
        if opened.status == "OVERTAKEN":
            raise InvalidRefreshToken(reason="revoked")
        if opened.status == "SPENT":
            raise InvalidRefreshToken(_EXCHANGED, reason="exchanged")
        if opened.status != "OK":
            self._login.refuse(subject, opened, event)
        try:
            record = self._require_live(subject, wanted.session_id, opened.stored, asked_at)
        except InvalidToken as error:
            raise InvalidRefreshToken(
                error.message,
                reason=error.reason,
                note=getattr(error, "note", ""),
                ended_at=getattr(error, "ended_at", 0),
            ) from None
        token = self._token_of(tokens, candidates, opened.stored, record)
        session_id = encode_session_id(wanted.session_id)
        self._login.report(opened, event, session_id)
        return self._minting.make_pair(
            token, session_id, opened.stored, record, durable=answer.durable
        )

    def spend(self, old: OldToken, subject: str) -> Flow[RefreshToken | None]:
        """Let ``old`` be accepted and exchanged no more.

        Returns a refresh token of the session that ``old`` was exchanged for, by which that session
        can be ended; None: there is none. Raises StoreUnavailable when a failover could undo it.
        """
        self._minting.require_private_key()
        check_subject(subject)
        tokens = yield from self._secrets.tokens()
        session_id, operation = _names(old, subject)
        wanted = session_calls.NewSession(
            session_id=session_id,
            refresh_digest=b"",
            absolute_seconds=_OPENS_NONE,
            idle_seconds=0,
            details=NO_DETAILS,
            most_sessions=1,
            operation=operation,
        )
        answer, _ = yield from self._send(old, subject, wanted)
        if not answer.is_confirmed:
            raise StoreUnavailable(reason="unconfirmed", cause="unconfirmed")
        if isinstance(answer.reply.stored.record, LiveRecord):
            return tokens.first_of(subject, session_id, old.digest())[0]
        return None

    def verify(
        self,
        old: OldToken,
        subject: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        asks: bool = True,
    ) -> Flow[Session]:
        """Return the session that an old access token stands for. One round trip.

        ``asks``: False for the session that the token describes by itself, without asking. Raises
        TokenExpired, SessionRevoked when everything older was ended, or when the token was logged
        out, the error of the session that it was exchanged for when that has ended, StepUpRequired,
        and InvalidInput.
        """
        check_subject(subject)
        if level is not None:
            check_level(self._config.levels, level)
        now = int(self._wall())
        if now >= old.expires_at:
            raise TokenExpired
        session_id = _names(old, subject)[0]
        bans: tuple[Ban, ...] = ()
        claims: Mapping[str, Any] = old.claims
        if asks:
            now, bans, live_claims = yield from self._check_standing(old, subject)
            claims = {**claims, **live_claims}
        lowest = self._config.levels[0]
        login = Authentication(old.issued_at, lowest, 0, (), old.expires_at)
        require_authentication(self._config, (login,), now, level, max_auth_age)
        return Session(
            subject=subject,
            session_id=encode_session_id(session_id),
            device=None,
            created_at=old.issued_at,
            refreshed_at=old.issued_at,
            expires_at=old.expires_at,
            claims=frozen(claims),
            active_at=now,
            auth_time=old.issued_at,
            acr=lowest,
            bans=bans,
            is_stateless=not asks,
        )

    def _check_standing(
        self, old: OldToken, subject: str
    ) -> Flow[tuple[int, tuple[Ban, ...], Mapping[str, Any]]]:
        """Return the store's time in seconds, and the bans from scopes and live claims of a user.

        Raises SessionRevoked, SessionExpired and SessionUnknown when the token is of no use.
        """
        cutoff = self._memory.cutoff
        yield from read_cutoff(self._keyspace, cutoff, self._deadline)
        session_id, operation = _names(old, subject)
        sent_at = cutoff.now()
        answer: Answer[list[Any]] = yield subject_calls.read_standing(
            self._keyspace, subject, operation=operation, session_id=session_id
        )
        raw = self._memory.clocks.judge_reply(answer.reply, sent_at)
        standing = subject_calls.interpret_standing(raw)
        key = self._keyspace.sessions(subject)
        bans = self._memory.with_pending_bans(key, standing.bans, sent_at)
        is_stored = standing.is_spent or standing.record is not None
        stored = Stored(
            standing.now_milliseconds,
            standing.record if is_stored else _record(old),
            bans=bans,
            generation=standing.generation,
        )
        if standing.is_spent and standing.record is None:
            raise SessionRevoked(reason="logged_out", ended_at=0)
        if standing.generation >= old.issued_at * 1000:
            raise SessionRevoked(reason="revoked", ended_at=standing.generation // 1000)
        self._require_live(subject, session_id, stored, sent_at, is_stored=is_stored)
        in_force = describe_bans(bans, stored.now)
        for ban in in_force:
            if not ban.scope:
                raise SessionRevoked(reason="banned", ended_at=ban.banned_at, note=ban.reason)
        return stored.now, in_force, standing.live_claims

    def _send(
        self, old: OldToken, subject: str, wanted: session_calls.NewSession
    ) -> Flow[tuple[Answer[session_calls.Opened], float]]:
        """Send the call that opens the session, or none; return the answer and when it was sent."""
        if self._wall() >= old.expires_at:
            raise InvalidRefreshToken(reason="expired")
        wanted.opened_milliseconds = old.issued_at * 1000
        # What was issued in the millisecond of a revocation may be older than that.
        wanted.generation = max(old.issued_at * 1000 - 1, 0)
        cutoff = self._memory.cutoff
        yield from read_cutoff(self._keyspace, cutoff, self._deadline)
        asked_at = cutoff.now()
        # Ahead of now until the end, so that it is never one of too many operations.
        keeping = self._keeping()
        until = min(old.expires_at + keeping.tombstone_seconds, _NEVER)
        keeping = replace(keeping, operation_until=until)
        answer: Answer[session_calls.Opened] = yield session_calls.login(
            self._keyspace, keeping, subject, wanted
        )
        return answer, asked_at

    def _require_live(
        self,
        subject: str,
        session_id: bytes,
        stored: Stored,
        asked_at: float,
        *,
        is_stored: bool = True,
    ) -> LiveRecord:
        """Return the record, if neither the store nor this process knows of an end.

        ``is_stored``: whether the store holds the record. Raises SessionUnknown, SessionExpired or
        SessionRevoked.
        """
        record = live_record(stored, self._memory.cutoff.milliseconds)
        denials, key = self._memory.denials, self._keyspace.sessions(subject)
        if stored.generation or denials.concerns(key, session_id):
            denial = denials.judge(key, session_id, stored, asked_at)
            if denial is not None and is_stored:
                self._confirm.deny(subject, session_id, denial)
            if denial is not None:
                raise denial.error()
        return record

    def _token_of(
        self,
        tokens: RefreshTokens,
        candidates: list[RefreshToken],
        stored: Stored,
        record: LiveRecord,
    ) -> RefreshToken:
        """Return the current token of the session, if it is the first one or followed it just now.

        ``candidates``: the first one, by each private key. Raises InvalidRefreshToken otherwise.
        """
        is_recent = stored.now - record.refreshed_at <= self._config.refresh_grace
        for key, first in enumerate(candidates):
            token = first
            for _ in range(CHAIN_LENGTH + 1):
                if token.digest == record.refresh_digest:
                    return token
                if not is_recent:
                    break
                token = tokens.successor(token, key=key)
        raise InvalidRefreshToken(_EXCHANGED, reason="exchanged")


_EXCHANGED: Final = "The token was exchanged for a session, or logged out; log in again."


def _names(old: OldToken, subject: str) -> tuple[bytes, bytes]:
    """Return the session id and the operation id of the exchange of ``old``."""
    digest = hashlib.sha256(b"exchange\0" + old.digest() + subject.encode()).digest()
    end = SESSION_ID_BYTES + OPERATION_BYTES
    return digest[:SESSION_ID_BYTES], digest[SESSION_ID_BYTES:end]


def _record(old: OldToken) -> LiveRecord:
    """Return the record of a live session that was opened with ``old``, which no store holds."""
    return LiveRecord(
        created_milliseconds=old.issued_at * 1000,
        absolute_end=_NEVER,
        refreshed_at=old.issued_at,
        idle_seconds=0,
        rotation=0,
        refresh_digest=b"",
        device="",
    )
