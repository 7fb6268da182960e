"""A revocation that neither shard nor journals confirm is in force, pending, and repeated."""

import os
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.model.authentication_errors import InvalidRefreshToken, SessionRevoked
from clusterpass.model.errors import RevocationPending, SubjectBanned

from .shards import ENDINGS, eventually, is_accepted, without_primary, without_replicas

pytestmark = pytest.mark.timeout(240)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_end_that_no_replica_confirms_is_pending_and_in_force(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    pair = manager.login(subject)
    assert pair.durable
    assert manager.verify(pair.access_token)
    with without_replicas(fragile):
        with pytest.raises(RevocationPending) as pending:
            ENDINGS[ending](manager, pair)
        assert pending.value.status == 503
        assert pending.value.reason == "unconfirmed"
        assert pending.value.is_retried
        assert len(pending.value.operation_id) == 16
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
        with pytest.raises(InvalidRefreshToken):
            manager.refresh(pair.refresh_token)
        assert manager.stats().pending.waiting == 1
        with pytest.raises(SessionRevoked):  # it was carried out, if not confirmed
            other.verify(pair.access_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    assert manager.stats().pending.confirmed == 1
    assert manager.stats().rollbacks == 0


@pytest.mark.parametrize("ending", ["logout", "revoke_all"])
def test_an_end_that_cannot_reach_the_store_is_in_force_here(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str, ending: str
) -> None:
    """Also while the store does not answer, and for those who would accept by grace."""
    pair = manager.login(subject)
    assert manager.verify(pair.access_token)
    with without_primary(fragile, subject):
        with pytest.raises(RevocationPending) as pending:
            ENDINGS[ending](manager, pair)
        assert pending.value.reason != "unconfirmed"
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token)
        with pytest.raises(SessionRevoked):
            manager.verify(pair.access_token, outage_grace=60)
        if ending == "logout":  # known by its id; of the others only the store knows which they are
            with pytest.raises(InvalidRefreshToken):
                manager.refresh(pair.refresh_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "carried out and confirmed")
    with pytest.raises(SessionRevoked):
        other.verify(pair.access_token, verification="strict")


def test_a_revocation_that_is_carried_out_late_spares_who_came_later(
    fragile: EmbeddedCluster, manager: Any, other: Any, subject: str
) -> None:
    before = manager.login(subject)
    with without_replicas(fragile):
        with pytest.raises(RevocationPending):
            manager.revoke_all(subject)
        later = other.login(subject)
        assert not later.durable
        assert is_accepted(manager, later.access_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    assert is_accepted(other, later.access_token)
    assert is_accepted(manager, later.access_token)
    assert not is_accepted(other, before.access_token)


def test_a_pending_ban_from_a_scope_is_told_with_the_session(
    fragile: EmbeddedCluster, manager: Any, subject: str
) -> None:
    pair = manager.login(subject)
    with without_replicas(fragile):
        with pytest.raises(RevocationPending):
            manager.bans.add(subject, scope="comments", reason="spam")
        with pytest.raises(SubjectBanned):
            manager.verify(pair.access_token).require_not_banned("comments")
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    assert [ban.scope for ban in manager.verify(pair.access_token).bans] == ["comments"]


def test_the_child_of_a_fork_leaves_what_is_pending_to_its_parent(
    fragile: EmbeddedCluster, config: Config, subject: str
) -> None:
    for verification in ("cached", "strict"):
        chosen = replace(config, verification=verification)
        with SessionManager.from_url(fragile.url, chosen) as manager:
            pair = manager.login(subject)
            with without_replicas(fragile):
                with pytest.raises(RevocationPending):
                    manager.revoke(subject, pair.session_id)
                child = os.fork()
                if child == 0:
                    os._exit(manager.stats().pending.waiting)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                assert manager.stats().pending.waiting == 1
            eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
