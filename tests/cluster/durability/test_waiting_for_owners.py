"""An ending at a new primary is acknowledged when nobody can believe the one that it replaced."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import redis

from clusterpass import (
    ClusterPassError,
    Config,
    EmbeddedCluster,
    Session,
    SessionManager,
)
from clusterpass.embedded import Node
from clusterpass.sessions.memory.leases import Leases
from tests.campaign.network import Network
from tests.staleness.cluster_operations import identity

from .shards import HANGING, eventually, key_of

pytestmark = pytest.mark.timeout(240)
NODE_TIMEOUT = 1.0
LATE = 10.0
"""L, in seconds, where an ending waits for it: time enough for a failover, so that evidence
outlives it."""
NEVER = 60.0
"""... and where nothing waits: evidence outlives the failover of a busy machine, too."""


@pytest.fixture
def seven() -> Iterator[EmbeddedCluster]:
    """Three primaries; one has two replicas, so that its successor has one that can confirm."""
    with EmbeddedCluster(nodes=7, node_timeout=NODE_TIMEOUT) as running:
        yield running


@pytest.fixture
def late_evidence(config: Config, waits: bool, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A configuration under which evidence lasts for :data:`LATE`, or :data:`NEVER` ends."""
    bound = LATE if waits else NEVER
    set_bound = Leases.set_evidence_bound
    monkeypatch.setattr(Leases, "set_evidence_bound", lambda leases, _: set_bound(leases, bound))
    return replace(config, verification="strict", staleness_bound=bound)


@pytest.fixture
def part(seven: EmbeddedCluster) -> Iterator[Callable[[Node], None]]:
    """Parts a node from all others, for good."""
    with contextlib.closing(Network(seven, 1, lambda *_: None)) as network:
        yield network.lead_buses().part


def with_two_replicas(cluster: EmbeddedCluster, subject: str) -> str:
    names = (f"{subject}-{number}" for number in range(500))
    return next(name for name in names if len(cluster.replicas_of(key_of(name))) == 2)


def is_forgotten(client: "redis.Redis", gone_id: str) -> bool:
    try:
        client.execute_command("CLUSTER FORGET", gone_id)
    except redis.ResponseError as error:
        assert "my master" in str(error)
        return False
    return True


def forget(cluster: EmbeddedCluster, gone: Node, gone_id: str) -> None:
    """Let all other nodes forget ``gone``, so that its confirmation is not waited for."""
    for node in cluster.nodes:
        if node != gone:
            with cluster.client(node) as client:
                eventually(partial(is_forgotten, client, gone_id), "it is still followed")
                client.config_set("masterauth", "")  # it may follow the new primary


def is_durable(manager: SessionManager, subject: str) -> bool:
    try:
        return manager.login(subject).durable
    except ClusterPassError:
        return False


@pytest.mark.sampled(1)
@pytest.mark.parametrize("waits", [True, False])
def test_who_asks_the_replaced_primary_refuses_what_its_successor_has_ended(
    seven: EmbeddedCluster,
    part: Callable[[Node], None],
    late_evidence: Config,
    subject: str,
    waits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the wait, the evidence of before the failover suffices to believe the old primary.

    Who asks has no watch, as under gevent: nothing but its own questions tells it of a failover.
    """
    if not waits:
        monkeypatch.setattr(Leases, "seconds_unsettled", lambda *_: 0.0)
    subject = with_two_replicas(seven, subject)
    key = key_of(subject)
    gone = seven.primary_of(key)
    gone_id = identity(seven, gone)
    with seven.client(gone) as client:  # so that nobody but the asking process finds out
        client.config_set("cluster-allow-reads-when-down", "yes")
    with (
        SessionManager.from_url(seven.url, late_evidence) as asks,
        SessionManager.from_url(seven.url, late_evidence) as ends,
    ):
        asks.store._may_watch = False
        eventually(lambda: ends.login(subject).durable, "no replica follows")
        pair = ends.login(subject)
        part(gone)
        assert isinstance(asks.verify(pair.access_token), Session)
        seven.pause(gone)
        try:
            seven.wait_until_primary_changes(key, gone, HANGING)
            forget(seven, gone, gone_id)
            eventually(lambda: is_durable(ends, subject), "the other replica does not follow")
            ended = ends.revoke(subject, pair.session_id)
            assert ended.durable and not ended.journaled
        finally:
            seven.resume(gone)
        try:
            asks.verify(pair.access_token)
        except ClusterPassError:
            is_accepted = False
        else:
            is_accepted = True
    assert is_accepted is not waits
