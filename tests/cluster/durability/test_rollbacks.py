"""A store that lost a revocation is denied, reported and repaired."""

import contextlib
import time
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster
from clusterpass.model.authentication_errors import InvalidRefreshToken, SessionRevoked
from clusterpass.model.errors import RevocationPending, StoreUnavailable

from .shards import ENDINGS, HANGING, eventually, key_of, without_replicas, without_replication

pytestmark = pytest.mark.timeout(240)


def test_a_session_that_a_stale_replica_brings_back_stays_dead(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    """The classic: replica stopped, session revoked, primary killed, replica goes on."""
    pair = manager.login(subject)
    key = key_of(subject)
    primary = fragile.primary_of(key)
    with without_replication(fragile, subject):
        assert manager.revoke(subject, pair.session_id).journaled
        fragile.kill(primary)
    fragile.wait_until_primary_changes(key, primary, HANGING)
    deadline = time.monotonic() + HANGING
    while manager.stats().pending.journaled:
        with contextlib.suppress(StoreUnavailable), pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
        fragile.restart(primary) if primary_is_down(fragile, primary) else time.sleep(0.02)
        assert time.monotonic() < deadline, "never confirmed"
    for each in (manager, other):
        with pytest.raises(SessionRevoked):
            each.verify(pair.access_token, verification="strict")


def primary_is_down(cluster: EmbeddedCluster, node: Any) -> bool:
    return next(each for each in cluster.nodes if each == node).pid is None


def roll_back(cluster: EmbeddedCluster, subject: str, dumped: bytes) -> None:
    with cluster.client(cluster.primary_of(key_of(subject))) as client:
        client.restore(key_of(subject), 0, dumped, replace=True)


def dump(cluster: EmbeddedCluster, subject: str) -> bytes:
    with cluster.client(cluster.primary_of(key_of(subject))) as client:
        found = client.dump(key_of(subject))
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_rollback_is_denied_reported_and_repaired(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str, caplog: Any
) -> None:
    pair = manager.login(subject)
    before = dump(fragile, subject)
    ENDINGS[ending](manager, pair)
    roll_back(fragile, subject, before)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)
    assert manager.stats().rollbacks >= 1
    assert pair.session_id in caplog.text
    assert pair.access_token not in caplog.text
    eventually(lambda: manager.stats().pending.waiting == 0, "repaired")
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token, verification="strict")


def test_who_only_saw_the_end_denies_it_too(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    pair = manager.login(subject)
    before = dump(fragile, subject)
    manager.revoke(subject, pair.session_id)
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token)
    roll_back(fragile, subject, before)
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token, verification="strict")
    with pytest.raises(InvalidRefreshToken):
        other.refresh(pair.refresh_token)
    assert other.sessions(subject) == []


def test_a_lower_generation_is_noticed_by_who_saw_the_higher_one(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    """``other`` never met the session that was ended, only one that was spared."""
    ended, spared = manager.login(subject), manager.login(subject)
    before = dump(fragile, subject)
    manager.revoke_all(subject, keep=spared.session_id)
    assert other.verify(spared.access_token)
    roll_back(fragile, subject, before)
    with pytest.raises(SessionRevoked):
        other.verify(ended.access_token, verification="strict")
    assert other.verify(spared.access_token, verification="strict")
    assert other.stats().rollbacks == 1


@pytest.mark.parametrize("ending", ["revoke_all", "ban"])
def test_who_saw_one_end_with_all_others_denies_the_others_too(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    """``other`` was told of the end by a refusal only, of another session."""
    seen, unseen, remembered = (manager.login(subject) for _ in range(3))
    before = dump(fragile, subject)
    assert other.verify(remembered.access_token)
    ENDINGS[ending](manager, seen)
    with pytest.raises(SessionRevoked):
        other.verify(seen.access_token, verification="strict")
    roll_back(fragile, subject, before)
    with pytest.raises(InvalidRefreshToken):
        other.refresh(unseen.refresh_token)
    for each in (unseen, remembered):
        with pytest.raises(SessionRevoked):
            other.verify(each.access_token)
    assert other.sessions(subject) == []
    assert other.stats().rollbacks >= 1


def test_by_the_token_alone_what_was_seen_to_end_is_over_too(
    fragile: EmbeddedCluster, open_one: Any, config: Config, subject: str
) -> None:
    manager = open_one(fragile.url, replace(config, verification="stateless"))
    pair, other = manager.login(subject), manager.login(subject)
    assert manager.verify(pair.access_token).is_stateless
    manager.revoke(subject, pair.session_id)
    with pytest.raises(SessionRevoked):
        manager.verify(pair.access_token)
    assert manager.verify(other.access_token).is_stateless


def test_an_impersonation_ends_with_what_is_known_of_its_actor(
    fragile: EmbeddedCluster, manager: Any, new_subject: Any
) -> None:
    """The store lost the actor's logout; the process that saw it end the impersonation knows."""
    support, customer = new_subject(), new_subject()
    pair = manager.login(support)
    actor = manager.verify(pair.access_token)
    acting = manager.impersonate(actor, customer, reason="ticket")
    before = dump(fragile, support)
    manager.logout(pair.access_token)
    roll_back(fragile, support, before)
    with pytest.raises(SessionRevoked) as end:
        manager.verify(acting.access_token)
    assert (end.value.reason, end.value.note) == ("revoked", "the impersonation has ended")
    for verification in ("strict", "stateless"):
        with pytest.raises(SessionRevoked):
            manager.verify(acting.access_token, verification=verification)
    roll_back(fragile, support, before)
    with pytest.raises(InvalidRefreshToken):
        manager.refresh(acting.refresh_token)
    roll_back(fragile, support, before)
    with pytest.raises(SessionRevoked):
        manager.impersonate(actor, customer, reason="another ticket")
    eventually(lambda: manager.stats().rollbacks >= 1, "the lost logout is counted")


@pytest.mark.sampled(1)
def test_an_impersonation_ends_while_its_actors_logout_is_pending(
    fragile: EmbeddedCluster, manager: Any, new_subject: Any
) -> None:
    support, customer = new_subject(), new_subject()
    pair = manager.login(support)
    actor = manager.verify(pair.access_token)
    acting = manager.impersonate(actor, customer, reason="ticket")
    node = fragile.primary_of(key_of(support))
    with fragile.client(node) as client, without_replicas(fragile):
        client.config_set("min-replicas-to-write", 9)
        try:
            with pytest.raises(RevocationPending):
                manager.logout(pair.access_token)
            with pytest.raises(SessionRevoked):
                manager.verify(acting.access_token)
            with pytest.raises(SessionRevoked):
                manager.impersonate(actor, customer, reason="another ticket")
        finally:
            client.config_set("min-replicas-to-write", 0)
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
