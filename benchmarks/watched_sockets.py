"""The delay between the end of a session and the close of its WebSocket, and what waiting costs.

The cost is that of keeping idle sockets watched.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final

import websockets
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.fixtures import ISSUER, make_config, server_version
from benchmarks.report import Goal, Report
from benchmarks.web import await_port, processor_seconds
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster
from clusterpass.embedded.conf import free_ports
from clusterpass.integrations.starlette import ClusterPass

_AT_ONCE: Final = 100
_PATIENCE: Final = 60.0
_SESSION_ENDED: Final = 4401


def application() -> Starlette:
    """The application of the measured process, by the variables of the environment."""
    cp = ClusterPass.from_env()

    async def wait(websocket: WebSocket) -> None:
        session = await cp.admit(websocket)
        await websocket.accept()
        async with cp.attached(websocket, session):
            async for _ in websocket.iter_text():
                pass

    app = Starlette(routes=[WebSocketRoute("/", wait)], lifespan=cp.lifespan)
    cp.install(app)
    return app


def run(*, sockets: int = 10_000, singles: int = 300, idle_seconds: float = 20.0) -> Report:
    """Measure one process that serves all sockets; another one is all clients, and revokes."""
    config = make_config("HS256")
    with EmbeddedCluster(nodes=6) as cluster, TemporaryDirectory() as folder:
        keys_file = Path(folder) / "keys.json"
        config.keys.save(keys_file)
        port = next(iter(free_ports(1)))
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "--factory", f"{__name__}:application"),
                *("--port", str(port), "--log-level", "error", "--ws-ping-interval", "0"),
            ],
            env={
                **os.environ,
                "CLUSTERPASS_STORE_URL": cluster.url,
                "CLUSTERPASS_ISSUER": ISSUER,
                "CLUSTERPASS_KEYS_FILE": str(keys_file),
            },
        )
        try:
            nodes = [node.pid for node in cluster.nodes if node.pid is not None]
            return asyncio.run(
                _measure(cluster, config, port, (server.pid, nodes), sockets, singles, idle_seconds)
            )
        finally:
            server.terminate()
            server.wait(_PATIENCE)


async def _measure(
    cluster: EmbeddedCluster,
    config: Config,
    port: int,
    processes: tuple[int, list[int]],
    sockets: int,
    singles: int,
    idle_seconds: float,
) -> Report:
    server, nodes = processes
    idle, without = [0.0, 0.0], [0.0, 0.0]
    async with AsyncSessionManager.from_url(cluster.url, config) as sessions:
        url = f"ws://127.0.0.1:{port}/"
        await asyncio.to_thread(await_port, port)
        without = await _idle(server, nodes, idle_seconds)
        async with _opened(sessions, url, sockets) as clients:
            idle = await _idle(server, nodes, idle_seconds)
            subjects = list(clients)
            single = [
                await _closed_after(sessions, clients.pop(subject), subject)
                for subject in subjects[:singles]
            ]
            began = time.perf_counter()
            waiting = asyncio.gather(*(_end(each) for each in clients.values()))
            await sessions.revoke_before()
            acknowledged = time.perf_counter()
            ends = await asyncio.wait_for(waiting, _PATIENCE)
            last = max(ends)
    ranked = quantiles(single, n=100)
    per_socket = [(with_ - bare) / idle_seconds for with_, bare in zip(idle, without, strict=True)]
    return Report(
        name="watched_sockets",
        title="WebSockets that close with their session",
        text=(
            f"One process of uvicorn holds {sockets:,} WebSockets of as many users, each attached "
            "to its session; another process is all of their clients. Single: it revokes one "
            "session after the other; the time is from the call to the close frame (4401) at the "
            "client. All at once: it calls `revoke_before`, which ends every session of the "
            "namespace; the time is from its acknowledgement to the last close frame. Idle: what "
            "the process and the six nodes need more than without any socket, in shares of a core."
        ),
        columns=("", "p50 ms", "p99 ms", "longest ms"),
        rows=[
            [
                f"{singles} single revocations",
                *(f"{1000 * ranked[p]:.1f}" for p in (49, 98)),
                f"{1000 * max(single):.1f}",
            ],
            [
                f"{len(ends):,} at once, after the acknowledgement",
                *(f"{1000 * max(0.0, value - acknowledged):.0f}" for value in _shares(ends)),
                f"{1000 * max(0.0, last - acknowledged):.0f}",
            ],
            [
                f"the same, after the call ({1000 * (acknowledged - began):.0f} ms)",
                *(f"{1000 * (value - began):.0f}" for value in _shares(ends)),
                f"{1000 * (last - began):.0f}",
            ],
        ],
        goals=[
            Goal("p99 in ms, a single one", 1000 * ranked[98], at_most=20),
            Goal(
                "seconds until the last of all is closed", max(0.0, last - acknowledged), at_most=1
            ),
            Goal("idle, % of a core in the process", 100 * per_socket[0], at_most=1),
            Goal("idle, % of a core on the nodes", 100 * per_socket[1], at_most=1),
        ],
        servers=[server_version(cluster)],
    )


def _shares(ends: Iterable[float]) -> tuple[float, float]:
    ranked = quantiles(ends, n=100)
    return ranked[49], ranked[98]


async def _idle(server: int, nodes: list[int], seconds: float) -> list[float]:
    """Processor seconds of the server and of the nodes while nothing happens."""
    await asyncio.sleep(2.0)
    before = [processor_seconds(server), sum(map(processor_seconds, nodes))]
    await asyncio.sleep(seconds)
    after = [processor_seconds(server), sum(map(processor_seconds, nodes))]
    return [later - earlier for earlier, later in zip(before, after, strict=True)]


@asynccontextmanager
async def _opened(
    sessions: AsyncSessionManager, url: str, sockets: int
) -> AsyncIterator[dict[str, ClientConnection]]:
    """A connection of each user, by the user."""
    free = asyncio.Semaphore(_AT_ONCE)
    clients: dict[str, ClientConnection] = {}

    async def open_one(subject: str) -> None:
        async with free:
            token = (await sessions.login(subject)).access_token
            headers = {"Authorization": f"Bearer {token}"}
            clients[subject] = await connect(
                *(url,),
                additional_headers=headers,
                compression=None,
                ping_interval=None,
                open_timeout=_PATIENCE,
                proxy=None,
            )

    await asyncio.gather(*(open_one(f"user-{number}") for number in range(sockets)))
    try:
        yield clients
    finally:
        for client in clients.values():
            client.transport.abort()


async def _end(client: ClientConnection) -> float:
    """When the client received the close frame of a session that has ended."""
    try:
        await client.recv()
    except websockets.ConnectionClosed as closed:
        received = time.perf_counter()
        if closed.rcvd is None or closed.rcvd.code != _SESSION_ENDED:
            raise RuntimeError(f"the socket was closed otherwise: {closed}") from closed
        return received
    raise RuntimeError("the server sent something")


async def _closed_after(
    sessions: AsyncSessionManager, client: ClientConnection, subject: str
) -> float:
    waiting = asyncio.create_task(_end(client))
    await asyncio.sleep(0)
    began = time.perf_counter()
    await sessions.revoke_all(subject)
    return await asyncio.wait_for(waiting, _PATIENCE) - began
