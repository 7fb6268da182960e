"""Connections that something on the way has forgotten without a word are replaced at once."""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.store.address import Address
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.store_url import parse_store_url
from tests.cluster.stored import eventually

from .conftest import Opener
from .nat import Nat, nats

pytestmark = [pytest.mark.timeout(240), pytest.mark.sampled(2)]
_CALLERS = 12


def call_at_once(manager: Any, token: str) -> None:
    """Many callers read at the same time, until each has a connection if it needs one."""
    begun = threading.Barrier(_CALLERS)

    def call() -> None:
        begun.wait(60)
        for _ in range(10):
            manager.verify(token, verification="strict")
            manager.sessions("nobody")

    callers = [threading.Thread(target=call) for _ in range(_CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)


def dead_connections_that_a_call_may_meet(manager: Any) -> int:
    """How many, at most: one of the pool and that of the watch; with an event loop, also the one
    for writes."""
    return 2 if isinstance(manager.store, SyncStore) else 3


def test_the_first_call_succeeds_and_tries_few_of_the_forgotten_connections(
    server: EmbeddedCluster, opened: Opener, new_subject: Callable[[], str]
):
    with nats(parse_store_url(server.url).seeds[0]) as (nat,):
        manager = opened(f"redis://{nat.address}")
        token = manager.login(new_subject()).access_token
        call_at_once(manager, token)
        nat.forget()
        manager.login(new_subject())
        for _ in range(5):
            manager.verify(token, verification="strict")
            manager.login(new_subject())
        assert 1 <= len(nat.swallowed) <= dead_connections_that_a_call_may_meet(manager)


def test_every_node_of_a_cluster_is_reached_again(
    cluster: EmbeddedCluster, opened: Opener, new_subject: Callable[[], str]
):
    location = parse_store_url(cluster.url)
    nodes = [Address(*node) if isinstance(node, tuple) else node for node in location.seeds]
    with nats(*nodes) as made:
        reached = dict(zip(nodes, [nat.address for nat in made], strict=True))
        manager = opened(dataclasses.replace(location, reached_at=reached))
        tokens = [manager.login(new_subject()).access_token for _ in range(12)]
        forget_all(made)
        manager.login(new_subject())
        for token in tokens:
            manager.verify(token, verification="strict")
            manager.login(new_subject())
        for nat in made:
            assert len(nat.swallowed) <= dead_connections_that_a_call_may_meet(manager)


def forget_all(made: list[Nat]) -> None:
    for nat in made:
        nat.forget()


def test_what_idles_for_long_is_not_used_again(
    server: EmbeddedCluster,
    opened: Opener,
    new_subject: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
):
    with nats(parse_store_url(server.url).seeds[0]) as (nat,):
        manager = opened(f"redis://{nat.address}")
        manager.login(new_subject())
        # The watch connects at its own pace.
        before = 2 if isinstance(manager.store, SyncStore) else 1
        assert eventually(lambda: nat.opened == before)
        manager.login(new_subject())
        assert nat.opened == before
        monkeypatch.setattr("clusterpass.store.drivers.pool.LONGEST_IDLE", 0.0)
        monkeypatch.setattr("clusterpass.store.wire.link.LONGEST_IDLE", 0.0)
        nat.forget()
        for _ in range(3):
            manager.login(new_subject())
        assert nat.opened > before
        assert len(nat.swallowed) <= 1, "that of the watch, which is never idle for long"
