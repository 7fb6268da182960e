"""``durability="fsync"`` by the default URL: durable where files are written once a second."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, SessionManager
from clusterpass.model.errors import ConfigurationError, StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace

from .conftest import Facade
from .stored import eventually

DEADLINE = 2.5
SLACK = 0.5
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def on_disk() -> Iterator[EmbeddedCluster]:
    """``appendonly yes`` and ``appendfsync everysec``; no failover during the tests."""
    with EmbeddedCluster(nodes=6, persistent=True, node_timeout=30.0) as running:
        with running.client(running.nodes[0]) as client:
            assert client.config_get("append*")["appendonly"] == "yes"
            assert client.config_get("append*")["appendfsync"] == "everysec"
        yield running


@pytest.fixture(params=["sync", "async"])
def open_one(request: pytest.FixtureRequest, config: Config) -> Iterator[Callable[[str], Any]]:
    kind: Any = SessionManager.from_url if request.param == "sync" else Facade
    with contextlib.ExitStack() as stack:

        def open_it(url: str) -> Any:
            return stack.enter_context(
                contextlib.closing(kind(url, replace(config, durability="fsync")))
            )

        yield open_it


def is_durable(manager: Any, subject: str) -> bool:
    try:
        return bool(manager.login(subject).durable)
    except StoreUnavailable:  # the circuit breaker is still open
        return False


def test_every_write_is_durable_by_the_default_url(
    on_disk: EmbeddedCluster, open_one: Callable[[str], Any], new_subject: Callable[[], str]
) -> None:
    """Whatever moment of the second between two writes of the file it comes in."""
    manager = open_one(on_disk.url)

    def both(number: int) -> tuple[Any, Any]:
        pair = manager.login(new_subject())
        time.sleep(number / 8)
        return pair.durable, manager.logout(pair.access_token).durable

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(both, range(8))) == [(True, True)] * 8
    assert manager.stats().durability == "fsync"


async def test_writes_that_queue_up_are_durable_too(
    on_disk: EmbeddedCluster, config: Config, subject: str
) -> None:
    chosen = replace(config, durability="fsync")
    async with AsyncSessionManager.from_url(on_disk.url, chosen) as manager:

        async def one(number: int) -> bool:
            await asyncio.sleep(number / 60)
            return (await manager.login(f"{subject}-{number}")).durable

        assert all(await asyncio.gather(*(one(number) for number in range(120))))


def test_a_call_ends_by_its_deadline_when_no_replica_confirms(
    on_disk: EmbeddedCluster, open_one: Callable[[str], Any], subject: str
) -> None:
    manager = open_one(on_disk.url)
    manager.login(subject)
    (replica,) = on_disk.replicas_of(Keyspace().sessions(subject))
    on_disk.pause(replica)
    try:
        began = time.monotonic()
        pair = manager.login(subject)
        assert not pair.durable
        assert time.monotonic() - began < DEADLINE + SLACK
        began = time.monotonic()
        assert manager.logout(pair.access_token).journaled
        # Two more disks, one after the other, and the wait until everybody has asked the journals.
        assert time.monotonic() - began < 2 * DEADLINE + SLACK
    finally:
        on_disk.resume(replica)


def test_a_call_ends_by_its_deadline_when_the_primary_is_silent(
    on_disk: EmbeddedCluster, open_one: Callable[[str], Any], subject: str
) -> None:
    manager = open_one(on_disk.url)
    manager.login(subject)
    primary = on_disk.primary_of(Keyspace().sessions(subject))
    on_disk.pause(primary)
    try:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                manager.login(subject)
            assert time.monotonic() - began < DEADLINE + SLACK
    finally:
        on_disk.resume(primary)
    assert eventually(lambda: is_durable(manager, subject))


def test_a_deadline_that_is_too_short_is_refused_before_anything_is_sent(config: Config) -> None:
    chosen = replace(config, durability="fsync")
    for face in (SessionManager, AsyncSessionManager):
        with pytest.raises(ConfigurationError, match="deadline=1 in the store URL is too short"):
            face.from_url("redis://127.0.0.1:1?deadline=1", chosen)
