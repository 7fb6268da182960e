"""Background recording of uses, and the removal of retired secrets, on every topology.

These are one server, Sentinel and clusters. Uses are recorded during a failover, too.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusterpass import Config, InvalidRefreshToken, TokenPair
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from tests.cluster.conftest import Facade
from tests.cluster.stored import eventually, new_namespace
from tests.cluster.test_cluster_listeners import KINDS
from tests.cluster.topologies import SHAPES, SURVIVING, Shape

pytestmark = pytest.mark.timeout(240)
style = pytest.mark.parametrize("style", KINDS)
MONTH = 31 * 86_400


@pytest.fixture(scope="module", params=SHAPES)
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shape]:
    """A store that stays whole."""
    with SHAPES[request.param](tmp_path_factory.mktemp("store")) as shape:
        yield shape


def recorded(shape: Shape, keyspace: Keyspace, subject: str) -> dict[bytes, bytes]:
    """The uses of a subject's sessions that the store knows of."""
    with shape.client(keyspace.sessions(subject)) as client:
        return client.hgetall(keyspace.activity(subject))  # type: ignore[return-value]


def served(manager: Any, pair: TokenPair) -> None:
    """Wait until a token is answered from memory."""
    eventually(lambda: manager.verify(pair.access_token) and manager.recall(pair.access_token))


@pytest.mark.sampled(2)
@style
def test_uses_are_recorded_while_memory_answers(whole: Shape, style: str, config: Config) -> None:
    namespace = new_namespace()
    config = dataclasses.replace(config, activity_interval=1)
    with contextlib.closing(KINDS[style](f"{whole.url}?namespace={namespace}", config)) as manager:
        for number in range(20):  # a busy machine may let the lease run out in between
            subject = f"subject-{number}"
            pair = manager.login(subject)
            served(manager, pair)
            asked = manager.stats().cache.misses
            while not recorded(whole, Keyspace(namespace), subject):
                assert manager.verify(pair.access_token).subject == subject
            if manager.stats().cache.misses == asked:
                return
    raise AssertionError("each time a verify has asked the store")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", SURVIVING)
@style
def test_what_waits_is_recorded_by_the_successor(
    tmp_path: Path, name: str, style: str, config: Config
) -> None:
    config = dataclasses.replace(config, activity_interval=1)
    with (
        SHAPES[name](tmp_path) as shape,
        contextlib.closing(KINDS[style](f"{shape.url}?deadline=1", config)) as manager,
    ):
        pair, key = manager.login("alice"), Keyspace().sessions("alice")
        served(manager, pair)
        own = manager.manager if isinstance(manager, Facade) else manager
        uses = own._flows.memory.near.uses_to_record
        wake, uses.wake = uses.wake, lambda: None
        while not len(uses):
            manager.verify(pair.access_token)
        before = recorded(shape, Keyspace(), "alice")
        shape.kill(key)
        uses.wake = wake
        if isinstance(manager, Facade):
            manager.loop.call_soon_threadsafe(wake)
        else:
            wake()
        shape.await_successor(key)
        eventually(lambda: recorded(shape, Keyspace(), "alice") != before, seconds=60)


@pytest.mark.sampled(2)
@style
def test_a_retired_secret_leaves_the_store(whole: Shape, style: str, config: Config) -> None:
    namespace, short = new_namespace(), 3600
    config = dataclasses.replace(
        config,
        absolute_lifetime=short,
        idle_lifetime=short,
        remember_lifetime=short,
        remember_idle_lifetime=short,
    )
    url, keyspace = f"{whole.url}?namespace={namespace}", Keyspace(namespace)

    def names() -> list[set[bytes]]:
        found = []
        for slot in SLOTS_WITH_CUTOFF:
            with whole.client(keyspace.secrets(slot)) as client:
                held: Any = client.hkeys(keyspace.secrets(slot))
                found.append({each for each in held if each.startswith(b"r:")})
        return found

    with contextlib.closing(KINDS[style](url, config)) as manager:
        before = manager.login("alice")
        (retired,) = names()[0]
        manager.keys.rotate_refresh_secret(retire_others=True)
        old = json.dumps({"retired": (time.time() - MONTH) * 1000}).encode()
        for slot in SLOTS_WITH_CUTOFF:
            with whole.client(keyspace.secrets(slot)) as client:
                client.hset(keyspace.secrets(slot), retired.decode(), old)  # type: ignore[arg-type]
    with contextlib.closing(KINDS[style](url, config)) as manager:
        manager.login("bob")
        assert all(retired not in each and each for each in names())
        with pytest.raises(InvalidRefreshToken):
            manager.refresh(before.refresh_token)
