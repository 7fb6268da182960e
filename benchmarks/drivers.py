"""Compares the two store drivers with redis-py's cluster clients.

Every client makes the script call of a strict verify.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from benchmarks.fixtures import LoggedIn, cluster_client, logged_in, server_version
from benchmarks.report import Goal, Report, microseconds
from benchmarks.timing import Times, measure, measure_async
from clusterpass import EmbeddedCluster
from clusterpass.protocol.replies import Stored
from clusterpass.protocol.script import Answer, Flow
from clusterpass.store.drivers.aio import AsyncStore

CALLERS = (1, 50)
_TIMEOUT = 0.4
_RETRIES = 6
_OURS, _PLAIN, _TUNED = "clusterpass", "defaults", "tuned"
_HANDED_OVER = "handed over"


def run(*, rounds: int = 100, calls: int = 50, many_rounds: int = 50) -> Report:
    """Measure on six nodes."""
    with (
        EmbeddedCluster(nodes=6) as cluster,
        logged_in(cluster, "HS256") as user,
    ):
        server = server_version(cluster)
        measured = {"sync, 1 thread": _measure_sync(user, rounds, calls)}
        for callers in CALLERS:
            some = rounds if callers == 1 else many_rounds
            each = calls if callers == 1 else callers * 8
            measured[f"async, {callers} task{'s' if callers > 1 else ''}"] = asyncio.run(
                _measure_async(cluster, user, some, each, callers)
            )
    rows, goals = [], []
    for what, times in measured.items():
        ratios = {peer: times.ratio(peer, _OURS) for peer in (_PLAIN, _TUNED)}
        rows.append(
            [what, microseconds(times.median(_OURS)), *[str(ratio) for ratio in ratios.values()]]
        )
        if _HANDED_OVER in times.rounds:
            handed = [str(times.ratio(peer, _HANDED_OVER)) for peer in ratios]
            own = microseconds(times.median(_HANDED_OVER))
            rows.append([f"{what}, by a loop on another thread", own, *handed])
        goals.append(
            Goal(f"throughput, ours : redis-py, {what}", ratios[_PLAIN].median, at_least=1)
        )
    return Report(
        name="drivers",
        title="The drivers compared with redis-py's cluster clients",
        text=(
            "The script call of a strict verify: our store with its routing, deadline and "
            "reply parsing, compared with `RedisCluster.evalsha` with its defaults, and tuned "
            f"so that a stopped node does not block it for long ({_TIMEOUT} s timeouts, "
            f"{_RETRIES} jittered retries). Ratios of throughput: above 1, ours is faster. *By "
            "a loop on another thread*: the call is handed to the asynchronous store, as a "
            "synchronous manager could do. The first column is the time of one call in us; "
            "with many tasks, the total time divided by the number of calls."
        ),
        columns=("callers", "ours", "ours : redis-py defaults", "ours : redis-py tuned"),
        rows=rows,
        goals=goals,
        servers=[server],
    )


def _flow(user: LoggedIn) -> Flow[Answer[Stored]]:
    answer: Answer[Stored] = yield user.call
    return answer


def _measure_sync(user: LoggedIn, rounds: int, calls: int) -> Times:
    arguments = user.evalsha
    tuned = redis.RedisCluster(
        host=user.node.host,
        port=user.node.port,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.4), _RETRIES),
    )
    with cluster_client(user.node) as plain, tuned, _loop_on_a_thread(user) as handed_over:
        return measure(
            {
                _OURS: lambda: user.manager.store.run(_flow(user)),
                _HANDED_OVER: handed_over,
                _PLAIN: lambda: plain.evalsha(*arguments),
                _TUNED: lambda: tuned.evalsha(*arguments),
            },
            rounds=rounds,
            calls=calls,
        )


@contextmanager
def _loop_on_a_thread(user: LoggedIn) -> Iterator[Callable[[], object]]:
    """What a call costs that is handed to the asynchronous store on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    store = AsyncStore.from_url(f"redis+cluster://{user.node.host}:{user.node.port}")

    def run(coroutine: Coroutine[Any, Any, object]) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        yield lambda: run(store.run(_flow(user)))
    finally:
        run(store.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _measure_async(
    cluster: EmbeddedCluster, user: LoggedIn, rounds: int, calls: int, callers: int
) -> Times:
    arguments = user.evalsha
    store = AsyncStore.from_url(cluster.url)
    plain = redis.asyncio.RedisCluster(host=user.node.host, port=user.node.port)
    tuned = redis.asyncio.RedisCluster(
        host=user.node.host,
        port=user.node.port,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        retry=AsyncRetry(ExponentialWithJitterBackoff(base=0.02, cap=0.4), _RETRIES),
    )
    try:
        for client in (plain, tuned):
            await client.initialize()
        return await measure_async(
            {
                _OURS: lambda: store.run(_flow(user)),
                _PLAIN: lambda: plain.evalsha(*arguments),
                _TUNED: lambda: tuned.evalsha(*arguments),
            },
            rounds=rounds,
            calls=calls,
            callers=callers,
        )
    finally:
        await store.close()
        await plain.aclose()
        await tuned.aclose()
