"""A pytest plugin for the tests of applications: one real cluster for the whole test run.

Fixtures: ``clusterpass_cluster`` (an EmbeddedCluster) and ``clusterpass_url`` (its store URL).
Settings: ``clusterpass_nodes`` (default 6) and ``clusterpass_node_timeout`` (in seconds, default
1.0). A failover takes about 1.5 times the node timeout plus 1 s.

Rules of this module
- pytest imports the plugin in every test run of every project that has ClusterPass installed. The
  import is therefore cheap, and nothing is started until a test uses a fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from clusterpass.embedded import EmbeddedCluster


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the settings of the plugin with pytest."""
    parser.addini(
        "clusterpass_nodes", "Number of nodes of the test cluster: 1, or at least 3.", default="6"
    )
    parser.addini(
        "clusterpass_node_timeout",
        "Seconds of silence after which a node of the test cluster counts as failed.",
        default="1.0",
    )


@pytest.fixture(scope="session")
def clusterpass_cluster(pytestconfig: pytest.Config) -> "Iterator[EmbeddedCluster]":
    """A running cluster, shared by all tests and stopped after the last one."""
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
