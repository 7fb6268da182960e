"""A shard with two replicas: a revocation is acknowledged when both have it."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager, SessionRevoked
from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.store.topology.slots import SlotMap
from tests.campaign.network import Network

from .conftest import Facade

pytestmark = pytest.mark.timeout(240)
NODE_TIMEOUT = 2.0
HANGING = 40.0
KEYSPACE = Keyspace()


@pytest.fixture(scope="module")
def seven() -> Iterator[EmbeddedCluster]:
    """Three primaries; one of them has two replicas."""
    with EmbeddedCluster(nodes=7, node_timeout=NODE_TIMEOUT) as running:
        yield running


@pytest.fixture
def twice(seven: EmbeddedCluster, subject: str) -> tuple[EmbeddedCluster, str]:
    """The cluster, and a subject whose shard has two replicas."""
    seven.wait_until_healthy(HANGING)
    for number in range(500):
        name = f"{subject}-{number}"
        if len(seven.replicas_of(KEYSPACE.sessions(name))) == 2:
            return seven, name
    raise AssertionError("no shard has two replicas")


@pytest.fixture(params=["sync", "async"])
def manager(
    request: pytest.FixtureRequest, twice: tuple[EmbeddedCluster, str], config: Config
) -> Iterator[Any]:
    kind: Callable[..., Any] = SessionManager.from_url if request.param == "sync" else Facade
    with contextlib.closing(kind(twice[0].url, config)) as opened:
        yield opened


def durable_login(manager: Any, subject: str) -> Any:
    until = time.monotonic() + HANGING
    while not (pair := manager.login(subject)).durable:
        assert time.monotonic() < until
    return pair


def test_a_write_waits_for_both(manager, twice):
    _, subject = twice
    pair = durable_login(manager, subject)
    assert manager.revoke(subject, pair.session_id).durable


def test_one_of_two_is_not_enough(manager, twice):
    cluster, subject = twice
    pair = durable_login(manager, subject)
    _, paused = cluster.replicas_of(KEYSPACE.sessions(subject))
    cluster.pause(paused)
    try:
        assert not manager.login(subject).durable
        assert manager.revoke_all(subject).journaled
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
    finally:
        cluster.resume(paused)
    until = time.monotonic() + HANGING
    while manager.stats().pending.journaled:
        assert time.monotonic() < until, "it was not confirmed when both were there again"
        time.sleep(0.02)
    assert manager.revoke_all(subject).durable


def test_a_replica_that_came_after_the_look_up_has_to_confirm(manager, twice):
    """The slots were looked up while there was one: WAIT for one is content with either."""
    cluster, subject = twice
    pair = durable_login(manager, subject)
    store = getattr(manager, "manager", manager).store
    slots, slot = store.slots, slot_of(KEYSPACE.sessions(subject))
    earlier = dataclasses.replace(slots.shards[slot], replicas=1)
    shards = [earlier if each == slots.shards[slot] else each for each in slots.shards]
    _, paused = cluster.replicas_of(KEYSPACE.sessions(subject))
    cluster.pause(paused)
    try:
        for ask, confirmed in (
            (lambda: manager.login(subject).durable, False),
            (lambda: manager.revoke(subject, pair.session_id).journaled, True),
        ):
            store.slots = SlotMap(shards, slots.version, slots.taken_at, is_replicated=True)
            assert ask() is confirmed
    finally:
        cluster.resume(paused)
    until = time.monotonic() + HANGING
    while not manager.login(subject).durable:
        assert time.monotonic() < until, "not even when both confirm"


@pytest.mark.alternating
def test_what_a_lost_partition_confirmed_is_not_acknowledged(twice, config):
    """{primary, one replica, a client} on one side, all others and the other replica on the other:
    the other replica is promoted, and knows nothing of what was asked for on the first side."""
    cluster, subject = twice
    key = KEYSPACE.sessions(subject)
    primary, (near, _) = cluster.primary_of(key), cluster.replicas_of(key)
    with (
        contextlib.closing(Network(cluster, 1, lambda *_: None)) as network,
        SessionManager.from_url(cluster.url, config) as manager,
    ):
        pair = durable_login(manager, subject)
        with network.between_nodes() as buses:
            buses.part(primary, near)
            assert manager.revoke_all(subject).journaled
            cluster.wait_until_primary_changes(key, primary, HANGING)
            buses.meet()
        assert pair.durable
