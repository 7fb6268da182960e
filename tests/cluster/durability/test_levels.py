"""Levels of durability: replicas, the disk, or the primary alone."""

from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster
from clusterpass.model.errors import StoreFailed

from ..conftest import REDIS_SERVER
from .shards import without_replicas

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("server", [None, REDIS_SERVER])
def test_one_server_without_replicas_is_as_durable_as_it_can_be(
    open_one: Any, config: Config, subject: str, server: str | None
) -> None:
    options: dict[str, Any] = {} if server is None else {"server": server}
    with EmbeddedCluster(nodes=1, **options) as running:
        manager = open_one(running.url, config)
        pair = manager.login(subject)
        assert not pair.durable
        assert not manager.logout(pair.access_token).durable
        assert manager.stats().durability.startswith("primary (")


def test_a_cluster_that_was_made_without_replicas(
    open_one: Any, config: Config, subject: str
) -> None:
    with EmbeddedCluster(nodes=3) as running:
        manager = open_one(running.url, config)
        pair = manager.login(subject)
        assert not pair.durable
        assert manager.logout(pair.access_token).count == 1
        assert manager.revoke_before().time > 0
        assert manager.stats().durability.startswith("primary (")


def test_the_primary_alone_is_enough_where_that_was_chosen(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str
) -> None:
    manager = open_one(fragile.url, replace(config, durability="primary"))
    with without_replicas(fragile):
        pair = manager.login(subject)
        assert not pair.durable
        assert manager.logout(pair.access_token).count == 1
    assert manager.stats().durability == "primary"


@pytest.mark.sampled(1)
def test_a_write_may_wait_for_the_disk(open_one: Any, config: Config, subject: str) -> None:
    chosen = replace(config, durability="fsync")
    # The primary's file and that of a replica are written about once a second.
    for nodes in (1, 6):
        with EmbeddedCluster(nodes=nodes, persistent=True) as running:
            manager = open_one(f"{running.url}?replica_wait=3&timeout=4&deadline=8", chosen)
            pair = manager.login(subject)
            assert pair.durable
            assert manager.logout(pair.access_token).durable
            assert manager.stats().durability == "fsync"


@pytest.mark.parametrize("server", [None, REDIS_SERVER])
def test_servers_that_cannot_wait_for_their_disk_are_refused(
    open_one: Any, config: Config, subject: str, server: str | None
) -> None:
    options: dict[str, Any] = {} if server is None else {"server": server}
    with EmbeddedCluster(nodes=1, **options) as running:
        manager = open_one(running.url, replace(config, durability="fsync"))
        with pytest.raises(StoreFailed, match="appendonly yes"):
            manager.login(subject)
