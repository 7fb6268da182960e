"""Flows that end sessions: a logout, and revocations of every scope."""

from typing import Final

from clusterpass.errors import InvalidInput, InvalidRefreshToken, SessionNotFound
from clusterpass.models import Ended, EventKind, RevokedBefore, SessionEvent
from clusterpass.protocol import calls, namespace_calls
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.script import Flow
from clusterpass.sessions.arguments import check_device_type, check_reason
from clusterpass.sessions.context import Context
from clusterpass.sessions.describe import pack_address, session_of
from clusterpass.sessions.rotation import Rotation
from clusterpass.tokens.identifiers import check_subject, decode_session_id, encode_session_id
from clusterpass.tokens.refresh import looks_like_refresh_token, parse_refresh_token

_LATEST_TIME: Final = 2**32
_CLOCKS_APART: Final = 60_000


class Ending:
    """The flows."""

    def __init__(self, context: Context, rotation: Rotation) -> None:
        self._context = context
        self._rotation = rotation

    def logout(self, token: str, *, address: str | None = None) -> Flow[Ended]:
        """End the session of an access token, expired or not, or of a refresh token."""
        packed_address = pack_address(address)
        if isinstance(token, str) and looks_like_refresh_token(token):
            subject, session_id = yield from self._session_of_refresh_token(token)
        else:
            claims = self._context.verifier.verify(token, allow_expired=True)
            subject, session_id = claims.subject, session_of(claims)
        answer = yield from calls.end_session(
            self._context.keyspace,
            self._context.keeping,
            subject,
            session_id=session_id,
            reason="logged_out",
            address=packed_address,
        )
        if answer.reply == "ENDED":
            self._tell("logged_out", subject, (session_id,), address=address)
        return Ended(1 if answer.reply == "ENDED" else 0, answer.durable)

    def revoke(self, subject: str, session_id: str, *, reason: str) -> Flow[Ended]:
        """End one session of ``subject``."""
        check_subject(subject)
        check_reason(reason)
        wanted = decode_session_id(session_id)
        if wanted is None:
            raise SessionNotFound
        answer = yield from calls.end_session(
            self._context.keyspace,
            self._context.keeping,
            subject,
            session_id=wanted,
            reason="revoked",
            note=reason,
        )
        if answer.reply == "UNKNOWN":
            raise SessionNotFound
        if answer.reply == "ENDED":
            self._tell("revoked", subject, (wanted,), reason=reason)
        return Ended(1 if answer.reply == "ENDED" else 0, answer.durable)

    def revoke_all(
        self, subject: str, *, keep: str | None, device_type: str | None, reason: str
    ) -> Flow[Ended]:
        """End every session of ``subject`` but ``keep``, or those of one kind of device."""
        check_subject(subject)
        check_reason(reason)
        check_device_type(device_type)
        kept = None
        if keep is not None:
            kept = decode_session_id(keep)
            if kept is None:
                raise SessionNotFound("The session to keep is not a session id")
        answer = yield from calls.end_all(
            self._context.keyspace,
            self._context.keeping,
            subject,
            keep=kept,
            reason="revoked",
            device_type=device_type,
            note=reason,
        )
        if answer.reply:
            self._tell("revoked", subject, answer.reply, reason=reason)
        return Ended(len(answer.reply), answer.durable)

    def revoke_before(self, time: int | None) -> Flow[RevokedBefore]:
        """End every session of the namespace that was opened before ``time``."""
        if time is not None and (
            not isinstance(time, int) or isinstance(time, bool) or not 0 < time < _LATEST_TIME
        ):
            raise InvalidInput("time must be whole seconds since the epoch")
        milliseconds = None if time is None else time * 1000
        context = self._context
        ahead, durable = 0, True
        for slot in SLOTS_WITH_CUTOFF:
            began = context.cutoff.now()
            answer = yield from namespace_calls.raise_cutoff(
                context.keyspace, slot, milliseconds=milliseconds, ahead=ahead
            )
            # The others take what the first one's clock admitted.
            milliseconds, ahead = answer.reply, _CLOCKS_APART
            context.cutoff.learn(answer.reply, began)
            durable = durable and answer.durable
        return RevokedBefore(context.cutoff.milliseconds // 1000, durable)

    def _session_of_refresh_token(self, refresh_token: str) -> Flow[tuple[str, bytes]]:
        context = self._context
        if context.config.keys.can_sign:
            token = self._rotation.genuine(refresh_token)
            return token.subject, token.session_id
        # Only the secret can prove the token here.
        token = parse_refresh_token(refresh_token)
        answer = yield from calls.verify(
            context.keyspace, token.subject, session_id=token.session_id
        )
        record = answer.reply.record
        if isinstance(record, LiveRecord) and record.refresh_digest != token.digest:
            raise InvalidRefreshToken(reason="mismatch")
        return token.subject, token.session_id

    def _tell(
        self,
        kind: EventKind,
        subject: str,
        session_ids: tuple[bytes, ...],
        *,
        reason: str = "",
        address: str | None = None,
    ) -> None:
        self._context.tell(
            SessionEvent(
                kind,
                subject,
                self._context.epoch_seconds(),
                session_ids=tuple(encode_session_id(each) for each in session_ids),
                address=address,
                reason=reason or None,
            )
        )
