"""A node of an embedded cluster that is killed or paused is replaced and comes back."""

import signal

import pytest

from clusterpass.embedded import EmbeddedCluster
from clusterpass.model.errors import EmbeddedClusterError

from .processes import info


def test_killed_primary_is_replaced_and_comes_back_as_replica(six: EmbeddedCluster) -> None:
    key = "a"
    old = six.primary_of(key)
    (heir,) = six.replicas_of(key)
    with six.client(old) as client:
        client.set(key, "kept")
        client.wait(1, 5000)
    six.kill(old)
    assert six.nodes[old.index].pid is None
    six.kill(old)  # no effect
    new = six.wait_until_primary_changes(key, old, timeout=20)
    assert new == heir == six.primary_of(key)
    with six.client(new) as client:
        assert client.get(key) == b"kept"
    with pytest.raises(EmbeddedClusterError, match="waiting until the cluster is healthy"):
        six.wait_until_healthy(timeout=0.05)
    six.restart(old)
    six.wait_until_healthy(timeout=20)
    assert info(six, old, "replication")["role"] == "slave"
    assert six.nodes[old.index].pid is not None
    assert old in six.replicas_of(key)


def test_paused_primary_is_replaced_and_resumes_as_replica(six: EmbeddedCluster) -> None:
    key = "b"
    old = six.primary_of(key)
    six.pause(old)
    try:
        new = six.wait_until_primary_changes(key, old, timeout=20)
    finally:
        six.resume(old)
    six.wait_until_healthy(timeout=20)
    assert six.primary_of(key) == new != old
    assert info(six, old, "replication")["role"] == "slave"


def test_paused_node_can_be_ended_politely(six: EmbeddedCluster) -> None:
    node = six.replicas_of("c")[0]
    six.pause(node)
    six.kill(node, signal.SIGTERM)
    six.restart(node)
    six.wait_until_healthy(timeout=20)
