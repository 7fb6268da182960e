"""Response times when all users return at once, after a pause without requests.

Sessions stay alive by being used, so by then a use of every session has to be recorded in the
store.
"""

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.fixtures import server_version
from benchmarks.http_paths import half_rate, wrk
from benchmarks.http_paths.candidates import Candidate
from benchmarks.http_paths.ours import Ours
from benchmarks.report import Report
from benchmarks.web import find_wrk, processor_seconds
from clusterpass import EmbeddedCluster

_INTERVAL: Final = 60
"""Seconds: ``activity_interval``, whose default would take a pause of five minutes."""
_LOADING_RATE: Final = 2_000.0
_LOADING_SECONDS: Final = 2.0
_SECONDS: Final = 2.0
"""How long each measurement takes."""
_MEASUREMENTS: Final = 10
_COLUMNS: Final = ("the users", "p99 ms, first 2 s", "p99 ms, worst 2 s", "us/request")


@dataclass(frozen=True, slots=True)
class _Seen:
    p99: list[float]
    """Seconds, of each measurement in turn."""
    us: float
    """Microseconds of the server's processor time for each request."""


def run(*, tokens: int = 50_000, measurements: int = _MEASUREMENTS) -> Report:
    """Measure with so many tokens, one for each user."""
    program = find_wrk()
    if program is None:
        return _report([], "wrk is not installed, so nothing was measured.", [])
    with (
        EmbeddedCluster(nodes=6) as cluster,
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        server = Ours(cluster, Path(folder), stack).serve_from_memory(
            tokens, CLUSTERPASS_ACTIVITY_INTERVAL=str(_INTERVAL)
        )
        while server.asked < tokens:
            _ask(server, _LOADING_RATE, _LOADING_SECONDS)
        load = wrk.drive(
            *(program, server.pid, server.port, server.requests, server.store),
            seconds=5,
            offset=server.asked,
        )
        rate = half_rate.half(load.answered.per_second)
        time.sleep(_INTERVAL + 5)
        after_a_pause = _measure(server, rate, measurements)
        # The use of each was recorded a moment ago, and is not due yet.
        at_once = _measure(server, rate, max(1, measurements // 2))
        version = server_version(cluster)
    text = (
        f"One worker of `clusterpass serve`, {tokens:,} tokens in memory, `activity_interval`"
        f" {_INTERVAL} s. They rest for {_INTERVAL + 5} s, in which nobody asks, and are then"
        f" asked for in turn, {rate:,.0f} times a second: half of what wrk gets with them. The p99"
        f" is that of {_SECONDS:.0f} s each, counted from when a request was due."
    )
    rows = [
        _row("come back after the pause", after_a_pause),
        _row("go on", at_once),
    ]
    return _report(rows, text, [version])


def _ask(server: Candidate, rate: float, seconds: float) -> half_rate.Latency:
    found = half_rate.measure(server.port, server.requests, rate, seconds, server.asked)
    server.asked += int(rate * seconds)
    return found


def _measure(server: Candidate, rate: float, measurements: int) -> _Seen:
    before, asked = processor_seconds(server.pid), server.asked
    p99 = [_ask(server, rate, _SECONDS).p99 for _ in range(measurements)]
    spent = processor_seconds(server.pid) - before
    return _Seen(p99, spent / (server.asked - asked) * 1e6)


def _row(label: str, seen: _Seen) -> list[str]:
    first, worst = (f"{1000 * each:.1f}" for each in (seen.p99[0], max(seen.p99)))
    return [label, first, worst, f"{seen.us:.0f}"]


def _report(rows: list[list[str]], text: str, servers: list[str]) -> Report:
    return Report(
        name="returning_users",
        title="Users who all come back at once",
        text=text,
        columns=_COLUMNS,
        rows=rows,
        servers=servers,
    )
