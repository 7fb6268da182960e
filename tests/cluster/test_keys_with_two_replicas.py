"""Keys and secrets in a store of three shards with two replicas each, also after a failover."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, TokenKeyUnknown
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.tokens.key_encryption import new_encryption_key

from .conftest import Facade
from .stored import eventually, let_secrets_age, new_namespace
from .topologies import at_last

pytestmark = pytest.mark.timeout(240)
Opened = Callable[[], Any]


@pytest.fixture(scope="module")
def nine() -> Iterator[EmbeddedCluster]:
    """Three primaries with two replicas each."""
    with EmbeddedCluster(nodes=9, node_timeout=2.0) as running:
        yield running


@pytest.fixture
def namespace() -> str:
    return new_namespace()


@pytest.fixture(params=["sync", "async"])
def opened(
    request: pytest.FixtureRequest, nine: EmbeddedCluster, config: Config, namespace: str
) -> Iterator[Opened]:
    """Opens processes whose keys and secrets are in the store."""
    nine.wait_until_healthy(40)
    kind: Callable[..., Any] = SessionManager.from_url if request.param == "sync" else Facade
    wrapping = (new_encryption_key(),)
    url = f"{nine.url}?namespace={namespace}"

    def one() -> Any:
        keys = KeyRing.in_store()
        own = dataclasses.replace(config, keys=keys, key_encryption_keys=wrapping)
        return stack.enter_context(Closing(kind(url, own)))

    with ExitStack() as stack:
        yield one


class Closing:
    """A manager of either kind, closed at the end."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def __enter__(self) -> Any:
        return self._manager

    def __exit__(self, *_: object) -> None:
        self._manager.close()


def test_what_is_rotated_reaches_every_copy_and_logs_nobody_out(nine, opened, namespace, subject):
    one, other = opened(), opened()
    pair = one.login(subject)
    assert other.verify(pair.access_token).subject == subject
    leaked = one.config.keys.signing_key.kid
    one.keys.revoke(leaked)
    one.keys.rotate_refresh_secret()
    let_secrets_age((nine, ""), namespace, 100, "created")
    newer = other.refresh(pair.refresh_token)
    assert other.refresh(pair.refresh_token).refresh_token == newer.refresh_token
    assert opened().verify(newer.access_token).subject == subject
    for manager in (one, other):
        eventually(lambda manager=manager: is_refused(manager, pair.access_token))
        assert manager.verify(newer.access_token).session_id == pair.session_id
    held = []
    for slot in SLOTS_WITH_CUTOFF:
        key = Keyspace(namespace).secrets(slot)
        with nine.client(nine.primary_of(key)) as client:
            held.append(set(client.hgetall(key)))
    assert held == held[:1] * 3


def is_refused(manager: Any, token: str) -> bool:
    try:
        manager.verify(token)
    except TokenKeyUnknown:
        return True
    return False


@pytest.mark.sampled(1)
def test_a_primary_that_dies_takes_no_key_along(nine, opened, namespace, subject):
    one = opened()
    pair = one.login(subject)
    kids = [key.kid for key in one.keys.list()]
    key = Keyspace(namespace).secrets(SLOTS_WITH_CUTOFF[0])
    killed = nine.primary_of(key)
    nine.kill(killed)
    try:
        nine.wait_until_primary_changes(key, killed, 40)
        fresh = opened()
        assert at_last(lambda: fresh.verify(pair.access_token)).subject == subject
        assert [each.kid for each in at_last(fresh.keys.list)] == kids
        newer = at_last(lambda: fresh.refresh(pair.refresh_token))
        assert at_last(lambda: one.refresh(newer.refresh_token)).session_id == pair.session_id
        assert at_last(one.keys.rotate_refresh_secret)
        last = at_last(lambda: fresh.login(subject))
        assert at_last(lambda: one.refresh(last.refresh_token)).subject == subject
    finally:
        nine.restart(killed)
