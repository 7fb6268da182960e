# Generated from users/aio/directory.py by scripts/generate_sync.py; do not edit.
"""The user directory: names and password hashes, on the same cluster as the sessions.

For applications that have no users of their own yet. An application that has some keeps them,
checks passwords as before, and calls ``SessionManager.login`` alone.

Needs argon2-cffi: ``pip install "clusterpass[server]"``.
"""

import secrets
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import ClusterPassError
from clusterpass.model.values import Ended, TokenPair
from clusterpass.sessions.options import SessionOptions
from clusterpass.users.directory import Directory, PasswordWork, Procedure, Step, User
from clusterpass.users.hashing import Hashing
from clusterpass.users.passwords import PasswordHasher
from clusterpass.users.throttle import Throttle, ThrottlePolicy

Result = TypeVar("Result")


class UserDirectory:
    """Users on a cluster. Close a directory before its session manager.

    :class:`UserDirectory` is for threads, which may share one directory;
    :class:`AsyncUserDirectory` has the same verbs, awaited, for the tasks of an event loop.

    Every verb raises StoreUnavailable when the store cannot be reached in time, and InvalidInput
    for a name that cannot be a subject. Every verb that takes a password raises TooManyAttempts
    when too many passwords wait to be hashed.
    """

    def __init__(
        self,
        sessions: SessionManager,
        *,
        hash_concurrency: int | None = None,
        most_waiting: int = 64,
        hasher: PasswordHasher | None = None,
        throttle: ThrottlePolicy | None = None,
    ) -> None:
        """Users on the store of ``sessions``, which stays open when the directory is closed.

        ``hash_concurrency``: passwords hashed at once, each with 46 MiB by default (None: 2 beside
        an event loop, no limit for threads); ``most_waiting``: logins that may wait for that.
        ``hasher``: by default argon2id as OWASP recommends; ``throttle``: the limits of attempts.
        Raises ConfigurationError, also where argon2-cffi is missing.
        """
        self._sessions = sessions
        self._store = sessions.store
        self._hashing = Hashing(concurrency=hash_concurrency, most_waiting=most_waiting)
        self._directory = Directory(
            self._store.keyspace,
            hasher or PasswordHasher(),
            Throttle(self._store.keyspace, throttle or ThrottlePolicy()),
            random_bytes=secrets.token_bytes,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hash no more passwords; the session manager stays open."""
        self._hashing.close()

    def add(self, username: str, password: str) -> None:
        """Add a user; raises UserExists, or InvalidInput for a password under 8 characters."""
        self._run(self._directory.add(username, password))

    def authenticate(self, username: str, password: str, *, address: str | None = None) -> None:
        """Return when the password is right; raises InvalidCredentials, TooManyAttempts.

        ``address``: the client's IP address, whose attempts are limited too. An unknown or a
        disabled user is refused as a wrong password is: with the same error, after the same time.
        """
        self._run(self._directory.authenticate(username, password, address=address))

    def login(self, username: str, password: str, **options: Unpack[SessionOptions]) -> TokenPair:
        """Authenticate a user and open a session; raises what both raise.

        ``options``: those of ``SessionManager.login``, except ``amr`` and ``generation``, which the
        directory knows. ``address`` limits the attempts from there too. A user who is disabled,
        whose password is changed or whose sessions are all revoked at the very moment of the login
        gets no session (LoginOvertaken, InvalidCredentials).
        """
        address = options.get("address")
        generation = self._sessions.generation(username)
        proven = self._run(self._directory.authenticate(username, password, address=address))
        pair = self._sessions.login(username, **options, amr=("pwd",), generation=generation)
        if not self._run(self._directory.confirm(proven, password)):
            self._sessions.revoke(proven.username, pair.session_id)
            raise InvalidCredentials
        return pair

    def set_password(self, username: str, password: str) -> Ended:
        """Replace a password and end all sessions of the user.

        Raises UserNotFound, and InvalidInput for a password under 8 characters.
        """
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
        """Every user, by name. Visits all keys of the store: for administration only."""
        pattern = self._store.keyspace.all_users_pattern()
        names: set[str] = set()
        # A scan may show a key twice, and a user who is gone by the time the entry is read.
        for key in self._store.scan_names(pattern):
            name = self._directory.name_in_key(key)
            if name is not None:
                names.add(name)
        found: list[User] = []
        for name in sorted(names):
            user = self._run(self._directory.describe(name))
            if user is not None:
                found.append(user)
        return found

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
        if isinstance(step, PasswordWork):
            return self._hashing.run(step.run)
        return self._store.run(step)
