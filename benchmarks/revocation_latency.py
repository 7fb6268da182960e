"""The delay until another process refuses a revoked session, when idle and under full load."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, KeyRing, SessionManager
from clusterpass.model.authentication_errors import SessionRevoked

BOUND = 0.5
MOST_IDLE = 0.005
_BUSY_TASKS = 50
_PATIENCE = 20.0


def run(*, revocations: int = 300) -> Report:
    """Measure between two processes, on the clock that both share."""
    rows, goals = [], []
    with EmbeddedCluster(nodes=6) as cluster, TemporaryDirectory() as folder:
        config = make_config("HS256")
        keys_file = Path(folder) / "keys.json"
        config.keys.save(keys_file)
        version = server_version(cluster)
        for what, most in (("idle", MOST_IDLE), ("under full load", BOUND)):
            taken = _measure(cluster.url, config, keys_file, what, revocations)
            percentiles = quantiles(taken, n=100)
            rows.append([what, *(f"{percentiles[p] * 1000:.2f}" for p in (49, 89, 98))])
            rows[-1].append(f"{max(taken) * 1000:.2f}")
            goals.append(Goal(f"p99 in ms, {what}", percentiles[98] * 1000, at_most=most * 1000))
    return Report(
        name="revocation_latency",
        title="How fast another process sees a revocation",
        text=(
            f"One process revokes {revocations} sessions, one after the other; another process "
            "holds each of them in memory and verifies it again and again. Milliseconds from "
            "the acknowledgement of the revocation to the first refusal, including the time of "
            "that verify; 0 where the refusal came before the acknowledgement. Under full load "
            f"the verifying process runs {_BUSY_TASKS} more tasks that verify as fast as they "
            "can, while the revoking one logs users in and out."
        ),
        columns=("the process that verifies", "p50 ms", "p90 ms", "p99 ms", "longest ms"),
        rows=rows,
        goals=goals,
        servers=[version],
    )


def _measure(url: str, config: Config, keys_file: Path, load: str, count: int) -> list[float]:
    arguments = [url, str(keys_file), config.issuer, "busy" if load != "idle" else "idle"]
    watcher = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.revocation_latency", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdin is not None and watcher.stdout is not None
    taken = []
    try:
        with SessionManager.from_url(url, config) as manager:
            for number in range(count):
                pair = manager.login(f"user-{number % 50}")
                print(pair.access_token, file=watcher.stdin, flush=True)
                assert watcher.stdout.readline() == "held\n"
                if load != "idle":
                    manager.logout(manager.login("somebody else").access_token)
                manager.revoke_all(pair.subject)
                acknowledged = time.monotonic()
                refused = float(json.loads(watcher.stdout.readline()))
                taken.append(max(0.0, refused - acknowledged))
    finally:
        watcher.stdin.close()
        watcher.wait(_PATIENCE)
        watcher.stdout.close()
    return taken


async def _watch(url: str, keys_file: str, issuer: str, load: str) -> None:
    """The other process: a token for each line that comes in."""
    config = Config(issuer=issuer, keys=KeyRing.load(keys_file))
    loop = asyncio.get_running_loop()
    async with AsyncSessionManager.from_url(url, config) as manager:
        busy = [
            asyncio.create_task(_keep_busy(manager, number))
            for number in range(_BUSY_TASKS if load == "busy" else 0)
        ]
        while token := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            while manager.recall(token) is None:
                await manager.verify(token)
                await asyncio.sleep(0.001)
            print("held", flush=True)
            print(json.dumps(await _refusal(manager, token, load)), flush=True)
        for task in busy:
            task.cancel()


async def _keep_busy(manager: AsyncSessionManager, number: int) -> None:
    token = (await manager.login(f"busy-{number}")).access_token
    while True:
        for _ in range(20):
            await manager.verify(token)
        await manager.verify(token, verification="strict")


async def _refusal(manager: AsyncSessionManager, token: str, load: str) -> float:
    while True:
        try:
            await manager.verify(token)
        except SessionRevoked:
            return time.monotonic()
        await asyncio.sleep(0 if load == "busy" else 0.0002)


if __name__ == "__main__":
    asyncio.run(_watch(*sys.argv[1:]))
