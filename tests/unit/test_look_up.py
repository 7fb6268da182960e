"""Whom a store asks for the slots, and in which order."""

from collections.abc import Iterator

import pytest

from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.exchanges.steps import LookUp, Send
from clusterpass.store.location import Address
from clusterpass.store.outcomes import Fault
from clusterpass.store.topology.slots import SLOTS, Shard, SlotMap

SEEDS = [Address("10.0.0.1", 7000 + number) for number in range(6)]


@pytest.fixture
def store() -> Iterator[SyncStore]:
    seeds = ",".join(map(str, SEEDS))
    opened = SyncStore.from_url(f"redis+cluster://{seeds}")
    yield opened
    opened.close()


def asked(store: SyncStore) -> list[Address]:
    """In order, when none of them answers."""
    steps = store.search(LookUp(store.slots.version, None, float("inf")))
    found = []
    try:
        step = next(steps)
        while True:
            assert isinstance(step, Send)
            found.append(step.address)
            step = steps.send(Fault("timeout"))
    except StopIteration:
        return found


def owned_by(*primaries: Address) -> SlotMap:
    shards: list[Shard | None] = [Shard(primaries[n % len(primaries)], 1) for n in range(SLOTS)]
    return SlotMap(shards, 3)


def test_at_first_all_seeds_in_an_order_of_chance(store):
    orders = {tuple(asked(store)) for _ in range(30)}
    assert len(orders) > 5
    assert all(sorted(order) == SEEDS for order in orders)


def test_who_owns_slots_comes_first(store):
    """The others may be those that were replaced as they hung."""
    store.slots = owned_by(*SEEDS[:3])
    for _ in range(30):
        order = asked(store)
        assert set(order[:3]) == set(SEEDS[:3])
        assert sorted(order) == SEEDS


def test_who_is_silent_comes_last(store):
    store.slots = owned_by(*SEEDS[:3])
    store.breakers.failed(SEEDS[1], "timeout")
    for _ in range(30):
        order = asked(store)
        assert set(order[:2]) == {SEEDS[0], SEEDS[2]}
        assert order[-1] == SEEDS[1]
