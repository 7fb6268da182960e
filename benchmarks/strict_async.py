"""Compares strict verifies of concurrent tasks with redis-py's bare asynchronous script call."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import redis.asyncio
import uvloop

from benchmarks.fixtures import LoggedIn, logged_in, server_version
from benchmarks.report import Goal, Report, microseconds
from benchmarks.timing import Times, measure_async
from clusterpass import AsyncSessionManager, EmbeddedCluster

AT_LEAST = 5.0
CALLERS = (1, 50)
_OURS, _PEER = "clusterpass", "redis-py"
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def run(*, rounds: int = 40, calls: int = 2000) -> Report:
    """Measure on six nodes, on the loop of asyncio and on uvloop."""
    loops: dict[str, Run] = {"asyncio": asyncio.run, "uvloop": uvloop.run}
    rows, goals = [], []
    with EmbeddedCluster(nodes=6) as cluster, logged_in(cluster, "HS256") as user:
        version = server_version(cluster)
        for loop, run_on in loops.items():
            for callers in CALLERS:
                some = calls if callers > 1 else calls // 10
                times, spent = run_on(_measure(cluster, user, rounds, some, callers))
                ratio = times.ratio(_PEER, _OURS)
                rows.append(
                    [
                        f"{loop}, {callers} task{'s' if callers > 1 else ''}",
                        microseconds(times.median(_OURS)),
                        microseconds(times.median(_PEER)),
                        str(ratio),
                        f"{spent[_OURS] * 1e6:.1f}",
                        f"{spent[_PEER] / spent[_OURS]:.2f}",
                    ]
                )
                if callers > 1:
                    what = f"throughput of a strict verify : redis-py's evalsha, {callers} tasks"
                    goals.append(Goal(f"{what}, {loop}", ratio.median, at_least=AT_LEAST))
    return Report(
        name="strict_async",
        title="A strict verify in an event loop",
        text=(
            '`AsyncSessionManager.verify(token, verification="strict")` compared with '
            "`redis.asyncio.RedisCluster.evalsha` with the same script, keys and arguments, "
            "which returns the bare reply. Ours includes routing, the comparison with what is "
            "known of the token, and the session. All calls go to one slot, hence to one node. "
            "Times are the total time divided by the number of calls, in us; processor time is "
            "that of this process alone. The node itself takes about 10 us for a call, 5 of "
            "them for the script: on two cores that limits how much a leaner client can gain."
        ),
        columns=(
            "loop",
            "verify",
            "redis-py",
            "redis-py : verify",
            "processor us/verify",
            "processor, redis-py : verify",
        ),
        rows=rows,
        goals=goals,
        servers=[version],
    )


async def _measure(
    cluster: EmbeddedCluster, user: LoggedIn, rounds: int, calls: int, callers: int
) -> tuple[Times, dict[str, float]]:
    client = redis.asyncio.RedisCluster(host=user.node.host, port=user.node.port)
    await client.initialize()
    async with AsyncSessionManager.from_url(cluster.url, user.manager.config) as manager:
        token, arguments = user.access_token, user.evalsha
        candidates: dict[str, Callable[[], Any]] = {
            _OURS: lambda: manager.verify(token, verification="strict"),
            _PEER: lambda: client.evalsha(*arguments),
        }
        times = await measure_async(candidates, rounds=rounds, calls=calls, callers=callers)
        spent = {}
        for name, call in candidates.items():
            started = time.process_time()
            await measure_async({name: call}, rounds=3, calls=calls, callers=callers)
            spent[name] = (time.process_time() - started) / (4 * calls)
    await client.aclose()
    return times, spent
