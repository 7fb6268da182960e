"""The doctor's checks of replicas and of the copies of the cutoff, on real clusters."""

import re
from collections.abc import Iterator

import pytest

from clusterpass import EmbeddedCluster, SessionManager
from clusterpass.doctor import DoctorOptions, examine
from clusterpass.embedded import Node
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from tests.cluster.durability.shards import eventually
from tests.staleness.cluster_operations import move_slots_at_once

from .test_doctor import command

pytestmark = pytest.mark.timeout(240)
HANGING = 40.0
CHECKS = ("replicas", "confirmation", "node-failed")
WRITE = DoctorOptions(write=True)


@pytest.fixture(scope="module")
def seven() -> Iterator[EmbeddedCluster]:
    """Three primaries; one of them has two replicas."""
    with EmbeddedCluster(nodes=7, node_timeout=2.0) as running:
        yield running


@pytest.fixture
def twice(seven: EmbeddedCluster) -> tuple[EmbeddedCluster, str]:
    """The cluster, and a subject whose shard has two replicas."""
    seven.wait_until_healthy(HANGING)
    return seven, with_two_replicas(seven)


def with_two_replicas(cluster: EmbeddedCluster) -> str:
    names = (f"subject-{number}" for number in range(500))
    return next(n for n in names if len(cluster.replicas_of(key_of(n))) == 2)


def key_of(subject: str) -> bytes:
    return Keyspace().sessions(subject)


def test_every_replica_is_asked(twice):
    report = examine(twice[0].url, WRITE, only=CHECKS)
    assert report.findings == ()
    trials = [node.trial for node in report.seen.primaries]
    assert sorted((trial.asked, trial.replicas) for trial in trials) == [(1, 1), (1, 1), (2, 2)]


def test_one_of_two_that_does_not_confirm_is_a_problem(twice):
    cluster, subject = twice
    paused, _ = cluster.replicas_of(key_of(subject))
    cluster.pause(paused)
    try:
        report = examine(f"{cluster.url}?timeout=0.3", WRITE, only=["confirmation"])
    finally:
        cluster.resume(paused)
    (finding,) = report.findings
    assert finding.severity == "problem"
    assert finding.nodes == (cluster.primary_of(key_of(subject)).address,)
    assert finding.found.startswith("Only 1 of 2 replicas confirmed")


def test_a_failed_replica_holds_revocations_up_until_it_is_forgotten(config):
    with EmbeddedCluster(nodes=7, node_timeout=1.0) as cluster:
        subject = with_two_replicas(cluster)
        key = key_of(subject)
        killed, _ = cluster.replicas_of(key)
        identity = command(cluster, killed, "CLUSTER", "MYID").decode()
        cluster.kill(killed)
        told = {("node-failed", "problem")}
        eventually(lambda: said_of(cluster) == told, "it counts as failed everywhere")
        (finding,) = examine(cluster.url, WRITE, only=CHECKS).findings
        assert finding.nodes == (killed.address,)
        assert f"Revocations in the shard of {cluster.primary_of(key).address}" in finding.found
        with SessionManager.from_url(cluster.url, config) as manager:
            assert not manager.login(subject).durable
        assert f"CLUSTER FORGET {identity}" in finding.remedy
        forget(cluster, killed, identity)
        assert examine(cluster.url, WRITE, only=CHECKS).findings == ()
        with SessionManager.from_url(cluster.url, config) as manager:
            assert manager.login(subject).durable


def said_of(cluster: EmbeddedCluster) -> set[tuple[str, str]]:
    return {(f.id, f.severity) for f in examine(cluster.url, WRITE, only=CHECKS).findings}


def forget(cluster: EmbeddedCluster, gone: Node, identity: str) -> None:
    for node in cluster.nodes:
        if node != gone:
            command(cluster, node, "CLUSTER", "FORGET", identity)


def test_a_shard_without_a_replica_gets_a_spare_one(config):
    """What the remedy says is done, and helps."""
    settings = {"cluster-allow-replica-migration": "no"}
    with EmbeddedCluster(nodes=6, node_timeout=2.0, settings=settings) as cluster:
        (first,), (other,) = cluster.replicas_of("a"), cluster.replicas_of("b")
        bare, richer = cluster.primary_of("a"), cluster.primary_of("b")
        assert bare != richer
        identity = command(cluster, richer, "CLUSTER", "MYID")
        command(cluster, first, "CLUSTER", "REPLICATE", identity)
        eventually(lambda: len(cluster.replicas_of("b")) == 2, "it follows the other primary")
        eventually(
            lambda: len(examine(cluster.url, only=["replicas"]).findings) == 1, "it is noticed"
        )
        (finding,) = examine(cluster.url, only=["replicas"]).findings
        assert finding.nodes == (bare.address,)
        primary, replica = re.search(r"CLUSTER REPLICATE (\w+) on (\S+),", finding.remedy).groups()
        assert replica in {first.address, other.address}
        spare = next(node for node in cluster.nodes if node.address == replica)
        command(cluster, spare, "CLUSTER", "REPLICATE", primary)
        cluster.wait_until_healthy(HANGING)
        eventually(
            lambda: examine(cluster.url, WRITE, only=CHECKS).findings == (), "all is well again"
        )


def test_a_cluster_without_replicas_is_told_so_once():
    with EmbeddedCluster(nodes=3) as cluster:
        (finding,) = examine(cluster.url, WRITE, only=CHECKS).findings
        assert finding.id == "replicas"
        assert set(finding.nodes) == {node.address for node in cluster.nodes}


def test_copies_of_the_cutoff_that_met_on_one_primary_are_told_and_part_again():
    """What the remedy says is done, and helps."""
    with EmbeddedCluster(nodes=3) as cluster:
        assert examine(cluster.url, only=["cutoff-copies"]).findings == ()
        first, second, _ = SLOTS_WITH_CUTOFF
        source, target = owner_of(cluster, first), owner_of(cluster, second)
        move_slots_at_once(cluster, [first], source, target)
        eventually(
            lambda: len(examine(cluster.url, only=["cutoff-copies"]).findings) == 1, "it is noticed"
        )
        (finding,) = examine(cluster.url, only=["cutoff-copies"]).findings
        assert (finding.severity, finding.nodes) == ("warning", (target.address,))
        order = re.search(r"CLUSTER MIGRATESLOTS [A-Z0-9]+ \d+ \d+ NODE \w+", finding.remedy)
        assert command(cluster, target, *order[0].split()) == b"OK"
        eventually(
            lambda: examine(cluster.url, only=["cutoff-copies"]).findings == (), "they are apart"
        )


def owner_of(cluster: EmbeddedCluster, slot: int) -> Node:
    return cluster.primary_of(Keyspace().not_before(slot))
