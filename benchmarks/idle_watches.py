"""``python -m benchmarks.idle_watches``: the cost of watched sessions while nothing happens.

Prints the processor time of the process, in % of a core, with one watched session and with many.
"""

import argparse
import asyncio
import time
from contextlib import suppress

from benchmarks.fixtures import make_config
from clusterpass import AsyncSessionManager, EmbeddedCluster, Session

_AT_ONCE = 20
_SETTLING = 15.0


async def _open(sessions: AsyncSessionManager, number: int) -> Session:
    pair = await sessions.login(f"user-{number}")
    return await sessions.verify(pair.access_token)


async def _follow(sessions: AsyncSessionManager, session: Session) -> None:
    async for _ in sessions.watch(session):
        pass


async def _measure(sessions: AsyncSessionManager, watches: int, seconds: float) -> float:
    """The processor time of this process with so many watched sessions, in % of a core."""
    tasks = []
    for begin in range(0, watches, _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, watches))
        opened = await asyncio.gather(*(_open(sessions, number) for number in numbers))
        tasks += [asyncio.create_task(_follow(sessions, each)) for each in opened]
        await asyncio.sleep(0.01)
    await asyncio.sleep(_SETTLING)
    began, at = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    spent = (time.process_time() - began) / (time.perf_counter() - at)
    assert not any(task.done() for task in tasks), "a session is not followed any more"
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return 100 * spent


async def _main(watches: int, seconds: float) -> None:
    with EmbeddedCluster(nodes=3) as cluster:
        for number in (1, watches):
            async with AsyncSessionManager.from_url(cluster.url, make_config("HS256")) as sessions:
                share = await _measure(sessions, number, seconds)
            print(f"{number:,} watched: {share:.2f} % of a core", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle_watches", description=__doc__)
    parser.add_argument("--watches", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    asyncio.run(_main(options.watches, options.seconds))
