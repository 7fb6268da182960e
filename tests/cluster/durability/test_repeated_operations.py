"""An operation that is repeated changes nothing that came after its first time."""

from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.model.errors import (
    InvalidInput,
    RevocationPending,
    StoreUnavailable,
    SubjectBanned,
)

from .shards import eventually, is_accepted, key_of, paused, without_replicas

pytestmark = pytest.mark.timeout(240)


def test_an_operation_that_is_repeated_is_recognised(manager: Any, subject: str) -> None:
    first, second = manager.login(subject), manager.login(subject)
    operation = "0123456789abcdef"
    assert manager.revoke_all(subject, operation_id=operation).count == 2
    later = manager.login(subject)
    assert manager.revoke_all(subject, operation_id=operation).count == 2
    assert manager.verify(later.access_token)
    told = manager.revoke(subject, later.session_id, operation_id="00000000000000aa")
    again = manager.revoke(subject, later.session_id, operation_id="00000000000000aa")
    other_one = manager.revoke(subject, later.session_id)
    assert (told.count, again.count, other_one.count) == (1, 1, 0)
    for pair in (first, second, later):
        assert not is_accepted(manager, pair.access_token)


def test_a_ban_that_is_repeated_does_not_come_back(manager: Any, subject: str) -> None:
    operation = "0123456789abcdef"
    manager.bans.add(subject, operation_id=operation)
    with pytest.raises(SubjectBanned):
        manager.login(subject)
    assert manager.bans.lift(subject).count == 1
    manager.bans.add(subject, operation_id=operation)
    assert manager.login(subject)


def test_many_ended_sessions_are_told_again(manager: Any, subject: str) -> None:
    told: list[Any] = []
    manager.on("revoked")(told.append)
    for _ in range(9):
        manager.login(subject)
    operation = "fedcba9876543210"
    for _ in range(2):
        assert manager.revoke_all(subject, operation_id=operation).count == 9
    eventually(lambda: len(told) == 2, "told")
    assert len(set(told[0].session_ids)) == 9
    assert set(told[0].session_ids) == set(told[1].session_ids)


@pytest.mark.parametrize("operation_id", ["", "x", "0" * 16, "0123", 5, "g" * 16])
def test_what_is_no_operation_id(manager: Any, subject: str, operation_id: Any) -> None:
    with pytest.raises(InvalidInput, match="operation_id"):
        manager.revoke_all(subject, operation_id=operation_id)


@pytest.mark.parametrize("verb", ["revoke_all", "ban"])
def test_who_repeats_an_operation_denies_nobody_who_came_later(
    manager: Any, subject: str, verb: str
) -> None:
    """What is remembered here goes by the time of the first one, too."""
    operation = "0123456789abcdef"
    act = manager.revoke_all if verb == "revoke_all" else manager.bans.add
    before = manager.login(subject)
    act(subject, operation_id=operation)
    manager.bans.lift(subject)
    later = manager.login(subject)
    act(subject, operation_id=operation)
    assert is_accepted(manager, later.access_token)
    assert not is_accepted(manager, before.access_token)


@pytest.mark.parametrize("ending", ["revoke_all", "ban"])
def test_a_repetition_while_the_shard_is_away_touches_nothing_that_came_later(
    fragile: EmbeddedCluster, manager: Any, subject: str, ending: str
) -> None:
    """This process enforces what cannot be confirmed, and no more than the first call did."""

    def act() -> Any:
        end = manager.revoke_all if ending == "revoke_all" else manager.bans.add
        return end(subject, operation_id="00000000000000aa")

    before = manager.login(subject)
    assert act().durable
    manager.bans.lift(subject)
    later = manager.login(subject)
    assert is_accepted(manager, later.access_token)
    with without_replicas(fragile), paused(fragile, fragile.primary_of(key_of(subject))):
        with pytest.raises(RevocationPending):
            act()
        with pytest.raises(StoreUnavailable):  # nobody knows of an end, as nobody can be asked
            manager.verify(later.access_token)
    eventually(lambda: manager.stats().pending.waiting == 0, "confirmed")
    assert is_accepted(manager, later.access_token)
    assert not is_accepted(manager, before.access_token)
