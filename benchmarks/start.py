"""Import times, the time that the service takes to start, and the memory that it then uses."""

import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fixtures import make_config, server_version
from benchmarks.report import Goal, Report
from benchmarks.web import free_port
from clusterpass import EmbeddedCluster, SessionManager

FLOOR = "import asyncio, ssl"
OURS = "from clusterpass import AsyncSessionManager"
SERVE = "clusterpass serve, to the first answer"
IMPORTS = (
    FLOOR,
    OURS,
    "from clusterpass import SessionManager",
    "from clusterpass import TokenVerifier",
    "import clusterpass",
    "import redis.asyncio",
    "import fastapi",
    "import django",
)
LOADED = (
    ("an interpreter", "pass"),
    ("asyncio and ssl", "import asyncio, ssl"),
    ("Granian and uvloop", "import granian, granian.server, uvloop"),
    ("pydantic and its settings", "import pydantic, pydantic_settings"),
    ("cryptography", "from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa"),
    ("joserfc and hiredis", "import joserfc.jwk, joserfc.jws, hiredis"),
    ("the library", "from clusterpass import AsyncSessionManager"),
    ("the service", "import clusterpass.service.app, clusterpass.service.server"),
)
"""What a worker loads, one after the other: each has what stands before it, too."""
_TELL_MEMORY = """
for line in open("/proc/self/smaps_rollup"):
    if line.startswith("Pss:"):
        print(line.split()[1])
"""
_TELL_CLASSES = f"""
import asyncio, dataclasses, ssl, sys, time
made, before, process = [], len(sys.modules), dataclasses._process_class

def timed(*arguments, **options):
    began = time.perf_counter()
    try:
        return process(*arguments, **options)
    finally:
        made.append(time.perf_counter() - began)

dataclasses._process_class = timed
began = time.perf_counter()
{OURS}
print(len(made), sum(made) / (time.perf_counter() - began), len(sys.modules) - before)
"""
_WAIT_SECONDS = 30
_MIB = 1024


@dataclass(frozen=True, slots=True)
class _Memory:
    """Proportional set sizes in MiB: shared pages count in parts."""

    parent: float
    workers: float


def run(*, rounds: int = 20, verifies: int = 1000) -> Report:
    """Each import and one start, in turn, ``rounds`` times."""
    seconds: dict[str, list[float]] = {label: [] for label in (*IMPORTS, SERVE)}
    memories: list[_Memory] = []
    config = make_config("EdDSA")
    with EmbeddedCluster(nodes=6) as cluster, tempfile.TemporaryDirectory() as folder:
        keys_file = Path(folder) / "keys.json"
        config.keys.save(keys_file)
        environment = _environment() | {
            "CLUSTERPASS_STORE_URL": cluster.url,
            "CLUSTERPASS_KEYS_FILE": str(keys_file),
            "CLUSTERPASS_ISSUER": config.issuer,
        }
        with SessionManager.from_url(cluster.url, config) as sessions:
            token = sessions.login("alice", device="iPhone").access_token
        for number in range(rounds + 1):
            took = {statement: _import(statement) for statement in IMPORTS}
            with _started(environment) as (process, connection, took[SERVE]):
                for _ in range(verifies):
                    _verify(connection, token)
                memory = _memory(process.pid)
            if number:  # the first round writes bytecode
                memories.append(memory)
                for label, value in took.items():
                    seconds[label].append(value)
        version = server_version(cluster)
    return _report(seconds, memories, verifies, version)


def _environment() -> dict[str, str]:
    """That of a user: bytecode is kept."""
    return {name: value for name, value in os.environ.items() if "BYTECODE" not in name}


def _import(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=_environment())
    return time.perf_counter() - began


