"""The user directory: names and password hashes, kept on the same cluster as the sessions.

For applications that have no users of their own yet. Who has some keeps them, checks passwords as
before, and calls ``SessionManager.login`` alone.

Needs argon2-cffi: ``pip install "clusterpass[server]"``.
"""

import secrets
from collections.abc import Mapping
from typing import Any, TypeVar

from clusterpass.managers.sync import SessionManager
from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.policy import SessionPolicy
from clusterpass.model.values import Ended, TokenPair
from clusterpass.users.directory import (
    Directory,
    PasswordWork,
    Procedure,
    Proven,
    Step,
    User,
)
from clusterpass.users.passwords import PasswordHasher
from clusterpass.users.throttle import Throttle, ThrottlePolicy

__all__ = ["LoginThrottle", "ThrottlePolicy", "User", "UserDirectory"]

Result = TypeVar("Result")


class LoginThrottle:
    """Counts login attempts, for applications that check passwords by themselves."""

    def __init__(self, sessions: SessionManager, policy: ThrottlePolicy | None = None) -> None:
        """``policy``: the numbers; the default is 10 attempts for an account in 300 s, 100 for an
        address."""
        self._store = sessions.store
        self._throttle = Throttle(sessions.store.keyspace, policy or ThrottlePolicy())

    def admit(self, username: str, *, address: str | None = None) -> None:
        """Count an attempt, before the password is checked; raises TooManyAttempts."""
        self._store.run(self._throttle.admit(username, address=address))

    def forget(self, username: str) -> None:
        """Make the account's count void, after a success."""
        self._store.run(self._throttle.forget(username))


class UserDirectory:
    """Users on a cluster, for threads. It has nothing to close; its session manager has.

    Every verb raises StoreUnavailable when the store cannot be reached in time, and InvalidInput
    for a name that cannot be a subject. :class:`AsyncUserDirectory` has the same verbs, awaited.
    """

    def __init__(
        self,
        sessions: SessionManager,
        *,
        hasher: PasswordHasher | None = None,
        throttle: ThrottlePolicy | None = None,
    ) -> None:
        """``hasher``: argon2id as OWASP recommends unless given; ``throttle``: the numbers."""
        self._sessions = sessions
        self._store = sessions.store
        self._directory = Directory(
            self._store.keyspace,
            hasher or PasswordHasher(),
            Throttle(self._store.keyspace, throttle or ThrottlePolicy()),
            random_bytes=secrets.token_bytes,
        )

    def add(self, username: str, password: str) -> None:
        """Add a user; raises UserExists, or InvalidInput for a password under 8 characters."""
        self._run(self._directory.add(username, password))

    def authenticate(self, username: str, password: str, *, address: str | None = None) -> None:
        """Return when the password is right; raises InvalidCredentials, TooManyAttempts.

        ``address``: the client's IP address, to limit the attempts from there too. An unknown and a
        disabled user are refused as a wrong password is: same error, same time.
        """
        self._run(self._directory.authenticate(username, password, address=address))

    def login(
        self,
        username: str,
        password: str,
        *,
        device: str | None = None,
        device_type: str | None = None,
        claims: Mapping[str, Any] | None = None,
        policy: SessionPolicy | None = None,
        replace: str | None = None,
        remember: bool = False,
        address: str | None = None,
    ) -> TokenPair:
        """Authenticate and open a session; raises what both raise.

        The arguments are those of :meth:`authenticate` and of ``SessionManager.login``.
        A user who is disabled, whose password is changed or whose sessions are all revoked in the
        very moment of the login gets no session (LoginOvertaken, InvalidCredentials).
        """
        generation = self._sessions.generation(username)
        proven = self._run(self._directory.authenticate(username, password, address=address))
        pair = self._sessions.login(
            username,
            device=device,
            device_type=device_type,
            claims=claims,
            policy=policy,
            replace=replace,
            remember=remember,
            amr=("pwd",),
            address=address,
            generation=generation,
        )
        self._confirm(proven, password, pair)
        return pair

    def set_password(self, username: str, password: str) -> Ended:
        """Replace a password and end all sessions of the user; raises UserNotFound."""
        self._run(self._directory.set_password(username, password))
        return self._sessions.revoke_all(username)

    def disable(self, username: str) -> Ended:
        """Refuse a user from now on and end all of the user's sessions; raises UserNotFound."""
        self._run(self._directory.set_disabled(username, disabled=True))
        return self._sessions.revoke_all(username)

    def enable(self, username: str) -> None:
        """Admit a disabled user again; raises UserNotFound."""
        self._run(self._directory.set_disabled(username, disabled=False))

    def list(self) -> list[User]:
        """Every user, by name. Reads all keys of the store: for administration only."""
        pattern = self._store.keyspace.all_users_pattern()
        # A scan may show a key twice, and a user who is gone by the time the entry is read.
        names = {self._directory.name_in_key(key) for key in self._store.scan_names(pattern)}
        found = [self._run(self._directory.describe(name)) for name in names if name is not None]
        return sorted((user for user in found if user is not None), key=lambda user: user.name)

    def _confirm(self, proven: Proven, password: str, pair: TokenPair) -> None:
        if not self._run(self._directory.confirm(proven, password)):
            self._sessions.revoke(proven.username, pair.session_id)
            raise InvalidCredentials

    def _run(self, procedure: Procedure[Result]) -> Result:
        try:
            step = next(procedure)
            while True:
                try:
                    outcome = self._take(step)
                except ClusterPassError as error:
                    step = procedure.throw(error)
                else:
                    step = procedure.send(outcome)
        except StopIteration as stop:
            result: Result = stop.value
            return result

    def _take(self, step: Step) -> Any:
        return step.run() if isinstance(step, PasswordWork) else self._store.run(step)
