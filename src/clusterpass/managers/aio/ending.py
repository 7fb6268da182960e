"""The verbs of a manager that end sessions, or let them end earlier."""

from clusterpass.managers.aio.verbs import AsyncVerbs
from clusterpass.model.values import Ended, RevokedBefore, Session


class AsyncEndingVerbs(AsyncVerbs):
    """Logouts and revocations, which are durable or reported as pending; and shorter lifetimes."""

    async def logout(
        self,
        token: str,
        *,
        address: str | None = None,
        operation_id: str | None = None,
    ) -> Ended:
        """End the session of a refresh token, or of an access token even if it has expired.

        ``address``: the client's IP address, for the history. ``operation_id``: identifies a
        repeated call, as :meth:`revoke` describes. One round trip (``end_session.lua``); two for a
        refresh token when only public keys are configured. Raises InvalidToken or
        InvalidRefreshToken when the token is not genuine, OperationMismatch when ``operation_id``
        was used for another request, and RevocationPending when the logout is not confirmed.
        """
        return await self._running.audited(
            "logout",
            self._flows.end.logout(token, address=address, operation_id=operation_id),
            token=token,
            address=address,
        )

    async def revoke(
        self,
        subject: str,
        session_id: str,
        *,
        reason: str = "",
        operation_id: str | None = None,
    ) -> Ended:
        """End one session of ``subject``. Ending a session that has already ended is not an error.

        ``reason``: what the user is told, at most 200 bytes, of which the store keeps 54, less a
        name of at most 20 where :func:`acting` says who asks. One round trip (``end_session.lua``).
        Raises SessionNotFound when the subject has no such session.

        While its shard has lost a replica or its primary, the journals of two other primaries
        confirm the revocation, which takes a quarter of a second longer (``Ended.journaled``).
        Raises RevocationPending when neither confirms it. The revocation is then in force in this
        process at once, and is retried until it is confirmed. ``operation_id`` makes a repeated
        call safe: pass the one that the error carries, or 16 hexadecimal digits of your own. An id
        belongs to the first call about ``subject`` that brings it; with another verb or other
        arguments the call raises OperationMismatch and changes nothing.
        """
        return await self._running.audited(
            "revoke",
            self._flows.end.revoke(subject, session_id, reason=reason, operation_id=operation_id),
            subject=subject,
            session_id=session_id,
            reason=reason,
        )

    async def revoke_all(
        self,
        subject: str,
        *,
        keep: str | None = None,
        device_type: str | None = None,
        reason: str = "",
        operation_id: str | None = None,
    ) -> Ended:
        """End every session of ``subject``, except the one with the id ``keep``.

        ``device_type``: end only the sessions on this type of device. ``reason``: what the user is
        told, at most 200 bytes. ``operation_id``: identifies a repeated call, as :meth:`revoke`
        describes. Without a ``device_type`` the revocation raises the subject's
        :meth:`generation`. One round trip (``end_all.lua``). Raises InvalidInput, SessionNotFound
        when ``keep`` is not a session id, OperationMismatch when ``operation_id`` was used for
        another request, and RevocationPending when the revocation is not confirmed.
        """
        return await self._running.audited(
            "revoke_all",
            self._flows.end.revoke_all(
                subject,
                keep=keep,
                device_type=device_type,
                reason=reason,
                operation_id=operation_id,
            ),
            subject=subject,
            reason=reason,
        )

    async def erase(self, subject: str) -> Ended:
        """End every session of ``subject``, and erase what the store knows of it.

        That is its history, its live claims, the devices and addresses of its sessions, and what
        was noted at their ends. Bans stay in force. So do, until the tokens would have expired, the
        ids of the sessions with the times of their ends: without them a revoked token might be
        accepted again. Counters of login attempts expire by themselves. Two round trips
        (``end_all.lua``, ``erase.lua``). Raises InvalidInput, and RevocationPending when the end of
        the sessions is not confirmed: nothing was erased, and the call can be repeated.
        """
        return await self._running.audited(
            "erase", self._flows.data.erase(subject), subject=subject
        )

    async def revoke_before(self, time: int | None = None) -> RevokedBefore:
        """End every session of all subjects of the namespace that was opened before ``time``.

        ``time``: seconds since the epoch; None, or a time in the future, means now. Returns the
        time in force, which may be later than ``time``, as it is never lowered. Other servers
        enforce it within a second. Three round trips (``not_before.lua``), one for each copy, and
        on a cluster two for the journals, after which the call waits for a quarter of a second.
        Raises InvalidInput, and RevocationPending when neither the journals nor all copies confirm
        it; the revocation is then retried until every copy has it.
        """
        return await self._running.audited("revoke_before", self._flows.end.revoke_before(time))

    async def shorten(
        self,
        subject: str,
        session_id: str,
        *,
        lifetime: int | None = None,
        idle_lifetime: int | None = None,
    ) -> Session:
        """Shorten a session. The lifetime of a session can never be extended.

        ``lifetime``: seconds from now; ``idle_lifetime``: seconds without use. Access tokens keep
        their ``exp``, but :meth:`verify` refuses them once the session has ended. One round trip
        (``shorten.lua``). Raises InvalidInput, SessionNotFound, and SessionExpired or
        SessionRevoked when the session has ended.
        """
        return await self._running.audited(
            "shorten",
            self._flows.adjust.shorten(
                subject, session_id, lifetime=lifetime, idle_lifetime=idle_lifetime
            ),
            subject=subject,
            session_id=session_id,
        )
