"""The tasks that work for the connections of one event loop while no caller waits for them.

They are cancelled when the connections are closed, and awaited then: a task that is destroyed
before it could react would leave its socket open.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

Result = TypeVar("Result")


class BackgroundTasks:
    """The tasks of one event loop, each of which is forgotten once it has ended."""

    def __init__(self) -> None:
        self._tasks: Final[set[asyncio.Task[Any]]] = set()

    def begin(
        self, work: Coroutine[Any, Any, Result], name: str | None = None
    ) -> "asyncio.Task[Result]":
        """Run ``work`` in a task of the running event loop, which is returned."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel all tasks, but those that were cancelled before: these are about to end."""
        for task in list(self._tasks):
            if not task.cancelling():
                task.cancel()

    async def ended(self) -> None:
        """Return once no task is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)
