"""Fixtures for the tests of applications: a real cluster for the whole run.

Rules of this module
- pytest loads it in every run of every project that has ClusterPass installed: importing it costs
  nothing, and nothing is started before a test asks for it.

Fixtures: ``clusterpass_cluster`` (an EmbeddedCluster) and ``clusterpass_url`` (its store URL).
Settings: ``clusterpass_nodes`` (6) and ``clusterpass_node_timeout`` (seconds, 1.0); a failover
takes about 1.5 times the node timeout plus 1 s.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from clusterpass.embedded import EmbeddedCluster


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the settings known."""
    parser.addini("clusterpass_nodes", "Nodes of the test cluster (1, or 3 and more).", default="6")
    parser.addini(
        "clusterpass_node_timeout",
        "Seconds of silence after which a node of the test cluster counts as failed.",
        default="1.0",
    )


@pytest.fixture(scope="session")
def clusterpass_cluster(pytestconfig: pytest.Config) -> "Iterator[EmbeddedCluster]":
    """A running cluster, stopped after the last test; its data is shared by all tests."""
    from clusterpass.embedded import EmbeddedCluster  # noqa: PLC0415 - loaded on demand

    try:
        nodes = int(pytestconfig.getini("clusterpass_nodes"))
        node_timeout = float(pytestconfig.getini("clusterpass_node_timeout"))
    except ValueError as error:
        raise pytest.UsageError(f"clusterpass_nodes or clusterpass_node_timeout: {error}") from None
    with EmbeddedCluster(nodes=nodes, node_timeout=node_timeout) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def clusterpass_url(clusterpass_cluster: "EmbeddedCluster") -> str:
    """The store URL of the running cluster."""
    return clusterpass_cluster.url
