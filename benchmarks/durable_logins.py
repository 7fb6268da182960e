"""Logins that a replica has confirmed: one WAIT for a batch beside one for each login."""

import asyncio
import itertools
from typing import Any

import redis.asyncio
from redis.crc import key_slot

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report, microseconds
from benchmarks.timing import Times, measure_async
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, TokenPair
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.sessions.opening import LoginOptions

AT_LEAST = 3.0
CALLERS = 50
_OURS, _PEER = "clusterpass", "one WAIT for each login"


def run(*, rounds: int = 20, calls: int = 500) -> Report:
    """Measure on six nodes."""
    config = make_config("HS256")
    with EmbeddedCluster(nodes=6) as cluster:
        times = asyncio.run(_measure(cluster, config, rounds, calls))
        version = server_version(cluster)
    ratio = times.ratio(_PEER, _OURS)
    return Report(
        name="durable_logins",
        title="Logins that a replica has confirmed",
        text=(
            f"{CALLERS} tasks log users in; every login is asserted to be durable. The peer runs "
            "the same flow (the same script call, the same tokens made and signed), and sends the "
            "script and a `WAIT 1` in one pipeline of redis-py, on a connection that no other "
            "login uses meanwhile. Times are all that was done divided by the logins, in us."
        ),
        columns=("tasks", "clusterpass", "one WAIT for each login", "ratio"),
        rows=[
            [
                str(CALLERS),
                microseconds(times.median(_OURS)),
                microseconds(times.median(_PEER)),
                str(ratio),
            ]
        ],
        goals=[
            Goal("durable logins a second : one WAIT for each", ratio.median, at_least=AT_LEAST)
        ],
        servers=[version],
    )


async def _measure(cluster: EmbeddedCluster, config: Config, rounds: int, calls: int) -> Times:
    numbers = itertools.count()
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        peer = await _Peer.open(cluster, manager)

        async def ours() -> None:
            pair = await manager.login(f"user-{next(numbers)}")
            assert pair.durable

        async def theirs() -> None:
            pair = await peer.login(f"user-{next(numbers)}")
            assert pair.durable

        try:
            return await measure_async(
                {_OURS: ours, _PEER: theirs}, rounds=rounds, calls=calls, callers=CALLERS
            )
        finally:
            await peer.close()


class _Peer:
    """Runs our flow of a login over redis-py."""

    def __init__(self, manager: AsyncSessionManager, clients: dict[int, Any]) -> None:
        self._flows = manager._flows
        self._clients = clients

    @classmethod
    async def open(cls, cluster: EmbeddedCluster, manager: AsyncSessionManager) -> "_Peer":
        """Connect to the primary of each slot."""
        node = cluster.nodes[0]
        routing = redis.asyncio.RedisCluster(host=node.host, port=node.port)
        await routing.initialize()
        by_port: dict[int, Any] = {}
        clients = {}
        for slot in range(16_384):
            port = int(routing.nodes_manager.get_node_from_slot(slot).port)
            if port not in by_port:
                by_port[port] = redis.asyncio.Redis(port=port, max_connections=CALLERS)
            clients[slot] = by_port[port]
        await routing.aclose()
        await manager.login("user")  # the time of revoke_before is known from here on
        return cls(manager, clients)

    async def login(self, subject: str) -> TokenPair:
        """One login, one WAIT."""
        flow = self._flows.opening.login(subject, LoginOptions())
        call: ScriptCall[Any] = next(flow)
        while True:
            client = self._clients[key_slot(call.keys[0])]
            pipeline = client.pipeline(transaction=False)
            script = call.script.sha1, len(call.keys), *call.keys, *call.arguments
            pipeline.execute_command("EVALSHA", *script)
            if call.script.writes:
                pipeline.execute_command("WAIT", 1, 250)
            raw, *confirmed = await pipeline.execute()
            try:
                call = flow.send(Answer(call.read(raw), confirmed == [1]))
            except StopIteration as stop:
                pair: TokenPair = stop.value
                return pair

    async def close(self) -> None:
        """Close all connections."""
        for client in {id(client): client for client in self._clients.values()}.values():
            await client.aclose()
