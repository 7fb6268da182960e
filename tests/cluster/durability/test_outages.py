"""A shard that does not answer: what is accepted meanwhile, and who does not notice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster
from clusterpass.model.errors import InvalidInput, StoreUnavailable

from .shards import HANGING, eventually, key_of, without_primary

pytestmark = pytest.mark.timeout(240)


@pytest.mark.sampled(1)
def test_without_grace_an_outage_is_no_answer(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    pair = manager.login(subject)
    # The node's push of the login may come after the first answer, which is not kept then.
    eventually(lambda: verifies(manager, pair) and recalled(manager, pair), "it is in memory")
    with without_primary(fragile, subject):
        eventually(lambda: not recalled(manager, pair), "the lease is over")
        for grace in (None, 0):
            with pytest.raises(StoreUnavailable) as outage:
                manager.verify(pair.access_token, outage_grace=grace)
            assert outage.value.status == 503
            assert outage.value.retry_after >= 1
        session = manager.verify(pair.access_token, outage_grace=60)
        assert session.in_grace
        assert session.session_id == pair.session_id
        with pytest.raises(StoreUnavailable):  # this one never saw it alive
            other.verify(pair.access_token, outage_grace=60)
        with pytest.raises(StoreUnavailable):
            manager.verify(pair.access_token, outage_grace=0.001)
        assert manager.stats().grace_accepted == 1
    eventually(lambda: not manager.stats().silent_nodes or verifies(manager, pair), "back")
    assert not manager.verify(pair.access_token, outage_grace=60).in_grace


def recalled(manager: Any, pair: Any) -> bool:
    return manager.recall(pair.access_token) is not None


def verifies(manager: Any, pair: Any) -> bool:
    try:
        return bool(manager.verify(pair.access_token))
    except StoreUnavailable:
        return False


@pytest.mark.sampled(1)
def test_grace_by_configuration(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str
) -> None:
    for verification in ("cached", "strict"):
        fragile.wait_until_healthy(HANGING)
        chosen = replace(config, outage_grace=60, verification=verification)
        manager = open_one(fragile.url, chosen)
        pair = manager.login(subject)
        manager.verify(pair.access_token)
        with without_primary(fragile, subject):
            eventually(lambda: not recalled(manager, pair), "the lease is over")  # noqa: B023
            assert manager.verify(pair.access_token).in_grace
            with pytest.raises(StoreUnavailable):
                manager.verify(pair.access_token, outage_grace=0)
            with pytest.raises(StoreUnavailable):  # who asks for strict has no grace
                manager.verify(pair.access_token, verification="strict")


@pytest.mark.parametrize("grace", [-1, 3601, "x", True, float("nan")])
def test_what_is_no_grace(manager: Any, subject: str, grace: Any) -> None:
    pair = manager.login(subject)
    with pytest.raises(InvalidInput, match="outage_grace"):
        manager.verify(pair.access_token, outage_grace=grace)


@pytest.mark.sampled(1)
def test_other_shards_do_not_notice_an_outage(
    fragile: EmbeddedCluster, manager: Any, subject: str, new_subject: Callable[[], str]
) -> None:
    elsewhere = new_subject()
    while fragile.primary_of(key_of(elsewhere)) == fragile.primary_of(key_of(subject)):
        elsewhere = new_subject()
    here, there = manager.login(subject), manager.login(elsewhere)
    with without_primary(fragile, subject):
        with pytest.raises(StoreUnavailable):
            manager.verify(here.access_token, verification="strict")
        # Nobody waits a second time for what did not answer for a whole deadline, but for one now
        # and then who tries whether it is back.
        reasons = set()
        for _ in range(5):
            with pytest.raises(StoreUnavailable) as refused:
                manager.verify(here.access_token, verification="strict")
            reasons.add(refused.value.reason)
        assert "circuit_open" in reasons
        assert reasons <= {"circuit_open", "timeout"}
        for _ in range(50):
            assert manager.verify(there.access_token, verification="strict")
        assert manager.stats().silent_nodes
    eventually(lambda: verifies(manager, here), "back")
