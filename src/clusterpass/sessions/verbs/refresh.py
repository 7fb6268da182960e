"""Exchanges refresh tokens, and detects their reuse (RFC 9700 section 4.14.2).

- A token that this service did not issue is rejected at once, and cannot end a session.
- Within the grace the same token gets the same successor, so a lost response or a second browser
  tab does not end the session. The predecessor of the current token gets the same successor even
  later, until a token of that exchange has been used (``Config.refresh_retry``).
- After that a reused token ends the session, as one of its two holders may be a thief.
- A token from before a step-up leads to tokens of the login's level (``elevation.lua``).
"""

from typing import Final

from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionRevoked,
)
from clusterpass.model.events import SessionEvent
from clusterpass.model.reasons import explain_end
from clusterpass.model.values import Actor, TokenPair
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.context import Context
from clusterpass.sessions.memory.denial import Denial
from clusterpass.sessions.public_values import live_record
from clusterpass.sessions.read_cutoff import read_cutoff
from clusterpass.sessions.read_secrets import lacking_secrets
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.verbs.actor import Actors
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import RefreshToken, parse_refresh_token


class Refresh:
    """The flow that exchanges a refresh token."""

    def __init__(self, context: Context, confirm: Confirm) -> None:
        self._actors = Actors(context, confirm)
        self._config = context.config
        self._retries_until_used: Final = context.config.retries_until_used
        self._keyspace = context.keyspace
        self._keeping = context.keeping
        self._stored_address = context.stored_address
        self._deadline = context.deadline
        self._memory = context.memory
        self._minting = context.minting
        self._secrets = context.secrets
        self._tell = context.tell
        self._confirm = confirm

    def refresh(self, refresh_token: str, *, address: str | None = None) -> Flow[TokenPair]:
        """Exchange ``refresh_token`` for a new pair of tokens.

        Raises RefreshTokenReused when the token was used before, InvalidRefreshToken when it is not
        genuine or its session has ended, and StoreUnavailable with the reason ``secrets`` where
        this process lacks a secret by which others make tokens, and so cannot tell.
        """
        self._minting.require_private_key()
        packed_address = b"" if address is None else self._stored_address(address)
        token = parse_refresh_token(refresh_token)
        tokens = yield from self._secrets.genuine(token)
        if tokens is None:
            raise InvalidRefreshToken(reason="mismatch")
        self._minting.require_open_key()
        known = self._memory.denials.of_session(token.session_id)
        if known is not None and known.reason not in {"expired", "idle"}:
            # The store is not asked: if it lost the revocation, it would exchange the token.
            raise _refusal(known)
        cutoff, grace = self._memory.cutoff, self._config.refresh_grace
        if grace:
            successor, chains = tokens.successor_and_chains(token)
        else:
            successor, chains = tokens.unique_successor(token), b""
        if cutoff.is_due():
            yield from read_cutoff(self._keyspace, cutoff, self._deadline)
        asked_at = cutoff.now()
        call = session_calls.rotate(
            self._keyspace,
            self._keeping(),
            token.subject,
            session_id=token.session_id,
            presented_digest=token.digest,
            rotation=token.rotation,
            successor_digest=successor.digest,
            grace=grace,
            chains=chains,
            address=packed_address,
            until_used=self._retries_until_used,
            is_sure=self._secrets.knows_all,
        )
        answer: Answer[session_calls.Rotated] = yield call
        rotated = answer.reply
        stored = rotated.stored
        if rotated.status not in {"OK", "AGAIN"}:
            self._refuse(token, rotated, address, is_confirmed=answer.is_confirmed)
        record = self._require_live(token, call.keys[0], stored, asked_at)
        if stored.details.actor is not None:
            yield from self._check_actor(stored.details.actor, cutoff.milliseconds)
        if rotated.status == "AGAIN":
            successor = tokens.successor(token, key=rotated.key)
        session_id = encode_session_id(token.session_id)
        self._tell(
            SessionEvent(
                "refresh", token.subject, stored.now, session_ids=(session_id,), address=address
            )
        )
        return self._minting.make_pair(
            successor, session_id, stored, record, durable=answer.durable
        )

    def genuine(self, refresh_token: str) -> Flow[RefreshToken]:
        """Return the fields of a refresh token that this service issued.

        Raises InvalidRefreshToken with the reason ``malformed`` or ``mismatch`` otherwise.
        """
        token = parse_refresh_token(refresh_token)
        if (yield from self._secrets.genuine(token)) is None:
            raise InvalidRefreshToken(reason="mismatch")
        return token

    def _require_live(
        self, token: RefreshToken, key: bytes, stored: Stored, asked_at: float
    ) -> LiveRecord:
        """Return the record that the store reports as live, unless this process knows of an end."""
        record, cutoff = live_record(stored), self._memory.cutoff.milliseconds
        if record.created_milliseconds < cutoff:
            # The cutoff became known after the call was made.
            raise _refusal(Denial("revoked", cutoff // 1000))
        denials = self._memory.denials
        if stored.generation or denials.concerns(key, token.session_id):
            denial = denials.judge(key, token.session_id, stored, asked_at)
            if denial is not None:
                self._confirm.deny(token.subject, token.session_id, denial)
                raise _refusal(denial)
        return record

    def _check_actor(self, actor: tuple[str, str, str], cutoff: int) -> Flow[None]:
        try:
            yield from self._actors.require_actor(Actor(*actor), cutoff)
        except SessionRevoked as error:
            raise InvalidRefreshToken(
                reason=error.reason, note=error.note, ended_at=error.ended_at
            ) from None

    def _refuse(
        self,
        token: RefreshToken,
        rotated: session_calls.Rotated,
        address: str | None,
        *,
        is_confirmed: bool,
    ) -> None:
        record, key = rotated.stored.record, self._keyspace.sessions(token.subject)
        self._memory.denials.learn_generation(key, rotated.stored.generation)
        if rotated.status == "UNCERTAIN":
            raise lacking_secrets()
        if rotated.status == "SUPERSEDED":
            raise InvalidRefreshToken(reason="superseded")
        if not isinstance(record, Tombstone):
            raise InvalidRefreshToken(reason="unknown_session")
        denial = Denial(record.reason, record.ended_at, record.note)
        self._memory.deny(key, token.session_id, denial)
        if rotated.status != "REUSED":
            raise _refusal(denial)
        if not is_confirmed:
            self._confirm.repair(token.subject, token.session_id, denial)
        event = SessionEvent(
            "reused",
            token.subject,
            rotated.stored.now,
            session_ids=(encode_session_id(token.session_id),),
            address=address,
            reason=record.note,
        )
        self._tell(event)
        raise RefreshTokenReused(reason=record.note, ended_at=record.ended_at)


def _refusal(denial: Denial) -> InvalidRefreshToken:
    return InvalidRefreshToken(
        explain_end(denial.reason, denial.note),
        reason=denial.reason,
        note=denial.note,
        ended_at=denial.ended_at,
    )
