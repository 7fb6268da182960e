"""Completes a call that has begun, even if the task that waits for it is cancelled.

Threads need nothing of the kind: a caller waits for its own call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

Result = TypeVar("Result")
_UNDER_WAY: Final = set["asyncio.Task[Any]"]()
"""The tasks, which an event loop does not keep by itself."""


def finish(act: Callable[[], Result]) -> Result:
    """Call ``act``; return and raise what it does."""
    return act()


async def finish_async(act: Callable[[], Awaitable[Result]]) -> Result:
    """Await what ``act`` returns, in a task that goes on if the caller is cancelled."""

    async def acting() -> Result:
        return await act()

    task = asyncio.get_running_loop().create_task(acting(), name="clusterpass-finishing")
    _UNDER_WAY.add(task)
    task.add_done_callback(_UNDER_WAY.discard)
    return await asyncio.shield(task)
