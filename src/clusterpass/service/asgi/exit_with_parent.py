"""Ends a worker whose parent was killed; otherwise it would keep serving without supervision.

The parent process id is polled: it changes when the parent exits (POSIX).
"""

import asyncio
import os
import signal
from typing import Final

_SECONDS: Final = 0.5


async def exit_with_parent(parent: int) -> None:
    """Wait until ``parent`` (a process id) is no longer the parent, then end this process."""
    while os.getppid() == parent:  # noqa: ASYNC110 (there is no event to wait for)
        await asyncio.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    # A graceful shutdown may wait for the parent, which no longer exists.
    await asyncio.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
