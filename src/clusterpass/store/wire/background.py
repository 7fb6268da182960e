"""Background tasks for the connections of one event loop, for which no caller waits.

They are cancelled and awaited when the connections are closed: a task that is destroyed before it
could react would leave its socket open.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

Result = TypeVar("Result")
_LONGEST_END: Final = 3.0
"""Seconds that tasks may take to end: one may run a function of the application."""


class BackgroundTasks:
    """The tasks of one event loop, each of which is forgotten once it has ended."""

    def __init__(self) -> None:
        self._tasks: Final[set[asyncio.Task[Any]]] = set()
        self._to_cancel: Final[set[asyncio.Task[Any]]] = set()
        """The tasks that :meth:`cancel` has not cancelled yet, and may."""

    def begin(
        self,
        work: Coroutine[Any, Any, Result],
        name: str | None = None,
        *,
        is_cancelled: bool = True,
    ) -> "asyncio.Task[Result]":
        """Run ``work`` in a task of the running event loop, which is returned.

        ``is_cancelled``: whether :meth:`cancel` does; False for one that ends with its connection,
        and may have the answer already.
        """
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        if is_cancelled:
            self._to_cancel.add(task)
        task.add_done_callback(self._forget)
        return task

    def cancel(self) -> None:
        """Cancel all tasks, but those that this has cancelled before: they are about to end."""
        for task in self._to_cancel:
            task.cancel()
        self._to_cancel.clear()

    async def ended(self) -> None:
        """Return once no task is left, or after three seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _LONGEST_END
        while self._tasks and (seconds := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._to_cancel.discard(task)
