"""The memory that an entry of the near cache takes, with 50,000 and with 100,000 entries.

Each size is measured in its own process, as the growth of resident memory while a real manager
verifies and keeps real tokens of real sessions.
"""

import asyncio
import gc
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, KeyRing

_AT_ONCE = 100
_PAGE = 4096
_MOST = 600
_GOAL = "bytes an entry beside the text of its token, {:,} entries"


def run(*, sizes: tuple[int, ...] = (50_000, 100_000)) -> Report:
    """Fill a cache of each size."""
    rows, goals = [], []
    with EmbeddedCluster(nodes=3) as cluster, TemporaryDirectory() as folder:
        keys_file = Path(folder) / "keys.json"
        make_config("EdDSA").keys.save(keys_file)
        version = server_version(cluster)
        for size in sizes:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.near_memory"),
                    *(cluster.url, str(keys_file), str(size)),
                ],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            found = json.loads(done.stdout)
            each = found["grown"] / found["entries"]
            goals.append(Goal(_GOAL.format(size), each - found["token"], at_most=_MOST))
            rows.append(
                [
                    f"{found['entries']:,}",
                    f"{each:,.0f}",
                    f"{found['reckoned'] / found['entries']:,.0f}",
                    f"{found['grown'] / 2**20:,.0f}",
                    f"{found['token']}",
                ]
            )
    return Report(
        name="near_memory",
        title="Memory of the near cache",
        text=(
            "An `AsyncSessionManager` logs users in, each with one session, and verifies each "
            "token. The growth of the process' resident memory, divided by the number of "
            "entries; and the estimate of `stats().cache.bytes`, which `cache_bytes` limits. "
            "Tokens are signed with EdDSA; the first 4,096 entries hold the text of theirs, the "
            "others a digest of it. The goal leaves the text out of the account, wherever it is."
        ),
        columns=("entries", "bytes an entry", "reckoned", "MiB in all", "characters a token"),
        rows=rows,
        goals=goals,
        servers=[version],
    )


async def _fill(url: str, keys_file: str, size: int) -> None:
    config = Config(
        issuer="https://auth.example",
        keys=KeyRing.load(keys_file),
        cache_entries=size,
        cache_bytes=2**40,
        access_lifetime=86_400,
        history_entries=0,
        index_online=False,
    )
    async with AsyncSessionManager.from_url(f"{url}?replica_wait=0", config) as manager:
        token = (await manager.login("first")).access_token
        await manager.verify(token)
        gc.collect()
        before = _resident()

        async def some(first: int) -> None:
            for number in range(first, size, _AT_ONCE):
                token = (await manager.login(f"user-{number}")).access_token
                await manager.verify(token)

        await asyncio.gather(*(some(first) for first in range(1, _AT_ONCE + 1)))
        gc.collect()
        cache = manager.stats().cache
        found = {
            "entries": cache.entries,
            "grown": _resident() - before,
            "reckoned": cache.bytes,
            "token": len(token),
        }
        print(json.dumps(found))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


if __name__ == "__main__":
    asyncio.run(_fill(sys.argv[1], sys.argv[2], int(sys.argv[3])))
