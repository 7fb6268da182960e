"""Who has logged in, as the application's own function says."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import anyio.to_thread

Grant = str | Mapping[str, Any] | None
"""Who has logged in: the subject, or options of ``AsyncSessionManager.login`` with ``subject``;
None: the password is wrong."""
Authenticate = Callable[[str, str], Grant | Awaitable[Grant]]


async def ask_application(authenticate: Authenticate, username: str, password: str) -> Grant:
    """Return what ``authenticate`` grants.

    A coroutine function runs on the event loop; a plain function on a thread, with the context of
    the caller, as to check the hash of a password takes long enough to stall all other requests.
    """
    if _is_coroutine_function(authenticate):
        return await cast("Awaitable[Grant]", authenticate(username, password))
    granted = await anyio.to_thread.run_sync(authenticate, username, password)
    return await granted if inspect.isawaitable(granted) else granted


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (of an object)
    )
