"""Divides the CPU time of each request to the service among parts of the code, with ``perf``."""

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.fixtures import server_version
from benchmarks.http_paths import floor, ours, wrk
from benchmarks.http_paths.candidates import Candidate
from benchmarks.report import Report
from benchmarks.sampling import PARTS, REST, parts_of, sampling, shares_of
from benchmarks.web import find_wrk
from clusterpass import EmbeddedCluster

_NAME, _TITLE = "http_profile", "Where the time of a request goes"
_MANY: Final = 50_000
_TEXT = """\
The load of `http_paths`; meanwhile `perf record` samples the one worker 1,999 times a second, with
its threads. us/request is the processor time of the service, divided among the parts by their
samples: of the kernel (sockets, wake-ups, switches between threads), of the HTTP server Granian,
which parses and writes on a thread of its own in Rust, of the event loop, of the interpreter
with all Python code, of the cryptography, of hiredis and pydantic, and of the C library. The
library's refresh is `AsyncSessionManager.refresh` in a process of its own with as many tasks.
Measured on {date}."""


def run(*, seconds: int = 4, many: int = _MANY) -> Report:
    """Drive each path for ``seconds``; ``many``: different tokens at most."""
    found_wrk, perf = find_wrk(), shutil.which("perf")
    columns = ("request", "us/request", *PARTS, REST)
    if found_wrk is None or perf is None:
        return Report(_NAME, _TITLE, "Not measured: wrk or perf is not installed.", columns, ())
    rows: list[list[str]] = []
    found: dict[str, dict[str, float]] = {}
    with (
        EmbeddedCluster(nodes=6) as cluster,
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        service = ours.Ours(cluster, Path(folder), stack)
        candidates = service.start(many)
        lines = next(each for each in candidates if each.label == ours.CACHED).requests.lines()
        candidates.append(floor.start_constant(lines, stack))
        for each in candidates:
            while each.asked < max(1, each.most):
                _drive(found_wrk, each, 1)
            samples = Path(folder) / "samples"
            with sampling(perf, _workers(each.pid), samples, seconds):
                load = _drive(found_wrk, each, seconds + 1)
            shares = shares_of(perf, samples)
            found[each.label] = parts_of(load.server_seconds, shares)
            rows.append(_row(each.label, found[each.label]))
        library = service.library_refresh_seconds(4_000)
        rows.append(["the library's refresh", f"{library * 1e6:.0f}", *[""] * (len(PARTS) + 1)])
        servers = [server_version(cluster)]
    text = _TEXT.format(date=time.strftime("%F")).replace("\n", " ")
    notes = _notes(found, library * 1e6, ours.cached(many))
    return Report(_NAME, _TITLE, text, columns, rows, servers=servers, notes=notes)


def _drive(path: str, candidate: Candidate, seconds: int) -> wrk.Load:
    load = wrk.drive(
        *(path, candidate.pid, candidate.port, candidate.requests, candidate.store),
        seconds=seconds,
        offset=candidate.asked,
    )
    candidate.asked += load.answered.requests
    return load


def _workers(server: int) -> list[int]:
    """The processes that answer."""
    found = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(pid) for pid in found] or [server]


def _row(label: str, parts: dict[str, float]) -> list[str]:
    return [label, f"{sum(parts.values()):.0f}", *(f"{part:.1f}" for part in parts.values())]


def _notes(found: dict[str, dict[str, float]], library: float, many: str) -> list[str]:
    """What limits the figures of ``http_paths``."""
    cached, constant = found[ours.CACHED], found[floor.ASGI]
    refresh, cold = found[ours.REFRESH], found[many]
    outside = refresh["kernel"] + refresh["HTTP server"] + refresh["event loop"]
    own = cached["Python"] + cached[REST]
    least = constant["Python"] + constant[REST]
    return [
        "**Why goals of `http_paths` are missed**, where they are:",
        f"- *{ours.CACHED}* : *{floor.ASGI}*: both pay the kernel and the HTTP server. What remains"
        f" to the interpreter and the C library is {own:.1f} us, of which a constant takes"
        f" {least:.1f}.",
        f"- *{many}*: the same work on memory that no cache of the processor holds;"
        f" {cold['Python'] + cold[REST]:.1f} us instead of {own:.1f}.",
        f"- *{ours.REFRESH}*: the kernel, the HTTP server and the event loop take {outside:.0f} us,"
        f" where the whole refresh takes the library {library:.0f} us with tasks that wait"
        " together, so that requests to the store and their confirmations share packets. Requests"
        " from the network come one by one.",
    ]
