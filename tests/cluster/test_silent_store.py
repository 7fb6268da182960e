"""A silent store: calls fail at once while it is known, and its return is noticed."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.exchanges.steps import Probe
from tests.cluster.conftest import Facade
from tests.cluster.stored import eventually
from tests.silence import frozen, steps_of

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=6, node_timeout=60.0) as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def manager(
    request: pytest.FixtureRequest, cluster: EmbeddedCluster, config: Config
) -> Iterator[Any]:
    cluster.wait_until_healthy(40)
    kind: Callable[..., Any] = SessionManager.from_url if request.param == "sync" else Facade
    with contextlib.closing(kind(cluster.url, config)) as opened:
        yield opened


@pytest.fixture
def tokens(
    cluster: EmbeddedCluster, manager: Any, new_subject: Callable[[], str]
) -> dict[Any, str]:
    """An access token of a session in each shard."""
    found: dict[Any, str] = {}
    while len(found) < 3:
        subject = new_subject()
        primary = cluster.primary_of(Keyspace().sessions(subject))
        if primary not in found:
            found[primary] = manager.login(subject).access_token
    return found


def refused(manager: Any, token: str) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as refusal:
        manager.verify(token, verification="strict")
    return refusal.value


def lives(manager: Any, token: str) -> bool:
    try:
        return bool(manager.verify(token, verification="strict"))
    except StoreUnavailable:
        return False


@pytest.mark.sampled(1)
def test_after_calls_that_nobody_answers_no_call_waits_for_anybody(cluster, manager, tokens):
    first = next(iter(tokens.values()))
    with frozen(cluster):
        refused(manager, first)
        assert len(manager.stats().silent_nodes) == 3
        for token in tokens.values():  # who comes at once may wait for what is left of a deadline
            refused(manager, token)
        steps = steps_of(manager.store)
        for _ in range(10):
            for token in tokens.values():
                refusal = refused(manager, token)
                assert (refusal.reason, refusal.status) == ("circuit_open", 503)
                assert refusal.retry_after >= 1
        with pytest.raises(StoreUnavailable):
            manager.login("anybody")
        assert {type(step) for step in steps} <= {Probe}
        assert all(step.seconds <= 0.05 for step in steps)
        eventually(lambda: _is_probed_again(manager, first, steps), 60)
    eventually(lambda: all(lives(manager, token) for token in tokens.values()), 60)
    assert manager.stats().silent_nodes == ()


def _is_probed_again(manager: Any, token: str, steps: list[Any]) -> bool:
    refused(manager, token)
    return len({step.node for step in steps}) < len(steps)
