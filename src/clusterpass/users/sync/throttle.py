# Generated from users/aio/throttle.py by scripts/generate_sync.py; do not edit.
"""The login throttle, for applications that check passwords themselves."""

from typing import Final

from clusterpass.managers.sync.manager import SessionManager
from clusterpass.users.throttle import Throttle, ThrottlePolicy


class LoginThrottle:
    """Counts login attempts by account and by IP address, on the cluster of the sessions."""

    def __init__(self, sessions: SessionManager, policy: ThrottlePolicy | None = None) -> None:
        """``policy``: the limits; by default 10 attempts per account and 100 per address in 300
        seconds."""
        self._store: Final = sessions.store
        self._throttle: Final = Throttle(sessions.store.keyspace, policy or ThrottlePolicy())

    def admit(self, username: str, *, address: str | None = None) -> None:
        """Count an attempt; call this method before the password is checked.

        ``address``: the client's IP address, whose attempts are limited too. One round trip, or two
        with an ``address`` (``attempt.lua``). Raises TooManyAttempts when a limit is exceeded, and
        InvalidInput for a name that cannot be a subject.
        """
        self._store.run(self._throttle.admit(username, address=address))

    def forget(self, username: str) -> None:
        """Reset the count of the account after a successful login.

        One round trip (``forget_attempts.lua``). Raises InvalidInput for a name that cannot be a
        subject.
        """
        self._store.run(self._throttle.forget(username))
