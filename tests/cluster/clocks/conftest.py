"""A cluster and a single server whose clocks can be set, and managers on them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager

from ..conftest import Facade
from .servers import HANGING, cluster_with_clocks, right_all_clocks


def _whole(cluster: EmbeddedCluster) -> None:
    for node in cluster.nodes:
        if node.pid is None:
            cluster.restart(node)
    right_all_clocks(cluster)
    cluster.wait_until_healthy(HANGING)


@pytest.fixture(scope="package")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with cluster_with_clocks(tmp_path_factory.mktemp("server"), 6) as running:
        yield running


@pytest.fixture
def fragile(shaken: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """The cluster, whole and with right clocks before and after each test."""
    _whole(shaken)
    yield shaken
    _whole(shaken)


@pytest.fixture(scope="package")
def server_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with cluster_with_clocks(tmp_path_factory.mktemp("alone"), 1) as running:
        yield running


@pytest.fixture
def alone(server_alone: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """The single server, with a right clock before and after each test."""
    right_all_clocks(server_alone)
    yield server_alone
    right_all_clocks(server_alone)


@pytest.fixture
def open_one(config: Config) -> Iterator[Callable[..., Any]]:
    """Opens a manager of a style and a mode of verification."""
    opened: list[Any] = []

    def open_it(cluster: EmbeddedCluster, style: str = "sync", mode: Any = "strict") -> Any:
        kind: Any = SessionManager.from_url if style == "sync" else Facade
        opened.append(kind(cluster.url, replace(config, verification=mode)))
        return opened[-1]

    yield open_it
    for manager in opened:
        manager.close()
