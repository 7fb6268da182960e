"""A replica that restarted with old data is not promoted before it has synced."""

import time
from collections.abc import Callable

import pytest

from clusterpass import Config, EmbeddedCluster, Ended, SessionManager, SessionRevoked
from clusterpass.embedded import Node
from clusterpass.protocol.keyspace import Keyspace

from .conftest import REDIS_SERVER

pytestmark = pytest.mark.timeout(240)
HANGING = 40.0
FACTOR = "cluster-replica-validity-factor"
engines = pytest.mark.parametrize("server", [None, REDIS_SERVER], ids=["valkey", "redis"])


def wait_for(is_so: Callable[[], object], what: str) -> None:
    until = time.monotonic() + HANGING
    while not is_so():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def is_promoted(cluster: EmbeddedCluster, node: Node) -> bool:
    with cluster.client(node) as client:
        return bool(client.info("replication")["role"] == "master")


def has_refused(node: Node) -> bool:
    """Whether the server of ``node`` weighed a failover and found its data too old for it."""
    return FACTOR in (node.folder / "server.log").read_text("utf-8", errors="replace")


def bring_back_with_old_data(
    cluster: EmbeddedCluster, config: Config, subject: str
) -> tuple[Node, Node, str]:
    """Restart a replica with a snapshot from before a revocation that it had confirmed, while its
    primary does not answer.

    Returns the primary, the replica and the token that was revoked.
    """
    key = Keyspace().sessions(subject)
    primary, (replica,) = cluster.primary_of(key), cluster.replicas_of(key)
    with SessionManager.from_url(cluster.url, config) as manager:
        wait_for(lambda: manager.login(subject).durable, "no replica follows")
        pair = manager.login(subject)
        assert pair.durable
        with cluster.client(replica) as client:
            client.save()
        ended = manager.revoke_all(subject)
        assert isinstance(ended, Ended)
        assert ended.durable
    cluster.kill(replica)
    cluster.pause(primary)
    cluster.restart(replica)
    return primary, replica, pair.access_token


def is_revoked(cluster: EmbeddedCluster, config: Config, token: str) -> bool:
    """What a process that remembers nothing is told of ``token``."""
    with SessionManager.from_url(cluster.url, config) as manager:
        try:
            manager.verify(token)
        except SessionRevoked:
            return True
    return False


@pytest.mark.sampled(1)
@engines
def test_a_replica_with_old_data_waits_until_it_has_synced(server, config, subject):
    with EmbeddedCluster(nodes=6, node_timeout=1.0, server=server) as cluster:
        key = Keyspace().sessions(subject)
        primary, replica, token = bring_back_with_old_data(cluster, config, subject)
        try:
            wait_for(
                lambda: has_refused(replica) or is_promoted(cluster, replica),
                "the failure of the primary is not noticed",
            )
            assert not is_promoted(cluster, replica)
        finally:
            cluster.resume(primary)
        cluster.wait_until_healthy(HANGING)
        # Once it has synced it may be quicker to take over than the others to notice its primary.
        assert is_revoked(cluster, config, token)
        owner = cluster.primary_of(key)
        cluster.kill(owner)
        heir = cluster.wait_until_primary_changes(key, owner, HANGING)
        assert {owner, heir} == {primary, replica}
        assert is_revoked(cluster, config, token)


@engines
def test_without_the_limit_a_confirmed_revocation_is_undone(server, config, subject):
    """Why the doctor warns of 0, and proof that the test before sees what it excludes."""
    settings = {FACTOR: "0"}
    with EmbeddedCluster(nodes=6, node_timeout=1.0, server=server, settings=settings) as cluster:
        primary, replica, token = bring_back_with_old_data(cluster, config, subject)
        key = Keyspace().sessions(subject)
        assert cluster.wait_until_primary_changes(key, primary, HANGING) == replica
        assert not is_revoked(cluster, config, token)
