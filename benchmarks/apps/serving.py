"""Runs an app on two servers over one store, counts its round trips, and takes the store away."""

import os
import secrets
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.apps.candidates import ROOT, Candidate
from benchmarks.web import await_port, free_port
from clusterpass import EmbeddedCluster
from clusterpass.cli.local_setup import write_keys

SCRIPT_CALLS: Final = ("evalsha", "evalsha_ro", "eval", "eval_ro")
"""What only clients send; what the scripts themselves call stays inside a node."""
REFRESH_GRACE: Final = 5
"""Seconds for which ClusterPass takes a refresh for a retry; the shortest there is."""
_WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Served:
    """Two processes of one app."""

    candidate: Candidate
    urls: tuple[str, str]
    cluster: EmbeddedCluster
    folder: Path
    patience: float = 1.0
    """A factor of the times for which a check waits for what may still come."""

    def round_trips(self) -> int:
        """The round trips of both processes to the store and the database so far."""
        statements = (self.folder / "count").stat().st_size
        return statements + (_script_calls(self.cluster) if self.candidate.ours else 0)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """An outage of the session store."""
        if self.candidate.ours:
            for node in self.cluster.nodes:
                self.cluster.pause(node)
            try:
                yield
            finally:
                for node in self.cluster.nodes:
                    self.cluster.resume(node)
                self.cluster.wait_until_healthy(_WAIT_SECONDS)
            return
        locking = sqlite3.connect(self.folder / "database", isolation_level=None)
        try:
            locking.execute("BEGIN EXCLUSIVE")
            yield
            locking.execute("ROLLBACK")
        finally:
            locking.close()


@contextmanager
def serve(candidate: Candidate, cluster: EmbeddedCluster) -> Iterator[Served]:
    """``candidate`` on two servers; sessions on ``cluster``, or in a database of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "count").touch()
        write_keys(folder / "keys.json")
        driver = "sqlite+aiosqlite" if candidate.server == "asgi" else "sqlite"
        environment = {
            **os.environ,
            "CLUSTERPASS_STORE_URL": f"{cluster.url}?namespace={candidate.name}",
            "CLUSTERPASS_ISSUER": "https://shop.example",
            "CLUSTERPASS_KEYS_FILE": str(folder / "keys.json"),
            "CLUSTERPASS_REFRESH_GRACE": str(REFRESH_GRACE),
            "SECRET": secrets.token_hex(32),
            "DATABASE_FILE": str(folder / "database"),
            "DATABASE_URL": f"{driver}:///{folder / 'database'}",
            "SQL_COUNT": str(folder / "count"),
        }
        first, second = (
            stack.enter_context(_process(candidate.name, environment)) for _ in range(2)
        )
        yield Served(candidate, (first, second), cluster, folder)


@contextmanager
def _process(name: str, environment: dict[str, str]) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.apps.serve_app", name, str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if "VERBOSE" not in os.environ else None,
    )
    try:
        await_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(_WAIT_SECONDS)


def _script_calls(cluster: EmbeddedCluster) -> int:
    calls = 0
    for node in cluster.nodes:
        with cluster.client(node) as client:
            stats: dict[str, dict[str, int]] = client.info("commandstats")
        calls += sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in SCRIPT_CALLS)
    return calls
