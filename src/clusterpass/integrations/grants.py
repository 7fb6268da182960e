"""Calls the application's ``authenticate`` function, and returns the options of the login."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

import anyio.to_thread

from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import TooManyAttempts
from clusterpass.model.refusals import open_refusal

Grant = str | Mapping[str, Any] | None
"""Who has logged in: the subject, or options of ``AsyncSessionManager.login`` with ``subject``;
None: the password is wrong."""
Authenticate = Callable[[str, str], Grant | Awaitable[Grant]]
Note = Callable[[str], Awaitable[None]]
_UNAUTHORIZED: Final = 401


async def ask_application(
    authenticate: Authenticate, username: str, password: str, note: Note
) -> dict[str, Any]:
    """Return the options of the login that ``authenticate`` grants.

    A coroutine function runs on the event loop; a plain function on a thread, with the context of
    the caller, as to check the hash of a password takes long enough to stall all other requests.
    ``note``: is called with the code of an error when the password is refused, unless
    ``authenticate`` has noted that itself. Raises InvalidCredentials when nothing is granted, and
    what ``authenticate`` raises, and TypeError for what is no grant.
    """
    with open_refusal() as refusal:
        try:
            grant = await _ask(authenticate, username, password)
        except Exception as error:
            code = _code_of(error)
            if code is not None and not refusal.take():
                await note(code)
            raise
        if not grant:
            if not refusal.take():
                await note(InvalidCredentials.code)
            raise InvalidCredentials
    options = {"subject": grant} if isinstance(grant, str) else grant
    if not isinstance(options, Mapping) or not isinstance(options.get("subject"), str):
        raise TypeError(
            "authenticate must return None, a subject, or options of a login with 'subject',"
            f" not {type(grant).__name__}"
        )
    return dict(options)


async def _ask(authenticate: Authenticate, username: str, password: str) -> Grant:
    if _is_coroutine_function(authenticate):
        return await cast("Awaitable[Grant]", authenticate(username, password))
    granted = await anyio.to_thread.run_sync(authenticate, username, password)
    return await granted if inspect.isawaitable(granted) else granted


def _code_of(error: Exception) -> str | None:
    """Return the code of an error by which an application refuses a password; else None."""
    if isinstance(error, InvalidCredentials | TooManyAttempts):
        return error.code
    # What the frameworks answer with 401 has no base in common.
    is_refusal = getattr(error, "status_code", None) == _UNAUTHORIZED
    return InvalidCredentials.code if is_refusal else None


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (of an object)
    )
