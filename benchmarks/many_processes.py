"""The load of many connected processes on the servers: idle, and while somebody writes.

Each watching "process" is a manager with connections of its own; a few operating system processes
hold them all, as their own processor time is not of interest here.
"""

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, KeyRing

_HOLDERS = 4
_SUBJECTS = 200
_UNTIL_IDLE = 5.0
_PATIENCE = 30.0
_READY = "ready\n"


def run(
    *, counts: tuple[int, ...] = (200, 1000), rounds: int = 5, idle_seconds: float = 10.0
) -> Report:
    """Measure with no other process, then with each number of them."""
    rows, goals = [], []
    with EmbeddedCluster(nodes=6) as cluster, TemporaryDirectory() as folder:
        config = make_config("HS256")
        keys = Path(folder) / "keys.json"
        config.keys.save(keys)
        own, _ = asyncio.run(_measure(cluster, config, None, rounds, idle_seconds))
        rows.append(["none", f"{own.write:.0f}", "1", f"{own.idle:.3f}"])
        for count in counts:
            for what, listens in (("that hold sessions", False), ("that listen to all", True)):
                if listens and count != min(counts):
                    continue
                watching = _Watching(cluster.url, keys, config.issuer, count, listens=listens)
                found, _ = asyncio.run(_measure(cluster, config, watching, rounds, idle_seconds))
                ratio = found.write / own.write
                rows.append(
                    [f"{count:,} {what}", f"{found.write:.0f}", f"{ratio:.2f}", f"{found.idle:.3f}"]
                )
                if not listens:
                    name = f"a write with {count:,} processes : with none"
                    goals.append(Goal(name, ratio, at_most=2))
                    name = f"cores of the servers, {count:,} idle processes"
                    goals.append(Goal(name, found.idle - own.idle, at_most=0.1))
        share = asyncio.run(_idle_share(cluster, config, idle_seconds))
        goals.append(Goal("share of a core, one idle process", share, at_most=0.001))
        version = server_version(cluster)
    return Report(
        name="many_processes",
        title="What connected processes cost the servers",
        text=(
            "Managers that are connected to a cluster of six nodes. Each has verified a token of"
            " its own and holds it in memory; two of them hold each session that is written."
            f" Another manager sets claims of {_SUBJECTS} subjects, again and again. *us a write*:"
            " the processor time of all six servers, less what they take while nobody writes,"
            f" divided by the number of writes; the median of {rounds} rounds. *Cores, idle*: what"
            " all servers take while nothing happens. Managers"
            ' that listen with `scope="cluster"` have the servers push all changes, as every'
            " process would without interest in single keys."
        ),
        columns=("other processes", "us a write", "this : none", "cores, idle"),
        rows=rows,
        goals=goals,
        servers=[version],
    )


class _Found:
    """Microseconds of the servers for a write, and their cores while idle."""

    def __init__(self, write: float, idle: float) -> None:
        self.write = write
        self.idle = idle


class _Watching:
    """The managers that are connected meanwhile, in child processes."""

    def __init__(self, url: str, keys: Path, issuer: str, count: int, *, listens: bool) -> None:
        self._arguments = [url, str(keys), issuer, str(count // _HOLDERS)]
        self._listens = listens

    @asynccontextmanager
    async def connected(self, tokens: list[str]) -> AsyncIterator[None]:
        """Keep them connected; two of them hold each of ``tokens``."""
        children = [self._start(number) for number in range(_HOLDERS)]
        try:
            for child in children:
                assert child.stdin is not None and child.stdout is not None
                child.stdin.write(" ".join(tokens) + "\n")
                child.stdin.flush()
            for child in children:
                assert child.stdout is not None
                assert await asyncio.to_thread(child.stdout.readline) == _READY
            yield
        finally:
            for child in children:
                assert child.stdin is not None
                child.stdin.close()
                await asyncio.to_thread(child.wait, _PATIENCE)

    def _start(self, number: int) -> subprocess.Popen[str]:
        role = "listens" if self._listens else "holds" if number < 2 else "is connected"
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.many_processes", *self._arguments, role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


async def _measure(
    cluster: EmbeddedCluster,
    config: Config,
    watching: _Watching | None,
    rounds: int,
    idle_seconds: float,
) -> tuple[_Found, list[str]]:
    loop = asyncio.get_running_loop()
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        tokens = [
            (await manager.login(f"user-{number}")).access_token for number in range(_SUBJECTS)
        ]
        if watching is None:
            return await _rounds(cluster, manager, rounds, idle_seconds, loop), tokens
        async with watching.connected(tokens):
            return await _rounds(cluster, manager, rounds, idle_seconds, loop), tokens


async def _rounds(
    cluster: EmbeddedCluster,
    manager: AsyncSessionManager,
    rounds: int,
    idle_seconds: float,
    loop: asyncio.AbstractEventLoop,
) -> _Found:
    await asyncio.sleep(_UNTIL_IDLE)
    before = _server_seconds(cluster)
    await asyncio.sleep(idle_seconds)
    idle = (_server_seconds(cluster) - before) / idle_seconds
    costs = []
    for number in range(rounds + 1):
        began, before = loop.time(), _server_seconds(cluster)
        for subject in range(_SUBJECTS):
            await manager.claims.set(f"user-{subject}", {"round": number})
        spent = _server_seconds(cluster) - before - idle * (loop.time() - began)
        costs.append(spent / _SUBJECTS * 1e6)
    return _Found(median(costs[1:]), idle)


def _server_seconds(cluster: EmbeddedCluster) -> float:
    """The processor time of all servers until now."""
    total = 0.0
    for node in cluster.nodes:
        with cluster.client(node) as client:
            spent = client.info("cpu")
        total += spent["used_cpu_user"] + spent["used_cpu_sys"]
    return total


async def _idle_share(cluster: EmbeddedCluster, config: Config, seconds: float) -> float:
    async with AsyncSessionManager.from_url(cluster.url, config) as manager:
        token = (await manager.login("idle")).access_token
        await manager.verify(token)
        await asyncio.sleep(_UNTIL_IDLE)
        before = resource.getrusage(resource.RUSAGE_SELF)
        await asyncio.sleep(seconds)
        after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent / seconds


async def _be_connected(url: str, keys: str, issuer: str, count: str, role: str) -> None:
    """A child: ``count`` managers, each with a session of its own."""
    config = Config(issuer=issuer, keys=KeyRing.load(keys))
    tokens = (await asyncio.to_thread(sys.stdin.readline)).split()
    managers = [AsyncSessionManager.from_url(url, config) for _ in range(int(count))]
    for number, manager in enumerate(managers):
        token = (await manager.login(f"watcher-{role}-{number}")).access_token
        await manager.verify(token)
        await manager.verify(token)
        if role == "listens":
            manager.on("banned", scope="cluster")(print)
    if role == "holds":
        for token in tokens:
            await managers[0].verify(token)
    print(_READY, end="", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(manager.close() for manager in managers))


if __name__ == "__main__":
    asyncio.run(_be_connected(*sys.argv[1:]))
