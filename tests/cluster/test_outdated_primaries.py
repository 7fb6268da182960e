"""A primary that was replaced and does not know it is not believed, in any mode."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from clusterpass import (
    ClusterPassError,
    Config,
    EmbeddedCluster,
    Ended,
    Session,
    SessionManager,
    SessionRevoked,
    StoreUnavailable,
)
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address
from tests.campaign.network import Network

from .conftest import Facade
from .moving_address import MovingName, moving_name

pytestmark = pytest.mark.timeout(240)
NODE_TIMEOUT = 2.0
HANGING = 40.0
KEYSPACE = Keyspace()
FACES: dict[str, Callable[..., Any]] = {"sync": SessionManager.from_url, "async": Facade}
face = pytest.mark.parametrize("face", FACES)
mode = pytest.mark.parametrize("mode", ["cached", "strict"])


@pytest.fixture(scope="module")
def seven() -> Iterator[EmbeddedCluster]:
    """Three primaries; one has two replicas, so that a replica is left after it was replaced."""
    with EmbeddedCluster(nodes=7, node_timeout=NODE_TIMEOUT) as running:
        yield running


def outcome_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ClusterPassError as error:
        return error


def wait_for(is_so: Callable[[], Any], what: str) -> None:
    until = time.monotonic() + HANGING
    while not is_so():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def without_watch(url: str, config: Config) -> SessionManager:
    """A manager as under gevent, where nothing watches: every doubt is resolved by asking."""
    manager = SessionManager.from_url(url, config)
    manager.store._may_watch = False
    return manager


FACES["without a watch"] = without_watch


@pytest.mark.sampled(2)
@pytest.mark.parametrize("face", ["sync", "async", "without a watch"])
def test_a_strict_manager_does_not_believe_a_replaced_primary(seven, face, config, subject):
    """The primary was paused while it was replaced, and wakes up among nodes it does not hear."""
    config = replace(config, verification="strict")
    replaced_primary_is_not_believed(seven, FACES[face], seven.url, config, subject)


def replaced_primary_is_not_believed(
    seven: EmbeddedCluster, face: Callable[..., Any], url: str, config: Config, subject: str
) -> None:
    """Replace a primary behind the back of the manager that ``face`` opens on ``url``."""
    seven.wait_until_healthy(HANGING)
    names = (f"{subject}-{number}" for number in range(500))
    subject = next(n for n in names if len(seven.replicas_of(KEYSPACE.sessions(n))) == 2)
    key = KEYSPACE.sessions(subject)
    with (
        contextlib.closing(face(url, config)) as asks,
        contextlib.closing(SessionManager.from_url(seven.url, config)) as ends,
        contextlib.closing(Network(seven, 1, lambda *_: None)) as network,
        network.between_nodes() as buses,
    ):
        wait_for(lambda: ends.login(subject).durable, "no replica follows")
        pair = ends.login(subject)
        assert isinstance(asks.verify(pair.access_token), Session)
        replaced = seven.primary_of(key)
        buses.part(replaced)
        seven.pause(replaced)
        try:
            seven.wait_until_primary_changes(key, replaced, HANGING)
            for node in seven.nodes:
                if node != replaced:
                    with seven.client(node) as client:
                        client.config_set("masterauth", "")  # they may follow the new primary
            revoke = partial(outcome_of, partial(ends.revoke_all, subject))
            wait_for(lambda: isinstance(revoke(), Ended), "it is not revoked")
        finally:
            seven.resume(replaced)
        until = time.monotonic() + NODE_TIMEOUT
        while time.monotonic() < until:
            found = outcome_of(lambda: asks.verify(pair.access_token))
            assert isinstance(found, SessionRevoked | StoreUnavailable), found
        buses.meet()
        seven.wait_until_healthy(HANGING)
        with pytest.raises(SessionRevoked):
            asks.verify(pair.access_token)


@pytest.fixture
def two_servers() -> Iterator[tuple[EmbeddedCluster, EmbeddedCluster, MovingName]]:
    """A single server, one that follows it, and the name under which clients know them."""
    with EmbeddedCluster(nodes=1) as first, EmbeddedCluster(nodes=1) as second:
        follow(second, first)
        with moving_name(address_of(first)) as name:
            yield first, second, name


def address_of(server: EmbeddedCluster) -> Address:
    (node,) = server.nodes
    return Address(node.host, node.port)


def follow(server: EmbeddedCluster, primary: EmbeddedCluster | None) -> None:
    """Make ``server`` a replica of ``primary``, and wait until it is; None: a primary."""
    (node,) = server.nodes
    with server.client(node) as client:
        if primary is None:
            client.replicaof("NO", "ONE")
            return
        host, port = address_of(primary)
        client.replicaof(host, port)
        wait_for(lambda: client.info("replication")["master_link_status"] == "up", "no link")


@pytest.mark.sampled(3)
@face
@mode
def test_a_name_that_moves_is_followed(two_servers, face, mode, config, subject):
    """Old connections lead to a server that was demoted, and lost its link to the new primary."""
    first, second, name = two_servers
    config = replace(config, verification=mode)
    with contextlib.closing(FACES[face](name.url, config)) as old:
        pair, other = old.login(subject), old.login(f"{subject}-other")
        old.verify(pair.access_token)
        old.verify(pair.access_token)
        follow(second, None)
        name.move(address_of(second))
        follow(first, second)
        # A write is refused by the replica, and finds the primary.
        assert old.login(subject)
        assert old.verify(other.access_token)
        with first.client(first.nodes[0]) as client:
            client.replicaof("127.0.0.1", 1)  # it hears of nothing from now on
        with contextlib.closing(SessionManager.from_url(name.url, config)) as new:
            new.revoke_all(subject)
        wait_for(
            lambda: isinstance(outcome_of(lambda: old.verify(pair.access_token)), SessionRevoked),
            "it is believed what the demoted server says",
        )
        assert old.ping() is None
