# Generated from users/aio/directory.py by scripts/generate_sync.py; do not edit.
"""The user directory: names and password hashes, on the same cluster as the sessions.

- The directory serves applications that have no users yet. An application with its own users checks
  their passwords itself and calls ``SessionManager.login``.
- The directory needs argon2-cffi: ``pip install "clusterpass[server]"``.
"""

import builtins
import secrets
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from clusterpass.limits import DAY
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import (
    ClusterPassError,
    ImpersonationRefused,
    TooManyAttempts,
)
from clusterpass.model.values import Ended, Session, TokenPair
from clusterpass.sessions.options import SessionOptions
from clusterpass.users.audited import audited
from clusterpass.users.directory import Directory, PasswordWork, Procedure, Proven, Step, User
from clusterpass.users.hashing import Hashing
from clusterpass.users.links import OneTimeLink, read_token
from clusterpass.users.password_policy import PasswordPolicy
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
        passwords: PasswordPolicy | None = None,
    ) -> None:
        """``sessions``: its store holds the users, and stays open when the directory is closed.

        ``hash_concurrency``: passwords hashed at once, each with 46 MiB by default (None: 2 for an
        event loop, no limit for threads). ``most_waiting``: logins that may wait for the hasher.
        ``hasher``: by default argon2id with the parameters that OWASP recommends. ``throttle``: the
        limits of attempts. ``passwords``: which new ones are accepted. Raises
        ConfigurationError for a value out of range, and when argon2-cffi is not installed.
        """
        self._sessions = sessions
        self._store = sessions.store
        self._trail = sessions.audit.trail
        self._hashing = Hashing(
            concurrency=hash_concurrency,
            most_waiting=most_waiting,
            counters=sessions.counters.hashing,
        )
        self._directory = Directory(
            self._store.keyspace,
            hasher or PasswordHasher(),
            Throttle(self._store.keyspace, throttle or ThrottlePolicy(), sessions.counters),
            passwords or PasswordPolicy(),
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

        Raises UserExists when the name is taken, and PasswordRefused for a password that is too
        short, too common, or little more than the name.
        """
        self._audited("add_user", self._directory.add(username, password), username)

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
        self._audited(
            "authenticate",
            self._directory.authenticate(username, password, address=address, known=known),
            username,
            success=False,
            address=address,
        )

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
        proven = self._proof(username, password, address, known)
        pair = self._sessions.login(username, **options, amr=("pwd",), generation=generation)
        if not self._run(self._directory.confirm(proven, password)):
            self._sessions.revoke(proven.username, pair.session_id)
            raise InvalidCredentials
        return pair

    def change_password(
        self,
        session: Session,
        current: str,
        new: str,
        *,
        address: str | None = None,
        end_others: bool = True,
        for_seconds: int = 300,
    ) -> TokenPair:
        """Replace the password of the user of ``session``, who gives the ``current`` one.

        Returns new tokens of the same session, those of a step-up of ``for_seconds`` (1 second to
        one day); all tokens that were issued for it before end. The user's other sessions end,
        unless ``end_others`` is False. ``session``: as ``SessionManager.verify`` returns it.
        ``address``: the client's IP address, for the history. A wrong ``current`` password is
        counted as a wrong password of a login is, in the session.

        Raises InvalidCredentials, TooManyAttempts, PasswordRefused as :meth:`add` does, and
        ImpersonationRefused in an impersonation: nothing was changed. Raises
        RevocationPending when the password is replaced but the end of the other sessions is not
        confirmed, and what ``SessionManager.elevate`` raises: the session then keeps its tokens.
        """
        if session.act is not None:
            raise ImpersonationRefused(
                "The password cannot be changed in an impersonation.", reason="impersonated"
            )
        self._audited(
            "change_password",
            self._directory.change_password(
                session.subject, current, new, address=address, known=session.session_id
            ),
            session.subject,
            actor=session.subject,
            session_id=session.session_id,
            address=address,
        )
        if end_others:
            self._sessions.revoke_all(session.subject, keep=session.session_id)
        return self._sessions.elevate(
            session,
            self._sessions.config.levels[0],
            for_seconds=for_seconds,
            amr=("pwd",),
            address=address,
            password_changed=True,
        )

    def set_password(self, username: str, password: str) -> Ended:
        """Replace a password and end all sessions of the user.

        Raises UserNotFound, PasswordRefused as :meth:`add` does, and
        RevocationPending when the password is replaced but the revocation is not confirmed.
        """
        username = self.name_of(username)
        self._audited("set_password", self._directory.set_password(username, password), username)
        return self._sessions.revoke_all(username)

    def invite(self, username: str, *, for_seconds: int = 3 * DAY) -> OneTimeLink:
        """Add a user who has no password yet, and make a link by which the user sets one.

        ``for_seconds``: how long the link may be used, 60 seconds to 14 days; :meth:`make_link`
        makes another. Raises UserExists and InvalidInput.
        """
        name = self._audited("invite_user", self._directory.invite(username), username)
        return self._run(self._directory.make_link(name, for_seconds=for_seconds))

    def make_link(self, username: str, *, for_seconds: int = 3600) -> OneTimeLink:
        """Make a link by which a user sets a new password, once; an older link of the user ends.

        Its ``token`` has to reach the user alone, and is kept nowhere. The password that the user
        has goes on until then; if it is changed otherwise, or replaced by a better hash at a login,
        the link ends. ``for_seconds``: how long the link may be used, 60 seconds to 14 days. Raises
        UserNotFound and InvalidInput.
        """
        username = self.name_of(username)
        return self._audited(
            "make_link", self._directory.make_link(username, for_seconds=for_seconds), username
        )

    def user_of_link(self, token: str) -> str:
        """Return the name of the user of a link that can be used; the link stays.

        Raises LinkInvalid for any other ``token``.
        """
        return self._run(self._directory.open_link(token))

    def use_link(self, token: str, password: str) -> Ended:
        """Set the password of the user of a link, and end the link and all sessions of the user.

        Raises LinkInvalid for a ``token`` that cannot be used, PasswordRefused as :meth:`add` does
        (the link stays), and RevocationPending when the password is set but the end of the sessions
        is not confirmed.
        """
        username = read_token(token).username
        # Before a link has proved to be one, it could name anybody.
        self._audited(
            "use_link",
            self._directory.use_link(token, password),
            username,
            failure=False,
            actor=username,
        )
        return self._sessions.revoke_all(username)

    def disable(self, username: str) -> Ended:
        """Disable a user and end all of the user's sessions.

        Raises UserNotFound, and RevocationPending when the user is disabled but the revocation is
        not confirmed.
        """
        username = self.name_of(username)
        self._audited(
            "disable_user", self._directory.set_disabled(username, disabled=True), username
        )
        return self._sessions.revoke_all(username)

    def enable(self, username: str) -> None:
        """Enable a disabled user; raise UserNotFound when there is no such user."""
        username = self.name_of(username)
        self._audited(
            "enable_user", self._directory.set_disabled(username, disabled=False), username
        )

    def delete(self, username: str, *, erase: bool = False) -> Ended:
        """Remove a user, and end all of the user's sessions.

        ``erase``: what the store knows of the user is erased, too, as ``SessionManager.erase``
        describes; otherwise the history stays until it expires. Bans of the name stay in force in
        both cases: they hold for a user who is added under it again. Raises UserNotFound, and
        RevocationPending when the end of the sessions is not confirmed: the user is then disabled,
        and the call can be repeated.
        """
        username = self.name_of(username)
        self._audited(
            "disable_user", self._directory.set_disabled(username, disabled=True), username
        )
        end = self._sessions.erase if erase else self._sessions.revoke_all
        ended = end(username)
        self._audited("delete_user", self._directory.remove(username), username)
        return ended

    def export(self, username: str) -> dict[str, Any]:
        """Return what the store holds of a user, as plain JSON for the user's own eyes.

        The members are those of ``SessionManager.export``, and ``user`` with ``name``, ``disabled``
        and ``created_at``; None when the directory has no such user. No password hash is in it.
        """
        username = self.name_of(username)
        user = self._run(self._directory.describe(username))
        held = self._sessions.export(username)
        return {"user": None if user is None else user.to_dict(), **held}

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

    def _proof(
        self, username: str, password: str, address: str | None, known: str | None
    ) -> Proven:
        """Check the password of a login, and note a failure."""
        procedure = self._directory.authenticate(username, password, address=address, known=known)
        try:
            return self._run(procedure)
        except (InvalidCredentials, TooManyAttempts) as error:
            with suppress(ClusterPassError):  # what the caller is told does not depend on it
                self._sessions.login_failed(username, error=error.code, address=address)
            raise

    def _audited(
        self, action: str, procedure: Procedure[Result], subject: str, **about: Any
    ) -> Result:
        return self._run(audited(self._trail, action, procedure, subject=subject, **about))

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
        finally:
            procedure.close()  # where the caller has gone: now, and not when it is collected

    def _take(self, step: Step) -> Any:
        if isinstance(step, PasswordWork):
            return self._hashing.run(step.run)
        return self._store.run(step)
