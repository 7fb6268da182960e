"""Clusters that are broken on purpose, and the commands of the runbooks as processes."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import (
    Config,
    EmbeddedCluster,
    KeyRing,
    SessionManager,
    SessionRevoked,
    TokenPair,
)
from clusterpass.cli.local_setup import write_keys

from ..service.conftest import COMMAND, command_environment

HANGING = 40.0
"""Seconds that nothing here comes near to unless it hangs."""


@pytest.fixture
def cluster_of(tmp_path: Path) -> Iterator[Callable[..., EmbeddedCluster]]:
    """Starts clusters that belong to the test; they are stopped at its end."""
    running: list[EmbeddedCluster] = []

    def started(nodes: int) -> EmbeddedCluster:
        folder = tmp_path / f"cluster-{len(running)}"
        cluster = EmbeddedCluster(nodes=nodes, node_timeout=1.0, data_folder=folder)
        cluster.start()
        running.append(cluster)
        return cluster

    yield started
    for cluster in running:
        cluster.stop()


@pytest.fixture
def keys_path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    write_keys(path)
    return path


@pytest.fixture
def open_manager(keys_path: Path) -> Iterator[Callable[..., SessionManager]]:
    """Opens managers with the keys of the deployment."""
    opened: list[SessionManager] = []

    def manager(url: str, keys: Path = keys_path) -> SessionManager:
        config = Config(issuer="https://auth.example", keys=KeyRing.load(keys))
        opened.append(SessionManager.from_url(url, config))
        return opened[-1]

    yield manager
    for each in opened:
        each.close()


@pytest.fixture
def command(keys_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command of clusterpass against a store."""

    def ran(
        url: str, *arguments: str, text_in: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=command_environment(url, keys_path, **more),
            input=text_in,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )

    return ran


@pytest.fixture
def findings(
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[[str], dict[str, str]]:
    """Return the worst severity that the doctor finds for each check of a store."""

    def found(url: str) -> dict[str, str]:
        report = json.loads(command(url, "doctor", "--json").stdout)
        return {each["id"]: each["severity"] for each in reversed(report["findings"])}

    return found


def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait until ``condition`` holds."""
    give_up_at = time.monotonic() + HANGING
    while not condition():
        assert time.monotonic() < give_up_at, f"not in time: {what}"
        time.sleep(0.05)


def refused(manager: SessionManager, pair: TokenPair, **options: Any) -> bool:
    """Whether the session of a pair is revoked, as far as a manager knows."""
    try:
        manager.verify(pair.access_token, **options)
    except SessionRevoked:
        return True
    return False


def server_cli_path() -> str:
    program = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if program is None:
        pytest.skip("neither valkey-cli nor redis-cli is installed")
    return program


def server_cli(*arguments: object, text_in: str = "") -> str:
    """Run ``valkey-cli``, or the ``redis-cli`` that takes its place, and return what it said."""
    done = subprocess.run(
        [server_cli_path(), *map(str, arguments)],
        input=text_in,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
