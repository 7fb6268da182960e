# Generated from users/aio/directory.py by scripts/generate_sync.py; do not edit.
"""The user directory: names and password hashes, on the same cluster as the sessions.

- The directory serves applications that have no users yet. An application with its own users checks
  their passwords itself and calls ``SessionManager.login``.
- The directory needs argon2-cffi: ``pip install "clusterpass[server]"``.
"""

from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self, Unpack

from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import (
    ClusterPassError,
    ImpersonationRefused,
    TooManyAttempts,
)
from clusterpass.model.values import Session, TokenPair
from clusterpass.sessions.options import SessionOptions
from clusterpass.users.directory import Proven
from clusterpass.users.finishing import finish
from clusterpass.users.procedures import Change
from clusterpass.users.sync.accounts import Accounts


class UserDirectory(Accounts):
    """Users and their passwords on a cluster. Close a directory before its session manager.

    :class:`UserDirectory` is for threads, which may share one directory;
    :class:`AsyncUserDirectory` has the same verbs, awaited, for the tasks of an event loop.

    Every verb raises StoreUnavailable when the store cannot be reached in time, and InvalidInput
    for a name that cannot be a subject. Every verb that takes a password raises TooManyAttempts
    when too many passwords are waiting to be hashed.
    """

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
        After StoreUnavailable the password may be replaced: if the store was asked to, the other
        sessions are ended all the same.
        """
        if session.act is not None:
            raise ImpersonationRefused(
                "The password cannot be changed in an impersonation.", reason="impersonated"
            )
        subject, change = session.subject, Change()
        procedure = self._directory.change_password(
            subject, current, new, change, address=address, known=session.session_id
        )
        about = {"actor": subject, "session_id": session.session_id, "address": address}
        if end_others:
            end = partial(self._sessions.revoke_all, subject, keep=session.session_id)
            self._changed("change_password", procedure, change, subject, end, **about)
            finish(end)
        else:
            self._audited("change_password", procedure, subject, **about)
        return self._sessions.elevate(
            session,
            self._sessions.config.levels[0],
            for_seconds=for_seconds,
            amr=("pwd",),
            address=address,
            password_changed=True,
        )

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
