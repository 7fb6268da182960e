"""The processes of an embedded cluster: whether they live, and what they say of themselves."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

from clusterpass.embedded import EmbeddedCluster, Node

ONCE = Retry(NoBackoff(), 0)


def eventually(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process exists and is not just waiting to be collected."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self/stat").exists()


def pids_of(cluster: EmbeddedCluster) -> list[int]:
    return [node.pid for node in cluster.nodes if node.pid is not None]


def all_gone(pids: list[int]) -> bool:
    return not any(lives(pid) for pid in pids)


def info(cluster: EmbeddedCluster, node: Node, section: str) -> dict[str, Any]:
    with cluster.client(node) as client:
        facts: dict[str, Any] = client.info(section)
        return facts
