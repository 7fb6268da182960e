"""The flow that exchanges a refresh token (RFC 9700 section 4.14.2).

- A token that was not made here is refused at once: it can do a session no harm.
- Within the grace the same token gets the very same successor, so a lost answer or a second tab
  costs nobody a session. Outside it, the session ends: one of two holders may be a thief.
"""

from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionRevoked,
)
from clusterpass.model.reasons import explain_end
from clusterpass.model.values import SessionEvent, TokenPair
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.records import Tombstone
from clusterpass.protocol.script import Flow
from clusterpass.sessions.context import Context
from clusterpass.sessions.endings.confirm import Confirmation
from clusterpass.sessions.issue_tokens import make_pair
from clusterpass.sessions.memory.denials import Denial
from clusterpass.sessions.present import actor_of, live_record, pack_address
from clusterpass.sessions.verbs.verify import Verification
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import RefreshToken, parse_refresh_token


class Rotation:
    """The flow."""

    def __init__(
        self, context: Context, verification: Verification, confirmation: Confirmation
    ) -> None:
        self._context = context
        self._verification = verification
        self._confirmation = confirmation

    def refresh(self, refresh_token: str, *, address: str | None = None) -> Flow[TokenPair]:
        """A new pair."""
        context = self._context
        context.require_private_key()
        packed_address = pack_address(address)
        token = self.genuine(refresh_token)
        known = context.denials.of_session(token.session_id)
        if known is not None and known.reason not in {"expired", "idle"}:
            # Not asked: a store that has lost the end would exchange the token.
            raise _refusal(known)
        grace = context.config.refresh_grace
        tokens = context.refresh_tokens
        successor = tokens.successor(token) if grace else tokens.unique_successor(token)
        cutoff = yield from context.current_cutoff()
        asked_at = context.cutoff.now()
        answer = yield from session_calls.rotate(
            context.keyspace,
            context.keeping,
            token.subject,
            session_id=token.session_id,
            presented_digest=token.digest,
            rotation=token.rotation,
            successor_digest=successor.digest,
            grace=grace,
            chains=tokens.chains(token) if grace else b"",
            address=packed_address,
        )
        rotated = answer.reply
        stored = rotated.stored
        key = context.keyspace.sessions(token.subject)
        if rotated.status not in {"OK", "AGAIN"}:
            context.denials.learn_generation(key, stored.generation)
            self._remember_end(token, rotated, is_confirmed=answer.is_confirmed)
            self._refuse(token, rotated, address)
        record = live_record(stored)
        denial = context.denials.judge(key, token.session_id, stored, asked_at)
        if denial is not None:
            self._confirmation.deny(token.subject, token.session_id, denial)
            raise _refusal(denial)
        actor = actor_of(stored)
        if actor is not None:
            try:
                yield from self._verification.check_actor(actor, cutoff)
            except SessionRevoked as error:
                raise InvalidRefreshToken(
                    reason=error.reason, note=error.note, ended_at=error.ended_at
                ) from None
        if rotated.status == "AGAIN":
            successor = tokens.successor(token, key=rotated.key)
        context.tell(self._event("refresh", token, stored.now, address))
        return make_pair(context, successor, stored, record, durable=answer.durable)

    def genuine(self, refresh_token: str) -> RefreshToken:
        """The parts of a token that was made with one of our keys; InvalidRefreshToken."""
        token = parse_refresh_token(refresh_token)
        if not self._context.refresh_tokens.is_genuine(token):
            raise InvalidRefreshToken(reason="mismatch")
        return token

    def _remember_end(
        self, token: RefreshToken, rotated: session_calls.Rotated, *, is_confirmed: bool
    ) -> None:
        record = rotated.stored.record
        if not isinstance(record, Tombstone):
            return
        denial = Denial(record.reason, record.ended_at, record.note)
        self._context.deny(token.subject, token.session_id, denial)
        if rotated.status == "REUSED" and not is_confirmed:
            self._confirmation.repair(token.subject, token.session_id, denial)

    def _refuse(
        self, token: RefreshToken, rotated: session_calls.Rotated, address: str | None
    ) -> None:
        record = rotated.stored.record
        if not isinstance(record, Tombstone):
            raise InvalidRefreshToken(reason="unknown_session")
        if rotated.status == "REUSED":
            event = self._event("reused", token, rotated.stored.now, address, record.note)
            self._context.tell(event)
            raise RefreshTokenReused(reason=record.note, ended_at=record.ended_at)
        raise _refusal(Denial(record.reason, record.ended_at, record.note))

    @staticmethod
    def _event(
        kind: str, token: RefreshToken, at: int, address: str | None, reason: str | None = None
    ) -> SessionEvent:
        return SessionEvent(
            "refresh" if kind == "refresh" else "reused",
            token.subject,
            at,
            session_ids=(encode_session_id(token.session_id),),
            address=address,
            reason=reason,
        )


def _refusal(denial: Denial) -> InvalidRefreshToken:
    return InvalidRefreshToken(
        explain_end(denial.reason, denial.note),
        reason=denial.reason,
        note=denial.note,
        ended_at=denial.ended_at,
    )
