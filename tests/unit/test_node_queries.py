"""The nodes that a store asks for the slot map, and their order."""

from collections.abc import Iterator

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from clusterpass.store.address import Address
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.exchanges.node_queries import ask_one, look_up, reach_primary
from clusterpass.store.exchanges.primary_role import is_primary
from clusterpass.store.exchanges.steps import Drop, LookUp, Send
from clusterpass.store.outcomes import Fault, Replies, ServerError
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
        store.breakers.silent.clear()
        order = asked(store)
        assert set(order[:3]) == set(SEEDS[:3])
        assert sorted(order) == SEEDS


def test_whoever_else_was_a_member_comes_after_the_seeds(store):
    """All nodes may have other addresses by now but one that was no seed."""
    others = {Address("10.0.1.1", 7000), Address("10.0.1.2", 7000)}
    for _ in range(10):
        store.breakers.silent.clear()
        members = frozenset({*others, SEEDS[0]})
        store.slots = SlotMap(owned_by(*SEEDS[:3]).shards, 3, members=members)
        order = asked(store)
        assert set(order[:3]) == set(SEEDS[:3])
        assert set(order[3:6]) == set(SEEDS[3:])
        assert set(order[6:]) == others


def test_who_was_asked_in_vain_is_told_with_the_error_of_a_call(store):
    asked(store)
    error = StoreUnavailable(reason="connection")
    store._tell(error)
    assert error.tried == tuple(f"{node}: no answer in time" for node in SEEDS)
    steps = store.search(LookUp(0, None, float("inf")))
    next(steps)
    ended_by(steps, Replies([SLOT_LIST, b""]))
    error = StoreUnavailable(reason="connection")
    store._tell(error)
    assert error.tried == ()


def test_who_is_silent_comes_last(store):
    store.slots = owned_by(*SEEDS[:3])
    for _ in range(30):
        store.breakers.silent.clear()
        store.breakers.failed(SEEDS[1], "timeout")
        order = asked(store)
        assert set(order[:2]) == {SEEDS[0], SEEDS[2]}
        assert order[-1] == SEEDS[1]


def test_where_no_primary_answers_all_are_silent_from_the_look_up_on_at_least(store):
    store.slots = owned_by(*SEEDS[:3])
    store.breakers.failed(SEEDS[1], "timeout", age=2.0)
    asked(store)
    assert {*store.silent_nodes()} == {str(node) for node in SEEDS[:3]}
    first, known, third = (store.breakers.silent[node].since for node in SEEDS[:3])
    assert first == third
    assert first - known >= 2.0, "who was asked before is silent for longer"


def test_where_a_primary_answers_the_others_are_not_judged(store):
    store.slots = owned_by(*SEEDS[:3])
    steps = store.search(LookUp(3, None, float("inf")))
    next(steps)
    steps.send(Fault("timeout"))
    with pytest.raises(StopIteration):
        steps.send(Replies([SLOT_LIST, b""]))
    assert store.silent_nodes() == ()


def ended(steps, *outcomes):
    """The result of an exchange that asks once for each outcome."""
    next(steps)
    for outcome in outcomes[:-1]:
        steps.send(outcome)
    return ended_by(steps, outcomes[-1])


def ended_by(steps, outcome):
    """The result of an exchange that ends with ``outcome``."""
    with pytest.raises(StopIteration) as stop:
        steps.send(outcome)
    return stop.value.value


A, B = SEEDS[:2]
SLOT_LIST = [[0, SLOTS - 1, [b"10.0.0.1", 7000, b"a" * 40]]]


def look(candidates, suspect=None, now=5.0, until=9.0):
    return look_up(candidates, suspect, 4, lambda: now, until)


def test_the_suspect_is_asked_last():
    steps = look([A, B], suspect=A)
    assert next(steps).address == B
    assert steps.send(Fault("timeout")).address == A


def test_the_first_slots_that_are_told_are_taken():
    slots = ended(look([A, B]), Replies([[], b""]), Replies([SLOT_LIST, b""]))
    assert (slots.version, slots.taken_at, slots.primaries()) == (4, 5.0, [A])


def test_nobody_is_asked_after_the_time_is_up():
    assert list(look([A], now=9.0)) == []
    assert ended(look([A]), Fault("connection")) is None


def test_a_connection_that_was_closed_while_idle_is_no_answer():
    steps = look([A, B])
    assert next(steps).address == A
    assert steps.send(Fault("connection", stale=True)).address == A
    assert steps.send(Fault("connection")).address == B


