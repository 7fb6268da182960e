"""Who checks the password of a login: the user directory, or a function of the operator's own."""

import inspect
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Protocol, cast

from clusterpass import (
    AsyncHashing,
    AsyncLoginThrottle,
    AsyncSessionManager,
    AsyncUserDirectory,
    ClusterPassError,
    ConfigurationError,
    InvalidCredentials,
    TokenPair,
    check_password,
)
from clusterpass.service.settings.service import Settings

Verdict = bool | str | None
PasswordCheck = Callable[[str, str], Verdict | Awaitable[Verdict]]


class Doorkeeper(Protocol):
    """Opens sessions for user names with passwords, and asks for a password again."""

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
    ) -> TokenPair:
        """Open a session; ``address``: the client's; the rest as for ``SessionManager.login``.

        Raises InvalidCredentials, TooManyAttempts, InvalidInput; only after the right password
        SubjectBanned, TooManySessions, SessionNotFound (``replace`` is no session id), and
        LoginOvertaken when all sessions were revoked while the password was checked.
        """
        ...

    async def confirm(self, subject: str, password: str, *, address: str | None) -> None:
        """Return when the password of ``subject``, who is logged in, is right.

        It counts as an attempt to log in. Raises InvalidCredentials, TooManyAttempts, InvalidInput.
        """
        ...

    async def close(self) -> None:
        """Let go of threads."""
        ...


def make_doorkeeper(
    settings: Settings, sessions: AsyncSessionManager, check: PasswordCheck | None
) -> Doorkeeper:
    """The doorkeeper that the settings ask for; ``check``: as loaded from ``password_check``."""
    if check is None:
        return DirectoryCheck(settings, sessions)
    return OwnCheck(settings, sessions, check)


class DirectoryCheck:
    """The user directory."""

    def __init__(self, settings: Settings, sessions: AsyncSessionManager) -> None:
        self._users = AsyncUserDirectory(
            sessions, hash_concurrency=settings.hash_concurrency, throttle=settings.throttle()
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
    ) -> TokenPair:
        """Ask the directory and open a session."""
        return await self._users.login(
            username,
            password,
            device=device,
            device_type=device_type,
            remember=remember,
            replace=replace,
            address=address,
        )

    async def confirm(self, subject: str, password: str, *, address: str | None) -> None:
        """Ask the directory."""
        await self._users.authenticate(subject, password, address=address)

    async def close(self) -> None:
        """End the threads."""
        await self._users.close()


class OwnCheck:
    """The operator's function, behind the login throttle."""

    def __init__(
        self, settings: Settings, sessions: AsyncSessionManager, check: PasswordCheck
    ) -> None:
        """``check``: returns True, False or None, or a subject; may be a coroutine function."""
        self._sessions = sessions
        self._throttle = AsyncLoginThrottle(sessions, settings.throttle())
        self._threads = AsyncHashing(concurrency=settings.hash_concurrency, most_waiting=64)
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
    ) -> TokenPair:
        """Ask the function and open a session."""
        check_password(password)
        await self._throttle.admit(username, address=address)
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
            # Of another subject than the name it is not known from before the check.
            generation=generation if subject == username else None,
        )
        await self._throttle.forget(username)
        return pair

    async def confirm(self, subject: str, password: str, *, address: str | None) -> None:
        """Ask the function, with the subject as the user name; it must name the same subject."""
        check_password(password)
        await self._throttle.admit(subject, address=address)
        if await self._subject(subject, password) != subject:
            raise InvalidCredentials
        await self._throttle.forget(subject)

    async def close(self) -> None:
        """End the threads."""
        self._threads.close()

    async def _subject(self, username: str, password: str) -> str:
        verdict = await self._ask(username, password)
        if verdict is None or verdict is False:
            raise InvalidCredentials
        subject = username if verdict is True else verdict
        if not isinstance(subject, str):
            raise ClusterPassError("password_check must return a bool, None or a string")
        return subject

    async def _ask(self, username: str, password: str) -> Verdict:
        if inspect.iscoroutinefunction(self._check):
            return cast("Verdict", await self._check(username, password))
        verdict = await self._threads.run(lambda: self._check(username, password))
        return await verdict if inspect.isawaitable(verdict) else verdict


def load_check(path: str | None) -> PasswordCheck | None:
    """The function that ``module:function`` names; ConfigurationError when there is none."""
    if path is None:
        return None
    module_name, _, names = path.partition(":")
    try:
        found: object = import_module(module_name)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"password_check: {path} cannot be imported ({type(error).__name__}: {error}); write it"
            " as module:function, and put the module on the PYTHONPATH"
        ) from None
    if not callable(found):
        raise ConfigurationError(f"password_check: {path} is no function")
    return cast("PasswordCheck", found)
