"""Each server program: a session across a failover, and confirmation of a write by the disk."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from clusterpass import Config, EmbeddedCluster, SessionRevoked
from clusterpass.model.errors import ClusterPassError, StoreFailed
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.stored import eventually
from tests.cluster.test_outdated_primaries import FACES

from .conftest import Opener
from .servers import Servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]


@pytest.fixture(scope="module")
def losing(server_program: str) -> Iterator[EmbeddedCluster]:
    """Three shards, each with a replica, of which tests kill primaries."""
    with EmbeddedCluster(nodes=6, node_timeout=2.0, server=server_program) as running:
        yield running


def test_a_session_outlives_its_primary(opened: Opener, losing: EmbeddedCluster, subject: str):
    manager = opened(losing.url)
    pair = eventually(lambda: (made := manager.login(subject)).durable and made)
    eventually(lambda: manager.verify(pair.access_token) and not manager.stats().refusal)
    primary = losing.primary_of(Keyspace().sessions(subject))
    losing.kill(primary)

    def is_verified() -> bool:
        try:
            return bool(manager.verify(pair.access_token, verification="strict").subject == subject)
        except ClusterPassError as error:
            assert error.status == 503, error
            return False

    eventually(is_verified, 60)
    assert losing.primary_of(Keyspace().sessions(subject)).address != primary.address
    losing.restart(primary)
    eventually(lambda: manager.logout(pair.access_token).durable, 60)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)


def knows_waitaof(started: Servers, port: int) -> bool:
    try:
        return started.ask(port, "WAITAOF", "0", "0", "1") is not None
    except redis.ResponseError:
        return False


@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("is_lacking", [True, False])
def test_a_disk_confirms_or_the_error_says_that_it_cannot(
    started: Servers, config: Config, subject: str, face: str, is_lacking: bool
):
    """Redis 7.0 has no WAITAOF at all."""
    on_disk = ("--appendonly", "yes")
    port = started.start(*on_disk)
    has_command = knows_waitaof(started, port)
    if is_lacking and has_command:
        port = started.start(*on_disk, "--rename-command", "WAITAOF", "")
    fsync = dataclasses.replace(config, durability="fsync")
    manager: Any = FACES[face](f"redis://127.0.0.1:{port}", fsync)
    try:
        if has_command and not is_lacking:
            assert manager.login(subject).durable
        else:
            with pytest.raises(StoreFailed, match=r"durability='fsync' needs .* WAITAOF"):
                manager.login(subject)
    finally:
        manager.close()