def _modules(statement: str) -> str:
    code = f"{statement}\nimport sys\nprint(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def _started(
    environment: Mapping[str, str],
) -> Iterator[tuple[subprocess.Popen[bytes], http.client.HTTPConnection, float]]:
    """The service, a connection to it, and the seconds until it answered."""
    port = free_port()
    command = [sys.executable, "-m", "clusterpass", "serve", "--port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WAIT_SECONDS)
            try:
                connection.request("GET", "/healthz")
                connection.getresponse().read()
            except OSError:
                if time.perf_counter() - began > _WAIT_SECONDS or process.poll() is not None:
                    raise
                time.sleep(0.002)
            else:
                break
        yield process, connection, time.perf_counter() - began
        connection.close()
    finally:
        process.terminate()
        process.wait(_WAIT_SECONDS)


def _verify(connection: http.client.HTTPConnection, token: str) -> None:
    connection.request("GET", "/verify", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"no measurement: status {response.status}")


def _memory(parent: int) -> _Memory:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return _Memory(_proportional(parent), sum(_proportional(int(pid)) for pid in children))


def _growth() -> list[tuple[str, float]]:
    """What each of LOADED adds to the memory of a process, in MiB."""
    found, code, before = [], "", 0.0
    for name, statement in LOADED:
        code += f"{statement}\n"
        done = subprocess.run(
            [sys.executable, "-c", code + _TELL_MEMORY],
            check=True,
            capture_output=True,
            text=True,
            env=_environment(),
        )
        now = int(done.stdout) / _MIB
        found.append((name, now - before))
        before = now
    return found


def _data_classes() -> tuple[int, float, int]:
    """How many data classes the import makes, their share of its time, and the modules it loads."""
    command = [sys.executable, "-c", _TELL_CLASSES]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=_environment())
    made, share, modules = done.stdout.split()
    return int(made), float(share), int(modules)


def _notes(growth: list[tuple[str, float]], workers: float) -> list[str]:
    loaded = sum(mib for _, mib in growth)
    ours = growth[-1][1] + growth[-2][1]
    made, share, modules = _data_classes()
    return [
        f"**What the time of `{OURS}` is**, beside that of `{FLOOR}`: it loads {modules} modules,"
        f" and {share:.0%} of the time goes to making {made} data classes, each of which Python"
        " compiles anew in every process.",
        "**What the memory of a worker is**, in MiB that each adds to a process that has loaded the"
        f" ones before: {', '.join(f'{name} {mib:.1f}' for name, mib in growth)}; in all"
        f" {loaded:.1f}, of which {ours:.1f} are ours. Where it runs, it shares pages"
        " with its supervisor, and has connections, threads and what requests have left:"
        f" {workers:.1f}.",
    ]


def _proportional(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / _MIB for line in lines if line.startswith("Pss:"))


def _report(
    seconds: Mapping[str, list[float]], memories: list[_Memory], verifies: int, version: str
) -> Report:
    ratios = {
        label: [mine / floor for mine, floor in zip(values, seconds[FLOOR], strict=True)]
        for label, values in seconds.items()
    }
    rows = []
    for label, values in seconds.items():
        low, middle, high = statistics.quantiles(ratios[label], n=4)
        rows.append(
            [
                label,
                f"{statistics.median(values) * 1000:.0f}",
                "1" if label == FLOOR else f"{middle:.2f} ({low:.2f} to {high:.2f})",
                "" if label == SERVE else _modules(label),
            ]
        )
    parent = statistics.median(memory.parent for memory in memories)
    workers = statistics.median(memory.workers for memory in memories)
    return Report(
        name="start",
        title="Imports, the start of the service, and its memory",
        text=(
            "Each line is a new process, from its start to its end; that of the service to its "
            "first answer to GET /healthz, polled, with a cluster that runs already. Bytecode is "
            f"there. After {verifies:,} requests to GET /verify the supervising process has "
            f"{parent:.0f} MiB and its one worker {workers:.0f} MiB (proportional set sizes)."
        ),
        columns=("process", "ms", "this : the first", "modules loaded"),
        rows=rows,
        goals=[
            Goal(f"{OURS} : {FLOOR}", statistics.median(ratios[OURS]), at_most=3),
            Goal(f"{SERVE} : {FLOOR}", statistics.median(ratios[SERVE]), at_most=12),
            Goal("MiB in both processes", parent + workers, at_most=50),
        ],
        servers=[version],
        notes=_notes(_growth(), workers),
    )
