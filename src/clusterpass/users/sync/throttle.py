# Generated from users/aio/throttle.py by scripts/generate_sync.py; do not edit.
"""The login throttle, for applications that check passwords by themselves."""

from typing import Final

from clusterpass.managers.sync.manager import SessionManager
from clusterpass.users.throttle import Throttle, ThrottlePolicy


class LoginThrottle:
    """Counts login attempts by account and by address, on the cluster that holds the sessions."""

    def __init__(self, sessions: SessionManager, policy: ThrottlePolicy | None = None) -> None:
        """``policy``: the limits; by default 10 attempts for an account and 100 for an address, in
        300 seconds."""
        self._store: Final = sessions.store
        self._throttle: Final = Throttle(sessions.store.keyspace, policy or ThrottlePolicy())

    def admit(self, username: str, *, address: str | None = None) -> None:
        """Count an attempt, before the password is checked; raises TooManyAttempts.

        ``address``: the client's IP address, whose attempts are limited too. One round trip, or two
        with an ``address`` (``attempt.lua``).
        """
        self._store.run(self._throttle.admit(username, address=address))

    def forget(self, username: str) -> None:
        """Reset the account's count, after a success. One round trip (``forget_attempts.lua``)."""
        self._store.run(self._throttle.forget(username))
