"""``GET /verify`` from memory beside a constant response, and beside other libraries."""

import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fixtures import find_redis_server, make_config, server_version
from benchmarks.report import Goal, Report, microseconds
from benchmarks.web import Load, drive, find_wrk, free_port, log_in, serving
from clusterpass import EmbeddedCluster, SessionManager

OURS, ASGI, RSGI = "clusterpass serve, from memory", "a constant, ASGI", "a constant, RSGI"
USERS = "fastapi-users with Redis, on uvicorn"
EXTENDED = "Flask-JWT-Extended with Redis, on gunicorn"
STORED = "Flask, PyJWT and a stored token, on gunicorn"
AT_LEAST = {ASGI: 0.85, USERS: 20.0, EXTENDED: 30.0}


@dataclass(frozen=True, slots=True)
class _Candidate:
    arguments: Callable[[int], list[str]]
    environment: dict[str, str]
    token: str = ""


def run(*, rounds: int = 5, seconds: int = 3) -> Report:
    """Each in turn, ``rounds`` times for ``seconds``."""
    name, title = "http_verify", "GET /verify over HTTP"
    wrk = find_wrk()
    if wrk is None:
        return Report(name, title, "Not measured: wrk is not installed.", ("",), ())
    server = find_redis_server()
    with (
        EmbeddedCluster(nodes=6) as cluster,
        EmbeddedCluster(nodes=1, server=server) as single,
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        loads: dict[str, list[Load]] = {}
        running = {}
        for label, each in _candidates(cluster, single, Path(folder), stack).items():
            port = free_port()
            process = stack.enter_context(serving(each.arguments(port), port, each.environment))
            running[label] = process, port, each.token or log_in(port)
            drive(wrk, *running[label], seconds=1)
            loads[label] = []
        for _ in range(rounds):
            for label, (process, port, token) in running.items():
                loads[label].append(drive(wrk, process, port, token, seconds=seconds))
        version = server_version(cluster)
    return _report(name, title, loads, version)


def _candidates(
    cluster: EmbeddedCluster, single: EmbeddedCluster, folder: Path, stack: ExitStack
) -> dict[str, _Candidate]:
    config = make_config("EdDSA")
    (folder / "keys.json").unlink(missing_ok=True)
    config.keys.save(folder / "keys.json")
    sessions = stack.enter_context(SessionManager.from_url(cluster.url, config))
    token = sessions.login("alice", device="iPhone").access_token
    ours = {
        "CLUSTERPASS_STORE_URL": cluster.url,
        "CLUSTERPASS_KEYS_FILE": str(folder / "keys.json"),
        "CLUSTERPASS_ISSUER": config.issuer,
    }
    peer = {
        "SECRET": secrets.token_hex(32),
        "REDIS_URL": f"redis://{single.nodes[0].address}",
        "CLUSTER_NODE": str(cluster.nodes[0].address),
    }

    def granian(interface: str) -> Callable[[int], list[str]]:
        target = f"benchmarks.peers.constant:{interface}"
        return lambda port: [
            *("granian", "--interface", interface, "--http", "1", "--no-ws", "--no-log"),
            *("--port", str(port), target),
        ]

    def gunicorn(module: str) -> Callable[[int], list[str]]:
        return lambda port: [
            *("gunicorn", f"benchmarks.peers.{module}:app", "--bind", f"127.0.0.1:{port}"),
            *("--worker-class", "gthread", "--threads", "8", "--log-level", "error"),
        ]

    return {
        OURS: _Candidate(lambda port: ["clusterpass", "serve", "--port", str(port)], ours, token),
        ASGI: _Candidate(granian("asgi"), {}, token),
        RSGI: _Candidate(granian("rsgi"), {}, token),
        USERS: _Candidate(
            lambda port: [
                *("uvicorn", "benchmarks.peers.fastapi_users_redis:app", "--port", str(port)),
                *("--no-access-log", "--log-level", "error"),
            ],
            peer,
        ),
        EXTENDED: _Candidate(gunicorn("flask_jwt_extended_redis"), peer),
        STORED: _Candidate(gunicorn("stored_token"), peer),
    }


def _report(name: str, title: str, loads: dict[str, list[Load]], version: str) -> Report:
    rows, goals, plot = [], [], {}
    for label, taken in loads.items():
        ratios = [
            ours.per_second / other.per_second
            for ours, other in zip(loads[OURS], taken, strict=True)
        ]
        ratio = statistics.median(ratios)
        per_second = statistics.median(load.per_second for load in taken)
        spent = statistics.median(load.processor_seconds for load in taken)
        spread = "1" if label == OURS else f"{ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append([label, f"{per_second:,.0f}", microseconds(spent), spread])
        plot[label] = per_second
        if label in AT_LEAST:
            goals.append(Goal(f"ours : {label}", ratio, at_least=AT_LEAST[label]))
    return Report(
        name=name,
        title=title,
        text=(
            "One worker each, 32 connections, no access logs; the load generator and the "
            "databases share the two cores. Ours answers from memory; the constant has a body "
            "and headers of the same size. fastapi-users keeps its users in memory. The ratio "
            "compares requests per second: the median of the rounds, with the lowest and the "
            "highest. Processor time is that of the server's processes. Measured on "
            f"{time.strftime('%F')}."
        ),
        columns=("server", "requests/s", "processor us/request", "ours : this"),
        rows=rows,
        goals=goals,
        servers=[version],
        plot=plot,
        plot_label="requests per second, one worker",
    )
