"""A cluster of six that the tests of a file share."""

from collections.abc import Iterator

import pytest

from clusterpass.embedded import EmbeddedCluster


@pytest.fixture(scope="module")
def six() -> Iterator[EmbeddedCluster]:
    """A cluster whose nodes tests may kill, if they leave it healthy."""
    with EmbeddedCluster(nodes=6, node_timeout=0.5) as cluster:
        yield cluster
