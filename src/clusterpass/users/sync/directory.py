# Generated from users/aio/directory.py by scripts/generate_sync.py; do not edit.
"""The user directory: names and password hashes, on the same cluster as the sessions.

- The directory serves applications that have no users yet. An application with its own users checks
  their passwords itself and calls ``SessionManager.login``.
- The directory needs argon2-cffi: ``pip install "clusterpass[server]"``.
"""

import builtins
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
    """Users and their passwords on a cluster. Close a directory before its session manager.

    :class:`UserDirectory` is for threads, which may share one directory;
    :class:`AsyncUserDirectory` has the same verbs, awaited, for the tasks of an event loop.

    Every verb raises StoreUnavailable when the store cannot be reached in time, and InvalidInput
    for a name that cannot be a subject. Every verb that takes a password raises TooManyAttempts
    when too many passwords are waiting to be hashed.
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
        """``sessions``: its store holds the users, and stays open when the directory is closed.

        ``hash_concurrency``: passwords hashed at once, each with 46 MiB by default (None: 2 for an
        event loop, no limit for threads). ``most_waiting``: logins that may wait for the hasher.
        ``hasher``: by default argon2id with the parameters that OWASP recommends. ``throttle``: the
        limits of attempts. Raises ConfigurationError for a value out of range, and when argon2-cffi
        is not installed.
        """
        self._sessions = sessions
        self._store = sessions.store
        self._hashing = Hashing(
            concurrency=hash_concurrency,
            most_waiting=most_waiting,
            counters=sessions.counters.hashing,
        )
        self._directory = Directory(
            self._store.keyspace,
            hasher or PasswordHasher(),
            Throttle(self._store.keyspace, throttle or ThrottlePolicy(), sessions.counters),
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
        """Stop hashing passwords; the session manager stays open."""
        self._hashing.close()

    def add(self, username: str, password: str) -> None:
        """Add a user, under the name that :meth:`name_of` returns.

        Raises UserExists when the name is taken, and InvalidInput for a password of fewer than 8
        characters.
        """
        self._run(self._directory.add(username, password))

    def name_of(self, username: str) -> str:
        """Return the name that is kept for ``username``, however it is spelt: the user's subject.

        Letters in their composed form (RFC 8265, UsernameCasePreserved); a user whom an earlier
        release added as ``username`` is spelt keeps that name. There need be no such user.
        """
        return self._run(self._directory.resolve(username))

    def authenticate(
        self,
        username: str,
        password: str,
        *,
        address: str | None = None,
        known: str | None = None,
    ) -> None:
        """Return if the password is correct; raise InvalidCredentials if not.

        ``username``: exactly the name that is kept, as :meth:`name_of` returns it, so that a
        session that is then opened for it is that user's.
        ``address``: the client's IP address, whose attempts are limited too. ``known``: as for
        ``LoginThrottle.admit``. An unknown or disabled user gets the same error as a wrong
        password, after the same time. Raises TooManyAttempts when a limit is exceeded.
        """
        self._run(self._directory.authenticate(username, password, address=address, known=known))

    def login(
        self,
        username: str,
        password: str,
        *,
        known: str | None = None,
        **options: Unpack[SessionOptions],
    ) -> TokenPair:
        """Authenticate a user and open a session, whose subject is ``name_of(username)``.

        ``options``: those of ``SessionManager.login``, except ``amr`` and ``generation``, which the
        directory sets. ``address``: also the client's IP address whose attempts are limited.
        ``known``: as for ``LoginThrottle.admit``. Raises what :meth:`authenticate` and
        ``SessionManager.login`` raise. A user who is disabled, whose password is changed or whose
        sessions are all revoked during the login gets no session (InvalidCredentials or
        LoginOvertaken).
        """
        address = options.get("address")
        username = self.name_of(username)
        generation = self._sessions.generation(username)
        proven = self._run(
            self._directory.authenticate(username, password, address=address, known=known)
        )
        pair = self._sessions.login(username, **options, amr=("pwd",), generation=generation)
        if not self._run(self._directory.confirm(proven, password)):
            self._sessions.revoke(proven.username, pair.session_id)
            raise InvalidCredentials
        return pair

    def set_password(self, username: str, password: str) -> Ended:
        """Replace a password and end all sessions of the user.

        Raises UserNotFound, InvalidInput for a password of fewer than 8 characters, and
        RevocationPending when the password is replaced but the revocation is not confirmed.
        """
        username = self.name_of(username)
        self._run(self._directory.set_password(username, password))
        return self._sessions.revoke_all(username)

    def disable(self, username: str) -> Ended:
        """Disable a user and end all of the user's sessions.

        Raises UserNotFound, and RevocationPending when the user is disabled but the revocation is
        not confirmed.
        """
        username = self.name_of(username)
        self._run(self._directory.set_disabled(username, disabled=True))
        return self._sessions.revoke_all(username)

    def enable(self, username: str) -> None:
        """Enable a disabled user; raise UserNotFound when there is no such user."""
        username = self.name_of(username)
        self._run(self._directory.set_disabled(username, disabled=False))

    def list(self) -> builtins.list[User]:
        """Return every user, sorted by name.

        The scan visits all keys of the store, so use it for administration only.
        """
        pattern = self._store.keyspace.all_users_pattern()
        names: set[str] = set()
        # A scan may return a key twice, and a user who is removed before the entry is read.
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
