"""Runs wrk against a server at full speed, over 32 connections.

The results are requests per second, and the CPU time of a request.
"""

import os
import re
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, Protocol

from benchmarks.http_paths.load_requests import Requests
from benchmarks.web import processor_seconds

_SCRIPT = Path(__file__).with_name("load.lua")
_CONNECTIONS: Final = 32
_LINE = re.compile(
    r"^MEASURED requests=(\d+) microseconds=(\d+) failed=(\d+) p99=\d+(?: closed=(\d+))?$", re.M
)


class Spending(Protocol):
    """A dependency of a server whose CPU time counts, such as a store."""

    def processor_seconds(self) -> float:
        """The CPU seconds used so far."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The number of requests that wrk counted, and the seconds they took."""

    requests: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Requests."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """The results of one load; seconds of CPU time are for one request."""

    answered: Answered
    server_seconds: float
    """Of all processes of the server."""
    store_seconds: float
    """Of all nodes of the store, or of what else the server asks."""
    server_share: float
    """Of a core, while it lasted."""
    generator_share: float
    """Of a core: near 1, wrk was the limit."""
    others_share: float = 0.0
    """Of a core, what other processes of the machine used: a figure of a quiet one is near 0."""


def parse(output: str, most_closed: float = 0) -> Answered:
    """Parse the last line of load.lua.

    ``most_closed``: the share of requests on which the server may close the connection, as some do
    with one that waits for its next request. Raises RuntimeError when there is no line, when
    nothing was answered, and when one request failed otherwise: refusals are cheap, and would look
    like speed.
    """
    found = _LINE.search(output)
    if found is None:
        raise RuntimeError(f"wrk measured nothing: {output.strip()[-500:]}")
    requests, microseconds, failed, closed = (int(number or 0) for number in found.groups())
    is_usual = closed <= most_closed * requests
    if failed > (closed if is_usual else 0) or not requests or not microseconds:
        raise RuntimeError(f"{failed} of {requests} requests failed")
    return Answered(requests, microseconds / 1e6)


def drive(
    wrk: str,
    pid: int,
    port: int,
    requests: Requests,
    store: Spending,
    *,
    seconds: int,
    offset: int,
    most_closed: float = 0,
) -> Load:
    """Ask the server at ``port`` for ``seconds``, from line ``offset`` on.

    ``most_closed``: as for :func:`parse`.
    """
    with NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{line}\n" for line in requests.lines())
        file.flush()
        command = [
            *(wrk, "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", str(_SCRIPT)),
            *(("-H", f"Host: {requests.host}") if requests.host else ()),
            *(f"http://127.0.0.1:{port}{requests.path}", "--"),
            *(requests.mode, requests.method, file.name, str(offset)),
        ]
        began = time.monotonic()
        before = *_spent(pid, store), machine_seconds()
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = *_spent(pid, store), machine_seconds()
        took = time.monotonic() - began
    answered = parse(output, most_closed)
    server, nodes, generator, machine = (
        late - early for early, late in zip(before, after, strict=True)
    )
    return Load(
        answered=answered,
        server_seconds=server / answered.requests,
        store_seconds=nodes / answered.requests,
        server_share=server / took,
        generator_share=generator / took,
        others_share=max(0.0, machine - server - nodes - generator) / took,
    )


def busy_seconds(stat: str, ticks: int) -> float:
    """The busy time of all processors, by ``stat``, the text of ``/proc/stat``.

    The time of guests is part of that of users; idle time and waiting for disks are no work.
    """
    user, nice, system, _, _, interrupts, soft_interrupts = map(int, stat.split()[1:8])
    return (user + nice + system + interrupts + soft_interrupts) / ticks


def machine_seconds() -> float:
    """Processor seconds of everything on this machine so far."""
    return busy_seconds(Path("/proc/stat").read_text(), os.sysconf("SC_CLK_TCK"))


def _spent(pid: int, store: Spending) -> tuple[float, float, float]:
    return processor_seconds(pid), store.processor_seconds(), _of_children()


def _of_children() -> float:
    """Processor seconds of the processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
