"""The fixtures of the plugin, on the cluster that all tests share."""

import pytest

from clusterpass import EmbeddedCluster


@pytest.fixture(scope="session")
def clusterpass_cluster(cluster: EmbeddedCluster) -> EmbeddedCluster:
    return cluster
