"""Flows that end sessions: a logout, and revocations of one, of all, or of old sessions.

Every flow raises RevocationPending when the store has not confirmed the revocation.
"""

from typing import Final

from clusterpass.model.acting import who_acts
from clusterpass.model.authentication_errors import InvalidRefreshToken
from clusterpass.model.errors import InvalidInput, SessionNotFound
from clusterpass.model.values import Ended, RevokedBefore
from clusterpass.protocol.calls import session as session_calls
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.sessions.check_arguments import check_device_type, check_reason
from clusterpass.sessions.context import Context
from clusterpass.sessions.revocations.confirm import Confirm
from clusterpass.sessions.revocations.end_all import EndAll
from clusterpass.sessions.revocations.end_one import EndOne
from clusterpass.sessions.revocations.raise_cutoff import RaiseCutoff
from clusterpass.sessions.verbs.refresh import Refresh
from clusterpass.tokens.identifiers import check_subject, decode_session_id, session_of
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh import looks_like_refresh_token, parse_refresh_token
from clusterpass.tokens.verifier import TokenVerifier

_LATEST_TIME: Final = 2**32


class End:
    """The flows that end sessions."""

    def __init__(self, context: Context, refresh: Refresh, confirm: Confirm) -> None:
        self._context = context
        self._refresh = refresh
        self._confirm = confirm
        self._verifier = TokenVerifier(
            context.config.keys,
            issuer=context.config.issuer,
            audience=context.config.audience,
            clock_leeway=context.config.clock_leeway,
            clock=context.clock.wall,
        )

    def replace_keys(self, keys: KeyRing) -> None:
        """Accept the access tokens that ``keys`` verify from now on."""
        self._verifier = self._verifier.with_keys(keys)

    def logout(
        self, token: str, *, address: str | None = None, operation_id: str | None = None
    ) -> Flow[Ended]:
        """End the session of a refresh token, or of an access token even if it has expired.

        Raises InvalidToken or InvalidRefreshToken when the token is not genuine, and
        OperationMismatch when ``operation_id`` belongs to another request.
        """
        packed_address = self._context.stored_address(address)
        signing = self._context.signing
        if signing is not None:
            yield from signing.ensure()
        if isinstance(token, str) and looks_like_refresh_token(token):
            subject, session_id = yield from self._session_of_refresh_token(token)
        else:
            claims = self._verifier.verify(token, allow_expired=True)
            subject, session_id = claims.subject, session_of(claims)
        revocation = EndOne(
            context=self._context,
            subject=subject,
            event="logged_out",
            address=address,
            packed_address=packed_address,
            session_id=session_id,
            reason="logged_out",
        )
        outcome = yield from self._confirm.carry_out(revocation, operation_id)
        return outcome.count(revocation.ended_now)

    def revoke(
        self, subject: str, session_id: str, *, reason: str, operation_id: str | None = None
    ) -> Flow[Ended]:
        """End one session of ``subject``; raise SessionNotFound when there is no such session.

        Raises OperationMismatch when ``operation_id`` belongs to another request.
        """
        check_subject(subject)
        check_reason(reason)
        wanted = decode_session_id(session_id)
        if wanted is None:
            raise SessionNotFound
        revocation = EndOne(
            context=self._context,
            subject=subject,
            event="revoked",
            note=reason,
            actor=self._actor(),
            session_id=wanted,
            reason="revoked",
            must_exist=True,
        )
        outcome = yield from self._confirm.carry_out(revocation, operation_id)
        return outcome.count(revocation.ended_now)

    def revoke_all(
        self,
        subject: str,
        *,
        keep: str | None,
        device_type: str | None,
        reason: str,
        operation_id: str | None = None,
    ) -> Flow[Ended]:
        """End every session of ``subject``, or those on ``device_type``, except ``keep``.

        Raises InvalidInput, SessionNotFound when ``keep`` is not a session id, and
        OperationMismatch when ``operation_id`` belongs to another request.
        """
        check_subject(subject)
        check_reason(reason)
        check_device_type(device_type)
        kept = None
        if keep is not None:
            kept = decode_session_id(keep)
            if kept is None:
                raise SessionNotFound("The session to keep does not exist: its id is malformed")
        revocation = EndAll(
            context=self._context,
            subject=subject,
            event="revoked",
            note=reason,
            actor=self._actor(),
            keep=kept,
            device_type=device_type,
        )
        outcome = yield from self._confirm.carry_out(revocation, operation_id)
        return outcome.count(revocation.ended_now)

    def _actor(self) -> str | None:
        """Who asks, for the history; the release before would take it for a part of the reason."""
        return who_acts().actor if self._context.config.compatibility == "current" else None

    def revoke_before(self, time: int | None) -> Flow[RevokedBefore]:
        """End every session of the namespace that was opened before ``time``.

        ``time``: seconds since the epoch; None: now. Raises InvalidInput.
        """
        if time is not None and (
            not isinstance(time, int) or isinstance(time, bool) or not 0 < time < _LATEST_TIME
        ):
            raise InvalidInput("time must be a whole number of seconds since the epoch")
        revocation = RaiseCutoff(self._context, None if time is None else time * 1000)
        durable = yield from self._confirm.cutoff.carry_out(revocation)
        return RevokedBefore(self._context.memory.cutoff.milliseconds // 1000, durable)

    def _session_of_refresh_token(self, refresh_token: str) -> Flow[tuple[str, bytes]]:
        context = self._context
        if context.config.keys.can_sign:
            token = yield from self._refresh.genuine(refresh_token)
            return token.subject, token.session_id
        # Without a private key only the stored digest of the secret can authenticate the token.
        token = parse_refresh_token(refresh_token)
        answer: Answer[Stored] = yield session_calls.verify(
            context.keyspace, token.subject, session_id=token.session_id
        )
        record = answer.reply.record
        if isinstance(record, LiveRecord) and record.refresh_digest != token.digest:
            raise InvalidRefreshToken(reason="mismatch")
        return token.subject, token.session_id
