"""Idle connections, once one of them was found dead: which are closed and which are kept."""

import pytest

from clusterpass.store.address import Address
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.wire.idle_connections import concerns_all_nodes

A, B = Address("a", 1), Address("b", 1)


@pytest.mark.parametrize(
    ("idle_since", "sent_at", "expected"),
    [(10.0, 10.5, False), (10.0, 11.0, True), (10.0, 70.0, True)],
)
def test_a_moment_of_idling_says_nothing_about_other_nodes(
    idle_since: float, sent_at: float, expected: bool
) -> None:
    assert concerns_all_nodes(idle_since, sent_at) is expected


def idle_at(store: SyncStore, node: Address) -> list[float]:
    return [since for _, since in store._pool(node)._idle]


@pytest.fixture
def store() -> SyncStore:
    """With connections to two nodes that idle since 10, 20 and 30 seconds of the clock."""
    made = SyncStore(parse_store_url("redis+cluster://a:1,b:1"))
    for node in (A, B):
        pool = made._pool(node)
        pool._idle.extend((pool._connect(), since) for since in (10.0, 20.0, 30.0))
    return made


def test_what_idled_as_long_is_closed_at_every_node(store: SyncStore) -> None:
    fault = Fault("timeout", idle_since=20.0)
    assert store._noted(fault, A, 25.0) is fault
    assert (idle_at(store, A), idle_at(store, B)) == ([30.0], [30.0])


def test_after_a_moment_of_idling_the_other_nodes_are_spared(store: SyncStore) -> None:
    store._noted(Fault("timeout", idle_since=20.0), A, 20.5)
    assert (idle_at(store, A), idle_at(store, B)) == ([30.0], [10.0, 20.0, 30.0])


@pytest.mark.parametrize("outcome", [Replies([1]), Fault("timeout"), Fault("connection")])
def test_what_tells_of_no_idle_connection_closes_none(
    store: SyncStore, outcome: Replies | Fault
) -> None:
    store._noted(outcome, A, 50.0)
    assert (idle_at(store, A), idle_at(store, B)) == ([10.0, 20.0, 30.0], [10.0, 20.0, 30.0])
