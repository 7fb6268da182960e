"""Password checks by the user directory, or by a function that the operator supplies."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol, cast

from clusterpass import (
    AsyncHashing,
    AsyncLoginThrottle,
    AsyncSessionManager,
    AsyncUserDirectory,
    ClusterPassError,
    InvalidCredentials,
    TokenPair,
    TooManyAttempts,
    check_password,
)
from clusterpass.service.load_function import load_function
from clusterpass.service.settings.service import Settings

Verdict = bool | str | None
PasswordCheck = Callable[[str, str], Verdict | Awaitable[Verdict]]


class Authenticator(Protocol):
    """Opens sessions for users who know their password, and confirms passwords."""

    async def login(
        self,
        username: str,
        password: str,
        *,
        device: str | None,
        address: str | None,
        device_type: str | None = None,
        remember: bool = False,
        replace: str | None = None,
        known: str | None = None,
    ) -> TokenPair:
        """Open a session.

        ``address``: the client's; ``known``: the id of a live session of the user, or of a device
        that is known, which is counted instead; the others as for ``SessionManager.login``.

        Raises InvalidCredentials, TooManyAttempts, InvalidInput; only after the correct password
        SubjectBanned, TooManySessions, SessionNotFound (``replace`` is not a session id), and
        LoginOvertaken when all sessions were revoked while the password was being checked.
        """
        ...

    async def confirm(
        self, subject: str, password: str, *, address: str | None, known: str
    ) -> None:
        """Return when ``password`` is that of ``subject``, who is logged in.

        ``known``: the id of the live session, whose attempts are counted apart from those of
        strangers. Raises InvalidCredentials, TooManyAttempts,
        InvalidInput.
        """
        ...

    @property
    def users(self) -> AsyncUserDirectory | None:
        """The user directory; None where a function of the operator's checks passwords."""
        ...

    async def close(self) -> None:
        """Release the threads."""
        ...


def make_authenticator(
    settings: Settings, sessions: AsyncSessionManager, check: PasswordCheck | None
) -> Authenticator:
    """Return the authenticator; ``check``: the function that ``password_check`` names, if any."""
    if check is None:
        return DirectoryAuthenticator(settings, sessions)
    return CustomAuthenticator(settings, sessions, check)


class DirectoryAuthenticator:
    """Checks passwords with the user directory."""

    def __init__(self, settings: Settings, sessions: AsyncSessionManager) -> None:
        self._users = AsyncUserDirectory(
            sessions,
            hash_concurrency=settings.hash_concurrency,
            throttle=settings.throttle(),
            passwords=settings.passwords(),
        )

    async def login(
        self,
        username: str,
        password: str,
        *,
        device: str | None,
        address: str | None,
        device_type: str | None = None,
        remember: bool = False,
        replace: str | None = None,
        known: str | None = None,
    ) -> TokenPair:
        """Check the password and open a session."""
        return await self._users.login(
            username,
            password,
            device=device,
            device_type=device_type,
            remember=remember,
            replace=replace,
            address=address,
            known=known,
        )

    async def confirm(
        self, subject: str, password: str, *, address: str | None, known: str
    ) -> None:
        """Check the password."""
        await self._users.authenticate(subject, password, address=address, known=known)

    @property
    def users(self) -> AsyncUserDirectory:
        """The user directory."""
        return self._users

    async def close(self) -> None:
        """Release the threads."""
        await self._users.close()


class CustomAuthenticator:
    """Checks passwords with a function of the operator's, behind the login throttle."""

    def __init__(
        self, settings: Settings, sessions: AsyncSessionManager, check: PasswordCheck
    ) -> None:
        """``check`` returns True, False, None or a subject; it may be a coroutine function."""
        self._sessions = sessions
        self._throttle = AsyncLoginThrottle(sessions, settings.throttle())
        self._threads = AsyncHashing(
            concurrency=settings.hash_concurrency,
            most_waiting=64,
            counters=sessions.counters.hashing,
        )
        self._check = check

    async def login(
        self,
        username: str,
        password: str,
        *,
        device: str | None,
        address: str | None,
        device_type: str | None = None,
        remember: bool = False,
        replace: str | None = None,
        known: str | None = None,
    ) -> TokenPair:
        """Call the function and open a session."""
        check_password(password)
        async with self._noting(username, address):
            await self._throttle.admit(username, address=address, known=known)
            generation = await self._sessions.generation(username)
            subject = await self._subject(username, password)
        pair = await self._sessions.login(
            subject,
            device=device,
            device_type=device_type,
            remember=remember,
            replace=replace,
            amr=("pwd",),
            address=address,
            # If the function returned another subject, its generation before the check is unknown.
            generation=generation if subject == username else None,
        )
        await self._throttle.forget(username, known=known)
        return pair

    async def confirm(
        self, subject: str, password: str, *, address: str | None, known: str
    ) -> None:
        """Call the function with the subject as the user name; it must return that subject."""
        check_password(password)
        await self._throttle.admit(subject, address=address, known=known)
        if await self._subject(subject, password) != subject:
            raise InvalidCredentials
        await self._throttle.forget(subject, known=known)

    @property
    def users(self) -> None:
        """None: the users are the operator's."""
        return

    async def close(self) -> None:
        """Release the threads."""
        self._threads.close()

    @asynccontextmanager
    async def _noting(self, username: str, address: str | None) -> AsyncIterator[None]:
        """Note that the block has refused a login."""
        try:
            yield
        except (InvalidCredentials, TooManyAttempts) as error:
            with suppress(ClusterPassError):  # what the client is told does not depend on it
                await self._sessions.login_failed(username, error=error.code, address=address)
            raise

    async def _subject(self, username: str, password: str) -> str:
        verdict = await self._call(username, password)
        if verdict is None or verdict is False:
            raise InvalidCredentials
        subject = username if verdict is True else verdict
        if not isinstance(subject, str):
            raise ClusterPassError("password_check must return True, False, None or a string")
        return subject

    async def _call(self, username: str, password: str) -> Verdict:
        if inspect.iscoroutinefunction(self._check):
            return cast("Verdict", await self._check(username, password))
        verdict = await self._threads.run(lambda: self._check(username, password))
        return await verdict if inspect.isawaitable(verdict) else verdict


def load_check(path: str | None) -> PasswordCheck | None:
    """Return the function that ``module:function`` names; raise ConfigurationError if none."""
    return None if path is None else load_function("password_check", path)
