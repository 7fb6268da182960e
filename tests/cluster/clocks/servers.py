"""Servers that run under libfaketime: the clock of each is wrong by what a file in its folder says.

Only the wall clock is changed. The monotonic clock, by which libraries measure intervals, is not.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.embedded import Node
from clusterpass.embedded.binary import find_server

HANGING: Final = 40.0
_FILE: Final = "clock"
_NEAR: Final = 2.0
_LIBRARIES: Final = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/*MT.so.1")


def installed_library() -> Path | None:
    """The library of Debian's package faketime; None where that is not installed."""
    for pattern in _LIBRARIES:
        for found in sorted(Path("/").glob(pattern.lstrip("/"))):
            return found
    return None


def find_library() -> Path:
    """The library of faketime, which ``make test-setup`` installs; the test fails without it."""
    return installed_library() or pytest.fail("libfaketime is not installed: run `make test-setup`")


def make_server(folder: Path) -> Path:
    """A program in ``folder`` that runs the bundled server with the clock of its own folder."""
    program = folder / "server-with-a-clock"
    program.write_text(
        "#!/bin/sh\n"
        f'[ -e {_FILE} ] || echo "+0" > {_FILE}\n'
        f'export FAKETIME_TIMESTAMP_FILE="$PWD/{_FILE}" FAKETIME_CACHE_DURATION=1\n'
        "export FAKETIME_DONT_FAKE_MONOTONIC=1\n"
        f'LD_PRELOAD={find_library()} exec {find_server()} "$@"\n'
    )
    program.chmod(0o755)
    return program


def clock_of(cluster: EmbeddedCluster, node: Node) -> float:
    """Return by how many seconds the clock of ``node`` is ahead of this machine's."""
    with cluster.client(node) as client:
        seconds, microseconds = client.time()
        return float(seconds) + microseconds / 1e6 - time.time()


def set_clock(cluster: EmbeddedCluster, node: Node, seconds: int) -> None:
    """Let the clock of a running ``node`` jump: it is ``seconds`` ahead from now on."""
    (node.folder / _FILE).write_text(f"{seconds:+d}\n")
    eventually(lambda: abs(clock_of(cluster, node) - seconds) < _NEAR, "the clock has jumped")


def right_all_clocks(cluster: EmbeddedCluster) -> None:
    """Set every clock right, also of nodes that do not run."""
    for node in cluster.nodes:
        (node.folder / _FILE).write_text("+0\n")
    for node in cluster.nodes:
        if node.pid is not None:
            with contextlib.suppress(ConnectionError):
                eventually(lambda node=node: abs(clock_of(cluster, node)) < _NEAR, "is right")


def eventually(condition: object, what: str) -> None:
    """Wait until ``condition()`` is true."""
    assert callable(condition)
    deadline = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def cluster_with_clocks(folder: Path, nodes: int) -> Iterator[EmbeddedCluster]:
    """A running cluster (or single server) whose clocks can be set."""
    # A replica whose clock jumps takes its data for hours old, until its primary writes again.
    settings = {"cluster-replica-validity-factor": "0"}
    server = make_server(folder)
    with EmbeddedCluster(
        nodes=nodes, server=server, node_timeout=2.0, settings=settings
    ) as running:
        yield running
