"""Fixtures: stores for fault tests, and managers that are opened by a URL."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager

from ..conftest import Facade

HANGING = 30.0
"""Seconds that nothing here comes near to unless it hangs."""
PASSWORD = "p@ss:/?#[]%, w0rd"

Opener = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def open_url(request: pytest.FixtureRequest, config: Config) -> Iterator[Opener]:
    """Opens managers of either style, with the same blocking verbs; closes them at the end."""
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    # Longer than any deadline here.
    config = dataclasses.replace(config, refresh_grace=120)
    with contextlib.ExitStack() as stack:

        def open_one(url: str, **changes: Any) -> Any:
            manager = kind(url, dataclasses.replace(config, **changes))
            stack.callback(manager.close)
            return manager

        yield open_one


@pytest.fixture(scope="module")
def victim() -> Iterator[EmbeddedCluster]:
    """A cluster whose connections and scripts may be taken away."""
    with EmbeddedCluster(nodes=6, node_timeout=5.0) as running:
        yield running


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedCluster]:
    """One server that asks for a user and a password."""
    with EmbeddedCluster(nodes=1, username="app", password=PASSWORD) as running:
        yield running


def on_every_node(cluster: EmbeddedCluster, *command: str) -> None:
    for node in cluster.nodes:
        with cluster.client(node) as client:
            client.execute_command(*command)