def test_a_server_that_cannot_tell_is_passed_over_unless_no_other_can():
    passing = ServerError("LOADING", "x")
    slots = ended(look([A, B]), Replies([passing, b""]), Replies([SLOT_LIST, b""]))
    assert slots.version == 4
    steps = look([A])
    next(steps)
    with pytest.raises(StoreFailed, match=r"10\.0\.0\.1:7000 is a single server: use redis://"):
        steps.send(Replies([ServerError("ERR", "This instance has cluster support disabled"), b""]))
    steps = look([A])
    next(steps)
    with pytest.raises(StoreDenied):
        steps.send(Replies([SLOT_LIST, ServerError("NOPERM", "no")]))


def test_one_node_is_asked_one_command():
    assert ended(ask_one(A, (b"GET", b"k")), Replies([b"v"])) == b"v"
    steps = ask_one(A, (b"GET", b"k"))
    assert next(steps) == Send(A, ((b"GET", b"k"),))
    for outcome, reason in (
        (Fault("timeout"), "timeout"),
        (Replies([ServerError("LOADING", "x")]), "loading"),
    ):
        steps = ask_one(A, (b"GET", b"k"))
        next(steps)
        with pytest.raises(StoreUnavailable) as caught:
            steps.send(outcome)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("outcome", "is_believed"),
    [
        (Replies([[b"master", 0, []]]), True),
        (Replies([[b"slave", b"h"]]), False),
        (Replies([b"master"]), False),
        (Replies([ServerError("NOPERM", "x")]), True),
        (Replies([ServerError("ERR", "x")]), True),
        (Replies([ServerError("LOADING", "x")]), False),
        (Fault("timeout"), False),
    ],
)
def test_a_single_server_says_whether_it_is_a_primary(outcome, is_believed):
    steps = is_primary(A)
    assert next(steps).urgent
    if isinstance(outcome, Replies) and outcome.values == [[b"slave", b"h"]]:
        assert steps.send(outcome) == Drop(A)
        assert ended_by(steps, None) is False
    else:
        assert ended_by(steps, outcome) is is_believed


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Fault("timeout"), "timeout"),
        (Replies([ServerError("LOADING", "x"), []]), "loading"),
    ],
)
def test_who_looks_for_a_primary_is_told_why_there_is_none(outcome, reason):
    steps = reach_primary([A, B], lambda: 9.0, 9.0)
    assert next(steps).address == A
    with pytest.raises(StoreUnavailable) as caught:
        steps.send(outcome)
    assert caught.value.reason == reason, "and the other is not asked, as the time is up"
    steps = reach_primary([A, B], lambda: 5.0, 9.0)
    next(steps)
    assert steps.send(outcome).address == B


def test_replicas_are_counted_where_a_single_server_has_redirected():
    """The server was a node of a cluster: what others own is counted like its own."""
    counted = SlotMap.single(A).moved(7, B).with_replicas(1, 5.0)
    assert [counted.shard(slot).primary for slot in (6, 7)] == [A, B]
    assert {counted.shard(slot).replicas for slot in (6, 7)} == {1}
    assert counted.is_replicated


class Counted:
    """A single server that is asked how many replicas it has."""

    def __init__(self) -> None:
        self.store = SyncStore.from_url(f"redis://{A}")

    def count(self, role, *info):
        steps = self.store.search(LookUp(self.store.slots.version, None, float("inf")))
        no_cluster = ServerError("ERR", "This instance has cluster support disabled")
        ended(steps, Replies([role, no_cluster]), *(Replies([each]) for each in info))
        shard = self.store.slots.shard(0)
        assert shard is not None
        return shard.replicas, self.store.missing_commands(), self.store.describe_durability()


def test_replicas_are_counted_by_info_where_role_is_refused():
    counted = Counted()
    refusal = ServerError("NOPERM", "User a has no permissions to run the 'role' command")
    replicas, missing, durability = counted.count(refusal, b"connected_slaves:2\r\n")
    assert (replicas, durability) == (2, "replicated")
    assert [text.partition(":")[0] for text in missing] == ["ROLE"]
    replicas, missing, durability = counted.count(refusal, refusal)
    assert (replicas, durability.partition(" (")[0]) == (0, "primary")
    assert [text.partition(":")[0] for text in missing] == ["INFO", "ROLE"]
    replicas, missing, durability = counted.count([b"master", 7, [[b"h", b"1", b"7"]]])
    assert (replicas, missing, durability) == (1, (), "replicated")
