"""An ending that its own shard cannot confirm is confirmed by the journals of two others."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster
from clusterpass.model.authentication_errors import InvalidRefreshToken, SessionRevoked
from clusterpass.model.errors import RevocationPending, StoreUnavailable, SubjectBanned
from clusterpass.protocol.keyspace import JOURNAL_SLOTS, Keyspace

from .shards import (
    ENDINGS,
    HANGING,
    confirmed,
    eventually,
    is_accepted,
    key_of,
    paused,
    replica_of,
    without_replication,
)

pytestmark = pytest.mark.timeout(240)
KEYSPACE = Keyspace()


def entries_in(cluster: EmbeddedCluster) -> list[int]:
    """Return the number of entries in each journal."""
    found = []
    for slot in JOURNAL_SLOTS:
        key = KEYSPACE.journal(slot)
        with cluster.client(cluster.primary_of(key)) as client:
            found.append(sum(name.startswith(b"e") for name in client.hkeys(key)))
    return found


def wait_until_trimmed(cluster: EmbeddedCluster) -> None:
    eventually(lambda: entries_in(cluster) == [0, 0, 0], "trimmed")


def answered(ask: Callable[[], Any]) -> Any:
    """The answer, once there is one: a node that did not answer is not asked for a moment."""
    until = time.monotonic() + HANGING
    while True:
        try:
            return ask()
        except StoreUnavailable:
            assert time.monotonic() < until
            time.sleep(0.02)


def is_refused_by_all(managers: list[Any], token: str) -> bool:
    """Whether a verify that asks the store is refused, whoever asks."""
    for manager in managers:
        with contextlib.suppress(SessionRevoked):
            answered(partial(manager.verify, token, verification="strict"))
            return False
    return True


@pytest.mark.sampled(5)
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_is_confirmed_while_its_shard_has_lost_its_replica(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    pair = manager.login(subject)
    other.verify(pair.access_token)
    with paused(fragile, replica_of(fragile, subject)):
        ended = confirmed(ending, manager, pair)
        assert (ended.durable, ended.journaled, ended.count) == (True, True, 1)
        assert is_refused_by_all([manager, other], pair.access_token)
        assert manager.stats().pending.journaled == 1
        eventually(lambda: entries_in(fragile).count(1) >= 2, "in two journals")
    wait_until_trimmed(fragile)
    assert is_refused_by_all([manager, other], pair.access_token)


@pytest.mark.parametrize("ending", ["logout", "revoke_all", "ban"])
def test_an_ending_is_confirmed_while_its_shard_does_not_answer(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    pair = manager.login(subject)
    other.verify(pair.access_token)
    primary, replica = fragile.primary_of(key_of(subject)), replica_of(fragile, subject)
    with paused(fragile, replica, primary):
        ended = confirmed(ending, manager, pair)
        assert (ended.durable, ended.journaled) == (True, True)
    # The primary answers again, and was never told of the ending.
    assert is_refused_by_all([other, manager], pair.access_token)
    with pytest.raises((InvalidRefreshToken, SubjectBanned)):
        answered(lambda: other.refresh(pair.refresh_token))
    if ending == "ban":
        with pytest.raises(SubjectBanned):
            answered(lambda: other.login(subject))
    wait_until_trimmed(fragile)
    assert is_refused_by_all([manager, other], pair.access_token)


BEFORE_A_PROMOTION: dict[str, Callable[[Any, Any], Any]] = {
    "logout": ENDINGS["logout"],
    # Over before a replica can be promoted: it has ended the sessions all the same.
    "short ban": lambda manager, pair: manager.bans.add(pair.subject, reason="", for_seconds=1),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("ending", BEFORE_A_PROMOTION)
def test_what_journals_hold_survives_the_promotion_of_a_replica_that_never_had_it(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    """The replica stands still while the ending is confirmed, and is promoted then."""
    pair = manager.login(subject)
    assert pair.durable
    old = fragile.primary_of(key_of(subject))
    with without_replication(fragile, subject):
        assert BEFORE_A_PROMOTION[ending](manager, pair).journaled
        fragile.kill(old)
    fragile.wait_until_primary_changes(key_of(subject), old, HANGING)
    later = answered(lambda: other.login(subject))
    assert is_refused_by_all([other, manager], pair.access_token)
    assert answered(lambda: is_accepted(manager, later.access_token))
    with pytest.raises(InvalidRefreshToken):
        answered(lambda: other.refresh(pair.refresh_token))
    fragile.restart(old)
    wait_until_trimmed(fragile)
    assert is_refused_by_all([other, manager], pair.access_token)


@pytest.mark.sampled(1)
def test_an_ending_outlives_the_process_that_asked_for_it(
    fragile: EmbeddedCluster, open_one: Any, other: Any, config: Config, subject: str
) -> None:
    asking = open_one(fragile.url, config)
    pair = asking.login(subject)
    other.verify(pair.access_token)
    with paused(fragile, replica_of(fragile, subject)):
        assert asking.logout(pair.access_token).journaled
        asking.close()
        assert is_refused_by_all([other], pair.access_token)
    # Nobody asks about the subject, and somebody has carried the ending out for good.
    wait_until_trimmed(fragile)


@pytest.mark.parametrize("verification", ["cached", "strict"])
def test_a_process_that_starts_knows_what_the_journals_hold(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str, verification: str
) -> None:
    first = open_one(fragile.url, config)
    pair = first.login(subject)
    primary, replica = fragile.primary_of(key_of(subject)), replica_of(fragile, subject)
    with paused(fragile, replica, primary):
        assert first.revoke_all(subject).journaled
        first.close()
    later = open_one(fragile.url, replace(config, verification=verification))
    assert not answered(lambda: is_accepted(later, pair.access_token))


@pytest.mark.sampled(1)
def test_a_journaled_revocation_spares_who_logs_in_later(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    before = manager.login(subject)
    primary, replica = fragile.primary_of(key_of(subject)), replica_of(fragile, subject)
    with paused(fragile, replica, primary):
        assert manager.revoke_all(subject).journaled
    with paused(fragile, replica):
        later = answered(lambda: other.login(subject))
        assert answered(lambda: is_accepted(manager, later.access_token))
        assert not is_accepted(other, before.access_token)
        # More operations than a subject keeps, apart from those that journals may repeat.
        for _ in range(12):
            manager.logout(manager.login(subject).access_token)
        assert is_accepted(other, later.access_token)
    wait_until_trimmed(fragile)
    for each in (manager, other):
        assert is_accepted(each, later.access_token)
        assert not is_accepted(each, before.access_token)


def test_a_ban_that_is_lifted_stays_lifted(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    manager.login(subject)  # a process that has begun is quick enough for no failover to happen
    primary, replica = fragile.primary_of(key_of(subject)), replica_of(fragile, subject)
    with paused(fragile, replica, primary):
        assert manager.bans.add(subject, reason="spam").journaled
    with paused(fragile, replica):
        with pytest.raises(SubjectBanned):
            answered(lambda: other.login(subject))
        assert other.bans.lift(subject).count == 1
        later = answered(lambda: manager.login(subject))
        assert is_accepted(other, later.access_token)
    wait_until_trimmed(fragile)
    assert is_accepted(manager, later.access_token)
    assert tuple(manager.bans.list(subject)) == ()


def test_what_one_journal_alone_could_confirm_is_pending(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    pair = manager.login(subject)
    others = [
        fragile.replicas_of(KEYSPACE.journal(slot))[0]
        for slot in JOURNAL_SLOTS
        if fragile.primary_of(KEYSPACE.journal(slot)) != fragile.primary_of(key_of(subject))
    ]
    with paused(fragile, replica_of(fragile, subject), others[0]):
        with pytest.raises(RevocationPending) as pending:
            manager.logout(pair.access_token)
        assert pending.value.is_retried
        assert manager.stats().pending.waiting == 1
        assert is_refused_by_all([manager], pair.access_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    wait_until_trimmed(fragile)
    assert is_refused_by_all([other], pair.access_token)


def test_the_same_operation_is_confirmed_again_and_another_is_refused(
    fragile: EmbeddedCluster, manager: Any, subject: str
) -> None:
    operation = "0123456789abcdef"
    pair, second = manager.login(subject), manager.login(subject)
    with paused(fragile, replica_of(fragile, subject)):
        for _ in range(2):
            ended = manager.revoke(subject, pair.session_id, operation_id=operation)
            assert (ended.journaled, ended.count) == (True, 1)
    wait_until_trimmed(fragile)
    assert is_accepted(manager, second.access_token)


@pytest.mark.sampled(1)
def test_journals_are_filled_after_every_server_was_restarted(
    fragile: EmbeddedCluster, manager: Any, subject: str
) -> None:
    manager.login(subject)
    for node in fragile.nodes:
        fragile.kill(node)
    for node in fragile.nodes:
        fragile.restart(node)
    fragile.wait_until_healthy(HANGING)
    pair = answered(lambda: manager.login(subject))
    assert answered(lambda: is_accepted(manager, pair.access_token))
    with paused(fragile, replica_of(fragile, subject)):
        assert manager.logout(pair.access_token).journaled
    wait_until_trimmed(fragile)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("verification", ["cached", "strict"])
def test_a_cutoff_is_confirmed_while_one_of_its_copies_cannot_be(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str, verification: str
) -> None:
    """Also for a process that starts later, and reads the one copy that does not have it."""
    asking = open_one(fragile.url, config)
    other = open_one(fragile.url, replace(config, verification=verification))
    pair = asking.login(subject)
    assert is_accepted(other, pair.access_token)
    key = KEYSPACE.not_before(JOURNAL_SLOTS[0])
    primary, (replica,) = fragile.primary_of(key), fragile.replicas_of(key)
    with paused(fragile, replica, primary):
        assert asking.revoke_before().durable
    assert is_refused_by_all([other, asking], pair.access_token)
    with fragile.client(fragile.primary_of(key)) as client:
        client.delete(key)
    later = open_one(fragile.url, replace(config, verification=verification))
    later._flows.memory.cutoff.copy = 0
    assert not answered(lambda: is_accepted(later, pair.access_token))
    assert answered(lambda: is_accepted(later, asking.login(subject).access_token))
