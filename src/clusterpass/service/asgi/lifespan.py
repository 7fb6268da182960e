"""The lifespan protocol of ASGI: opens and closes what a worker keeps open while it serves."""

import traceback
from contextlib import AbstractAsyncContextManager
from typing import Any

from clusterpass.service.asgi.messages import Receive, Send


async def run_lifespan(
    context: AbstractAsyncContextManager[Any], receive: Receive, send: Send
) -> None:
    """Enter ``context`` when the server starts, and leave it when the server stops.

    What the context raises is reported to the server, and raised again.
    """
    is_started = False
    await receive()
    try:
        async with context:
            await send({"type": "lifespan.startup.complete"})
            is_started = True
            await receive()
    except BaseException:
        failed = "lifespan.shutdown.failed" if is_started else "lifespan.startup.failed"
        await send({"type": failed, "message": traceback.format_exc()})
        raise
    await send({"type": "lifespan.shutdown.complete"})
