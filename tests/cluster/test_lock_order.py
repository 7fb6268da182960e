"""No two threads can wait for each other's locks, whatever both do."""

import dataclasses
import threading

import pytest

from clusterpass import AuditPolicy, Config, KeyRing, ManagedKeys
from clusterpass.tokens.key_encryption import new_encryption_key

from .lock_order import Order, RecordedLock, recorded
from .stored import eventually, new_namespace, opened_apart

HOW = ManagedKeys(rotate_after=86_400, publish_before=3600)


@pytest.fixture
def everything(config: Config) -> Config:
    """All that takes locks of its own: keys in the store, and an audit trail."""
    return dataclasses.replace(
        config,
        keys=KeyRing.in_store(HOW),
        key_encryption_keys=(new_encryption_key(),),
        audit=AuditPolicy(),
    )


def test_an_order_in_a_circle_is_told() -> None:
    """Or else the test below would say nothing."""
    order = Order()
    first, second, third = (RecordedLock("RLock", name, order) for name in "abc")
    with first, second, first:
        assert order.circle() == []
    with second, third:
        assert order.circle() == []

    def other_way_round() -> None:
        with third, first:
            pass

    thread = threading.Thread(target=other_way_round)
    thread.start()
    thread.join()
    assert order.circle() == ["a#1", "b#1", "c#1", "a#1"]


def test_locks_are_taken_in_one_order(
    engine: tuple[object, str], everything: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = new_namespace()
    with (
        recorded(monkeypatch) as order,
        opened_apart(engine, everything, namespace) as one,
        opened_apart(engine, everything, namespace) as other,
    ):
        told: list[object] = []
        for manager in (one, other):
            manager.on(scope="cluster")(told.append)
        for turn in range(3):
            pair = one.login("alice", device=str(turn))
            assert other.verify(pair.access_token).subject == "alice"
            pair = other.refresh(pair.refresh_token)
            one.claims.set("alice", {"turn": turn})
            one.keys.rotate()
            pair = one.refresh(pair.refresh_token)
            eventually(lambda token=pair.access_token: other.verify(token))
            for manager in (one, other):
                manager._flows.memory.near.pushed("nobody", None)
                manager._flows.known_secrets.changed()
            other.revoke_all("alice")
            one.sessions("alice")
        eventually(lambda: len(told) > 6)
        one.audit.flush()
    assert len(order.later) > 3, "locks were taken while others were held"
    assert order.circle() == []
