"""Logouts while their shard cannot confirm them: how many are refused, and how long they take."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from typing import Any

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from clusterpass import (
    AsyncSessionManager,
    Config,
    EmbeddedCluster,
    RevocationPending,
    SessionRevoked,
    TokenPair,
)
from clusterpass.embedded import Node
from clusterpass.protocol.keyspace import Keyspace

_L: float = 0.25
"""Seconds that an ending in the journals waits for (docs/adr/0020-journal.md)."""
_HEALTHY = "whole"
_LATE = 5.0
_KEYSPACE = Keyspace()


@dataclass
class _Found:
    """The outcome of the logouts in one scenario."""

    seconds: list[float] = field(default_factory=list)
    journaled: int = 0
    pending: int = 0
    revived: int = 0

    def p(self, share: float) -> float:
        """The quantile, in milliseconds."""
        ranked = sorted(self.seconds)
        return 1000 * ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def run(*, logouts: int = 10_000, callers: int = 50) -> Report:
    """Measure on three primaries with a replica each, and once with a shard that has none."""
    config = make_config("HS256")
    scenarios: dict[str, Callable[[EmbeddedCluster, Node, Node], None] | None] = {
        _HEALTHY: None,
        "a replica is dead": lambda cluster, _, replica: cluster.kill(replica),
        "a primary is dead, its replica promoted": _fail_over,
    }
    found: dict[str, _Found] = {}
    for name, break_it in scenarios.items():
        with EmbeddedCluster(nodes=6) as cluster:
            found[name] = asyncio.run(_measure(cluster, config, break_it, logouts, callers))
            version = server_version(cluster)
    with EmbeddedCluster(nodes=5) as cluster:
        found["a shard that never had a replica"] = asyncio.run(
            _measure(cluster, config, None, logouts, callers)
        )
    healthy = found[_HEALTHY].p(0.99)
    most = 1000 * _L + 3 * healthy
    return Report(
        name="journaled_logouts",
        title="Logouts that their own shard cannot confirm",
        text=(
            f"{logouts:,} logouts by {callers} tasks, each of another user of the affected shard; "
            "afterwards a second manager in strict mode is shown every token. Whole: the same on "
            "a healthy cluster. Those that the journals confirm wait for 250 ms by design."
        ),
        columns=("the shard", "503", "journaled", "accepted later", "p50 ms", "p99 ms"),
        rows=[
            [
                name,
                str(each.pending),
                f"{each.journaled:,}",
                str(each.revived),
                f"{each.p(0.5):.1f}",
                f"{each.p(0.99):.1f}",
            ]
            for name, each in found.items()
        ],
        goals=[
            *(
                Goal(f"refused or accepted later, {name}", each.pending + each.revived, at_most=0)
                for name, each in found.items()
            ),
            *(
                Goal(f"p99 in ms, {name}", each.p(0.99), at_most=round(most, 1))
                for name, each in found.items()
                if name != _HEALTHY
            ),
        ],
        servers=[version],
    )


def _fail_over(cluster: EmbeddedCluster, primary: Node, _: Node) -> None:
    key = _key_on(cluster, primary)
    cluster.kill(primary)
    cluster.wait_until_primary_changes(key, primary, 60.0)


def _key_on(cluster: EmbeddedCluster, primary: Node) -> bytes:
    keys = (_KEYSPACE.sessions(f"user-{number}") for number in count())
    return next(key for key in keys if cluster.primary_of(key) == primary)


async def _measure(
    cluster: EmbeddedCluster,
    config: Config,
    break_it: Callable[[EmbeddedCluster, Node, Node], None] | None,
    logouts: int,
    callers: int,
) -> _Found:
    """Log in, break the shard, log out; then look whether a token is accepted."""
    lonely = [node for node in cluster.nodes if _is_lonely(cluster, node)]
    primary = lonely[0] if lonely else cluster.primary_of(_KEYSPACE.sessions("user-0"))
    key = _key_on(cluster, primary)
    slots = await _slots_of(cluster, primary)
    subjects = (f"user-{number}" for number in count())
    mine = (each for each in subjects if _KEYSPACE.keys_of(each).slot in slots)
    found = _Found()
    async with _opened(cluster, config) as manager:
        pairs = [await manager.login(subject) for subject in islice(mine, logouts)]
        if break_it is not None:
            await asyncio.to_thread(break_it, cluster, primary, *cluster.replicas_of(key))
            await _wait_until_noticed(manager, pairs.pop())
        left = iter(pairs)

        async def caller() -> None:
            for pair in left:
                await _log_out(manager, pair, found)

        await asyncio.gather(*(caller() for _ in range(callers)))
        found.revived = await _count_accepted(cluster, config, pairs)
    return found


async def _log_out(manager: AsyncSessionManager, pair: TokenPair, found: _Found) -> None:
    began = time.perf_counter()
    try:
        ended = await manager.logout(pair.access_token)
        found.journaled += ended.journaled
    except RevocationPending:
        found.pending += 1
    found.seconds.append(time.perf_counter() - began)


async def _wait_until_noticed(manager: AsyncSessionManager, pair: TokenPair) -> None:
    """Return when the cluster says that the node has failed, and the manager knows."""
    await manager.logout(pair.access_token)
    await asyncio.sleep(_LATE)


async def _count_accepted(cluster: EmbeddedCluster, config: Config, pairs: list[TokenPair]) -> int:
    accepted = 0
    async with _opened(cluster, config) as other:
        for pair in pairs:
            try:
                await other.verify(pair.access_token, verification="strict")
            except SessionRevoked:
                continue
            accepted += 1
    return accepted


@asynccontextmanager
async def _opened(cluster: EmbeddedCluster, config: Config) -> AsyncIterator[AsyncSessionManager]:
    make = partial(AsyncSessionManager.from_url, cluster.url, config)
    async with make() as manager:
        yield manager


def _is_lonely(cluster: EmbeddedCluster, node: Node) -> bool:
    with cluster.client(node) as client:
        role: list[Any] = client.execute_command("ROLE")
    return role[0] == b"master" and not role[2]


async def _slots_of(cluster: EmbeddedCluster, primary: Node) -> set[int]:
    with cluster.client(primary) as client:
        shards: list[Any] = client.execute_command("CLUSTER SLOTS")
    return {
        slot
        for first, last, owner, *_ in shards
        if owner[1] == primary.port
        for slot in range(first, last + 1)
    }
