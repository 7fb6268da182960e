"""Logins confirmed by a replica: one WAIT for each batch, compared with one WAIT for each login."""

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

AT_LEAST = 3.0
CALLERS = 50
_OURS = "clusterpass"
_TOGETHER = "one WAIT for each login, in one pipeline with it"
_AFTER = "one WAIT for each login, as a second call"


def run(*, rounds: int = 20, calls: int = 500) -> Report:
    """Measure on six nodes."""
    config = make_config("HS256")
    with EmbeddedCluster(nodes=6) as cluster:
        times = asyncio.run(_measure(cluster, config, rounds, calls))
        version = server_version(cluster)
    ratios = {peer: times.ratio(peer, _OURS) for peer in (_TOGETHER, _AFTER)}
    return Report(
        name="durable_logins",
        title="Logins that a replica has confirmed",
        text=(
            f"{CALLERS} tasks log users in; every login is asserted to be durable. The peers "
            "run the same flow (the same script call, the same tokens made and signed) over "
            "redis-py, and wait for each login separately, on a connection that no other login "
            "uses meanwhile. Times are the total time divided by the number of logins, in us. "
            "The flow itself takes the same time for all, about two thirds of ours, and so "
            "limits the ratio."
        ),
        columns=("candidate", "us a login", "this : ours"),
        rows=[
            [_OURS, microseconds(times.median(_OURS)), "1"],
            *(
                [peer, microseconds(times.median(peer)), str(ratio)]
                for peer, ratio in ratios.items()
            ),
        ],
        goals=[
            Goal(f"durable logins a second : {peer}", ratio.median, at_least=AT_LEAST)
            for peer, ratio in ratios.items()
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

        async def theirs(*, at_once: bool) -> None:
            pair = await peer.login(f"user-{next(numbers)}", at_once=at_once)
            assert pair.durable

        candidates: dict[str, Any] = {
            _OURS: ours,
            _TOGETHER: lambda: theirs(at_once=True),
            _AFTER: lambda: theirs(at_once=False),
        }
        try:
            return await measure_async(candidates, rounds=rounds, calls=calls, callers=CALLERS)
        finally:
            await peer.close()


class _Peer:
    """Runs our flow of a login over redis-py."""

    def __init__(self, manager: AsyncSessionManager, ports: list[int]) -> None:
        self._flows = manager._flows
        self._ports = ports
        self._idle: dict[int, list[Any]] = {port: [] for port in ports}

    @classmethod
    async def open(cls, cluster: EmbeddedCluster, manager: AsyncSessionManager) -> "_Peer":
        """Learn the primary of each slot."""
        node = cluster.nodes[0]
        routing = redis.asyncio.RedisCluster(host=node.host, port=node.port)
        await routing.initialize()
        find = routing.nodes_manager.get_node_from_slot
        ports = [int(find(slot).port) for slot in range(16_384)]
        await routing.aclose()
        await manager.login("user")  # the time of revoke_before is known from here on
        return cls(manager, ports)

    async def login(self, subject: str, *, at_once: bool) -> TokenPair:
        """One login, one WAIT: ``at_once`` in one pipeline, otherwise after it."""
        flow = self._flows.login.login(subject, {})
        call = next(flow)
        while True:
            assert isinstance(call, ScriptCall)  # a login never rests
            raw, confirmed = await self._send(call, at_once=at_once)
            try:
                call = flow.send(Answer(call.read(raw), confirmed == 1))
            except StopIteration as stop:
                pair: TokenPair = stop.value
                return pair

    async def _send(self, call: ScriptCall[Any], *, at_once: bool) -> tuple[Any, int]:
        port = self._ports[key_slot(call.keys[0])]
        idle = self._idle[port]
        client = idle.pop() if idle else redis.asyncio.Redis(port=port, max_connections=1)
        script = call.script.sha1, len(call.keys), *call.keys, *call.arguments
        if at_once and call.script.writes:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("EVALSHA", *script)
            pipeline.execute_command("WAIT", 1, 250)
            raw, confirmed = await pipeline.execute()
        else:
            raw = await client.execute_command("EVALSHA", *script)
            confirmed = await client.execute_command("WAIT", 1, 250) if call.script.writes else 0
        idle.append(client)
        return raw, confirmed

    async def close(self) -> None:
        """Close all connections."""
        for clients in self._idle.values():
            for client in clients:
                await client.aclose()
