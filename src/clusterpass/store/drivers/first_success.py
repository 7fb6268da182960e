"""Runs several attempts at once, of which one has to succeed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from clusterpass.model.errors import StoreUnavailable

Attempt = Callable[[], Awaitable[None]]


async def first_success(attempts: Sequence[Attempt], head_start: float) -> None:
    """Return as soon as one of ``attempts`` does; those that still run are cancelled then.

    All but the first begin when that has failed, or has taken ``head_start`` seconds: where all is
    well, one is made. At least one is required. Raises, when all have failed, an error that a
    retry would not help against, or else that of the last of ``attempts``.
    """
    tasks = [asyncio.ensure_future(attempts[0]())]
    try:
        done, _ = await asyncio.wait(tasks, timeout=head_start)
        if _has_succeeded(done):
            return
        tasks += [asyncio.ensure_future(attempt()) for attempt in attempts[1:]]
        running = set(tasks)
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if _has_succeeded(done):
                return
        errors = [error for task in tasks if (error := task.exception()) is not None]
        lasting = (each for each in errors if type(each) is not StoreUnavailable)
        raise next(lasting, errors[-1])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _has_succeeded(done: Iterable["asyncio.Future[None]"]) -> bool:
    return any(not task.cancelled() and task.exception() is None for task in done)
