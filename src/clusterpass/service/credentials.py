"""Who checks the password of a login: the user directory, or a function of the operator's own."""

import inspect
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Protocol, cast

from clusterpass.aio import AsyncSessionManager
from clusterpass.aio_users import AsyncLoginThrottle, AsyncUserDirectory, HashingThreads
from clusterpass.errors import ClusterPassError, ConfigurationError, InvalidCredentials
from clusterpass.models import TokenPair
from clusterpass.passwords import check_password
from clusterpass.service.settings import Settings

Verdict = bool | str | None
PasswordCheck = Callable[[str, str], Verdict | Awaitable[Verdict]]


class Doorkeeper(Protocol):
    """Opens sessions for user names with passwords."""

    async def login(
        self, username: str, password: str, *, device: str | None, address: str | None
    ) -> TokenPair:
        """Raises InvalidCredentials, TooManyAttempts, InvalidInput."""
        ...

    async def close(self) -> None:
        """Let go of threads."""
        ...


def make_doorkeeper(
    settings: Settings, sessions: AsyncSessionManager, check: PasswordCheck | None
) -> Doorkeeper:
    """The doorkeeper that the settings ask for; ``check``: as loaded from ``password_check``."""
    if check is None:
        return AsyncUserDirectory(
            sessions, hash_concurrency=settings.hash_concurrency, throttle=settings.throttle()
        )
    return OwnCheck(settings, sessions, check)


class OwnCheck:
    """The operator's function, behind the login throttle."""

    def __init__(
        self, settings: Settings, sessions: AsyncSessionManager, check: PasswordCheck
    ) -> None:
        """``check``: returns True, False or None, or a subject; may be a coroutine function."""
        self._sessions = sessions
        self._throttle = AsyncLoginThrottle(sessions, settings.throttle())
        self._threads = HashingThreads(concurrency=settings.hash_concurrency, most_waiting=64)
        self._check = check

    async def login(
        self, username: str, password: str, *, device: str | None, address: str | None
    ) -> TokenPair:
        """Ask the function and open a session."""
        check_password(password)
        await self._throttle.admit(username, address=address)
        verdict = await self._ask(username, password)
        if verdict is None or verdict is False:
            raise InvalidCredentials
        subject = username if verdict is True else verdict
        if not isinstance(subject, str):
            raise ClusterPassError("password_check must return a bool, None or a string")
        pair = await self._sessions.login(subject, device=device)
        await self._throttle.forget(username)
        return pair

    async def close(self) -> None:
        """End the threads."""
        self._threads.close()

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
