"""Starts servers with one worker and drives them with wrk: request rate, and CPU of the worker."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_COUNT = re.compile(r"(\d+) requests in")
_WAIT_SECONDS = 20
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """The requests per second and the CPU time of a worker under load."""

    per_second: float
    processor_seconds: float
    """For one request, all processes of the server together."""


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_wrk() -> str | None:
    """The load generator, if it is installed."""
    return shutil.which("wrk")


@contextmanager
def serving(
    arguments: list[str], port: int, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, a module of this Python, that listens on ``port``; ended by its own id."""
    with running([sys.executable, "-m", *arguments], port, environment) as process:
        yield process


@contextmanager
def running(
    command: list[str], port: int, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of any kind that listens on ``port``; ended by its own id."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        await_port(port)
        yield process
    finally:
        process.terminate()
        process.wait(_WAIT_SECONDS)


def drive(
    wrk: str, process: subprocess.Popen[bytes], port: int, token: str, *, seconds: int
) -> Load:
    """Ask ``/verify`` with ``token`` for ``seconds``, over 32 connections."""
    url = f"http://127.0.0.1:{port}/verify"
    before = processor_seconds(process.pid)
    output = subprocess.run(
        [wrk, "-t1", "-c32", f"-d{seconds}s", "-H", f"Authorization: Bearer {token}", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = processor_seconds(process.pid) - before
    rate, count = _RATE.search(output), _COUNT.search(output)
    if rate is None or count is None or "Non-2xx" in output:
        raise RuntimeError(f"no measurement: {output}")
    return Load(float(rate[1]), spent / int(count[1]))


def log_in(port: int) -> str:
    """Log in to a peer, and return the access token."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/login", method="POST", data=b"")
    with urllib.request.urlopen(request, timeout=5) as answer:
        token: str = json.load(answer)["access_token"]
        return token


def processor_seconds(pid: int) -> float:
    """The CPU seconds of a process and its descendants, including those that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / _TICKS
    children = [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return own + sum(map(processor_seconds, children))


def await_port(port: int) -> None:
    """Return once somebody listens on ``port``; OSError if nobody does for 20 seconds."""
    give_up_at = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)
        else:
            return
