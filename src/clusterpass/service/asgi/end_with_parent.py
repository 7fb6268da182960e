"""Ends a worker whose parent was killed: an orphan would go on serving, unseen by whoever stops us.

The parent's number is compared now and then; it changes when the parent dies (POSIX).
"""

import asyncio
import os
import signal
from typing import Final

_SECONDS: Final = 0.5


async def end_with_parent(parent: int) -> None:
    """Wait until ``parent`` is no longer our parent, then end this process by SIGTERM."""
    while os.getppid() == parent:  # noqa: ASYNC110 (the system tells nobody of this event)
        await asyncio.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    # The server's own shutdown may wait for a parent that is gone.
    await asyncio.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
