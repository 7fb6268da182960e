"""Clocks that differ by minutes, which is within the bound: time never goes back for a subject."""

import time
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.model.authentication_errors import InvalidRefreshToken, SessionRevoked
from clusterpass.protocol.calls import end as end_calls
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.store.drivers.sync import SyncStore

from .servers import eventually, set_clock
from .test_promoted_clocks import answered, key_of, promote_with_clock, stored

pytestmark = pytest.mark.timeout(240)
MINUTES = 60


def dump(cluster: EmbeddedCluster, subject: str) -> bytes:
    with cluster.client(cluster.primary_of(key_of(subject))) as client:
        found = client.dump(key_of(subject))
    assert isinstance(found, bytes)
    return found


def roll_back(cluster: EmbeddedCluster, subject: str, dumped: bytes) -> None:
    with cluster.client(cluster.primary_of(key_of(subject))) as client:
        client.restore(key_of(subject), 0, dumped, replace=True)


@pytest.mark.parametrize("ahead", [4 * MINUTES, 0])
def test_revoke_all_by_a_lagging_clock_ends_what_was_stamped_ahead(
    alone: EmbeddedCluster, open_one: Any, subject: str, ahead: int
) -> None:
    """Also for a process that was told of the generation only, when the store loses it."""
    (node,) = alone.nodes
    set_clock(alone, node, ahead)
    manager, other = open_one(alone), open_one(alone)
    seen, unseen = manager.login(subject), manager.login(subject)
    record = stored(alone, unseen)
    assert isinstance(record, LiveRecord)
    before = dump(alone, subject)
    set_clock(alone, node, -5 * MINUTES)
    assert answered(lambda: manager.revoke_all(subject)).count == 2
    assert manager.generation(subject) >= record.created_milliseconds
    with pytest.raises(InvalidRefreshToken):
        answered(lambda: other.refresh(seen.refresh_token))
    roll_back(alone, subject, before)
    with pytest.raises(InvalidRefreshToken):
        answered(lambda: other.refresh(unseen.refresh_token))
    assert other.stats().rollbacks >= 1
    set_clock(alone, node, ahead)

    def lives() -> bool:
        opened = other.login(subject)
        try:
            return bool(other.refresh(opened.refresh_token))
        except InvalidRefreshToken:
            return False

    eventually(lives, "a login after the generation, which the store has lost")


def test_a_login_after_the_end_of_a_kind_of_device_lives_when_the_clock_lags(
    alone: EmbeddedCluster, open_one: Any, subject: str
) -> None:
    """No session was there whose end would tell the time, and the login is not taken for older."""
    (node,) = alone.nodes
    set_clock(alone, node, 0)
    manager = open_one(alone)
    assert answered(lambda: manager.revoke_all(subject, device_type="phone")).count == 0
    set_clock(alone, node, -5 * MINUTES)
    opened = answered(lambda: manager.login(subject, device_type="phone"))
    assert answered(lambda: manager.refresh(opened.refresh_token))
    assert manager.stats().rollbacks == 0


def test_revoke_all_on_a_promoted_replica_minutes_behind(
    fragile: EmbeddedCluster, open_one: Any, subject: str
) -> None:
    manager = open_one(fragile)
    pairs = [manager.login(subject) for _ in range(2)]
    primary, _ = promote_with_clock(fragile, subject, -5 * MINUTES)
    fragile.restart(primary)
    fragile.wait_until_healthy(40)
    answered(lambda: manager.revoke_all(subject))
    generation = answered(lambda: manager.generation(subject))
    for pair in pairs:
        assert isinstance(stored(fragile, pair), Tombstone)
        with pytest.raises(SessionRevoked):
            answered(lambda pair=pair: manager.verify(pair.access_token))
    assert abs(generation / 1000 - time.time()) < 30
    opened = answered(lambda: manager.login(subject))
    record = stored(fragile, opened)
    assert isinstance(record, LiveRecord)
    assert record.created_milliseconds > generation


@pytest.mark.sampled(1)
@pytest.mark.parametrize("behind", [5 * MINUTES, 9 * MINUTES])
def test_the_time_of_a_subject_never_goes_back(
    alone: EmbeddedCluster, open_one: Any, subject: str, behind: int
) -> None:
    """Callers that know nothing of other clocks: the records tell the latest time."""
    (node,) = alone.nodes
    manager = open_one(alone)
    pair = manager.login(subject)
    first = stored(alone, pair)
    assert isinstance(first, LiveRecord)
    set_clock(alone, node, -behind)
    keeping = Housekeeping(960, time=CallTime(int(time.time() * 1000), is_agreed=False))
    call = end_calls.end_all(Keyspace(), keeping, subject, keep=None, reason="revoked")

    def flow() -> Any:
        return (yield call)

    store = SyncStore.from_url(alone.url)
    try:
        ended = store.run(flow()).reply
    finally:
        store.close()
    assert ended.now_milliseconds >= first.created_milliseconds
    tombstone = stored(alone, pair)
    assert isinstance(tombstone, Tombstone)
    assert tombstone.ended_at >= first.refreshed_at
