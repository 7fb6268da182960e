"""The login throttle, for applications that check passwords themselves."""

from typing import Final

from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.users.throttle import Throttle, ThrottlePolicy


class AsyncLoginThrottle:
    """Counts login attempts by account, by IP address and network, in total, and by those who are
    known, on the cluster of the sessions."""

    def __init__(self, sessions: AsyncSessionManager, policy: ThrottlePolicy | None = None) -> None:
        """``policy``: the limits; by default those of ``ThrottlePolicy()``."""
        self._store: Final = sessions.store
        self._throttle: Final = Throttle(
            sessions.store.keyspace, policy or ThrottlePolicy(), sessions.counters
        )

    async def admit(
        self, username: str, *, address: str | None = None, known: str | None = None
    ) -> None:
        """Count an attempt; call this method before the password is checked.

        ``address``: the client's IP address, whose attempts are limited too. ``known``: the id of a
        live session of the user, or of a device on which the user has logged in before and which
        has proven it; the attempt is counted there alone, so that strangers cannot use it up. Two
        round trips, one or two more with an ``address``, one alone with ``known``
        (``count_attempt.lua``). Raises TooManyAttempts when a limit is exceeded, and InvalidInput
        for a name that cannot be a subject.
        """
        await self._store.run(self._throttle.admit(username, address=address, known=known))

    async def forget(self, username: str, *, known: str | None = None) -> None:
        """Give the attempt back after a successful login; the attempts of others stay counted.

        ``known``: as for :meth:`admit`; all attempts that were made there are forgotten. One round
        trip (``return_attempt.lua``, ``forget_attempts.lua``). Raises InvalidInput for a name that
        cannot be a subject.
        """
        await self._store.run(self._throttle.forget(username, known=known))
