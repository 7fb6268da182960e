"""Requests per second for one greeting, by HTTP server and framework: one worker, driven by wrk."""

import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.report import Report

APPLICATIONS = {"bare": "bare ASGI", "starlette": "Starlette route", "fastapi": "FastAPI route"}
SERVERS = ("granian", "uvicorn")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_WAIT_SECONDS = 20


def run(*, rounds: int = 3, seconds: int = 2) -> Report:
    """Each application on both servers, in turn, ``rounds`` times for ``seconds``."""
    name, title = "servers", "HTTP servers and frameworks"
    wrk = shutil.which("wrk")
    if wrk is None:
        return Report(name, title, "Not measured: wrk is not installed.", ("",), ())
    rows = []
    for application, label in APPLICATIONS.items():
        with _serving("granian", application) as granian, _serving("uvicorn", application) as other:
            ratios = [
                _rate(wrk, granian, seconds) / _rate(wrk, other, seconds) for _ in range(rounds)
            ]
        low, high = min(ratios), max(ratios)
        rows.append([label, f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"])
    return Report(
        name=name,
        title=title,
        text=(
            "Requests per second of a route that returns a greeting: one worker, 32 "
            "connections, no access logs, the load generator on the same cores. The median of "
            f"{rounds} rounds, with the lowest and the highest."
        ),
        columns=("application", "granian : uvicorn"),
        rows=rows,
    )


def _rate(wrk: str, port: int, seconds: int) -> float:
    command = [wrk, "-t1", "-c32", f"-d{seconds}s", f"http://127.0.0.1:{port}/hello"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = _RATE.search(output)
    if found is None or "Non-2xx" in output:
        raise RuntimeError(f"no measurement: {output}")
    return float(found[1])


@contextmanager
def _serving(server: str, application: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    target = f"benchmarks.server_apps:{application}"
    options = {
        "granian": ["--interface", "asgi", "--http", "1", "--no-ws", "--no-log", target],
        "uvicorn": ["--no-access-log", "--log-level", "error", target],
    }
    command = [sys.executable, "-m", server, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([*command, *options[server]])
    try:
        _await_port(port)
        yield port
    finally:
        process.terminate()
        process.wait(_WAIT_SECONDS)


def _await_port(port: int) -> None:
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
