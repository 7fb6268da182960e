"""The queue of pending revocations: which are retried, and when."""

import threading

import pytest

from clusterpass.protocol.script import Script, ScriptCall
from clusterpass.sessions.memory import pending_revocations as module
from clusterpass.sessions.memory.pending_revocations import PendingRevocations
from clusterpass.sessions.revocations.retry_call import retry_of
from clusterpass.store.address import Address
from clusterpass.store.exchanges.carry_out import carry_out
from clusterpass.store.exchanges.circuit_breaker import CircuitBreakers
from clusterpass.store.exchanges.steps import LookUp, Pause, Send
from clusterpass.store.exchanges.terms import Terms
from clusterpass.store.outcomes import Replies
from clusterpass.store.patience import Patience
from clusterpass.store.topology.slots import Shard, SlotMap

A, B, C = (Address(host, 1) for host in "abc")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def owners() -> dict[int, Address]:
    """The owner of each slot."""
    return {1: A, 2: A, 3: B, 4: C}


@pytest.fixture
def queue(clock: Clock, owners: dict[int, Address]) -> PendingRevocations:
    queue = PendingRevocations(clock, threading.RLock, lambda: 1.0)
    queue.owner_of = owners.get
    return queue


def never():
    raise AssertionError("not carried out here")


def first_due(queue):
    """The revocation that is retried next."""
    ((_, revocations),) = queue.due()
    return revocations[0]


def lanes_due(queue, **options):
    """Return the retries that are due: owner and kinds of each lane."""
    return {
        owner: [each.kind for each in revocations]
        for (owner, _), revocations in queue.due(most=99, **options)
    }


def test_each_has_its_time_and_waits_longer_each_time(queue, clock):
    assert queue.seconds_until_due() is None
    assert queue.add("end of a session", never)
    assert queue.due() == []
    assert queue.seconds_until_due() == pytest.approx(0.1)
    waits = []
    for _ in range(10):
        clock.now += queue.seconds_until_due() + 1e-9
        queue.put_off(first_due(queue))
        waits.append(queue.seconds_until_due())
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(5.0)
    stats = queue.stats()
    assert (stats.waiting, stats.confirmed) == (1, 0)
    assert stats.oldest_seconds == pytest.approx(clock.now - 100)


def test_what_is_confirmed_leaves(queue, clock):
    queue.add("ban", never)
    clock.now += 1
    settled = first_due(queue)
    queue.settle(settled)
    queue.settle(settled)
    queue.put_off(settled)
    assert queue.due() == []
    assert len(queue) == 0
    assert queue.stats().confirmed == 1


def test_the_same_repair_waits_once(queue, clock):
    assert queue.add("repair", never, once_for=b"session")
    assert queue.add("repair", never, once_for=b"session")
    assert queue.add("repair", never, once_for=b"another")
    assert len(queue) == 2
    clock.now += 1
    queue.settle(first_due(queue))
    queue.settle(first_due(queue))
    assert queue.add("repair", never, once_for=b"session")
    assert len(queue) == 1


def test_there_are_not_too_many(queue, monkeypatch):
    monkeypatch.setattr(module, "MOST_PENDING", 2)
    assert [queue.add("ban", never) for _ in range(3)] == [True, True, False]
    assert queue.stats().refused == 1


def test_those_in_journals_leave_room_for_those_that_only_this_process_knows(queue, monkeypatch):
    monkeypatch.setattr(module, "MOST_PENDING", 2)
    journaled = {"slot": 1, "is_journaled": True}
    assert [queue.add("ban", never, **journaled) for _ in range(3)] == [True, True, False]
    assert queue.stats().refused == 0, "whoever reads the journals queues it"
    assert [queue.add("ban", never, slot=1) for _ in range(3)] == [True, True, False]
    stats = queue.stats()
    assert (stats.waiting, stats.journaled, stats.refused) == (2, 2, 1)
    queue.settle(queue.all()[0])
    assert not queue.add("ban", never, slot=1)
    assert queue.add("ban", never, **journaled)
    queue.settle(queue.all()[1])
    assert queue.add("ban", never, slot=1)


def test_a_cutoff_is_not_left_to_others_although_journals_hold_it(queue, monkeypatch):
    """They enforce it, but this process alone raises the copies."""
    monkeypatch.setattr(module, "MOST_PENDING", 2)
    for _ in range(2):
        queue.add("ban", never, slot=1, is_journaled=True)
    assert queue.add("cutoff", never, is_journaled=True)
    assert (queue.stats().waiting, queue.stats().journaled) == (0, 3)


def test_what_becomes_journaled_makes_room(queue, monkeypatch):
    monkeypatch.setattr(module, "MOST_PENDING", 2)
    for operation in (b"1", b"2"):
        assert queue.add("ban", never, slot=1, operation=operation)
    assert queue.note_journaled(b"1")
    assert queue.note_journaled(b"1")
    assert queue.add("ban", never, slot=1, operation=b"3")
    assert not queue.add("ban", never, slot=1, operation=b"4")
    assert queue.note_journaled(b"2")
    assert not queue.note_journaled(b"3"), "too many that others know as well"


def test_a_child_of_a_fork_has_none(queue, clock):
    queue.add("ban", never, once_for=b"x")
    queue.begin_anew()
    assert len(queue) == 0
    clock.now += 1
    assert queue.due() == []
    queue.add("ban", never, once_for=b"x")
    assert len(queue) == 1


# Lanes


def test_each_primary_has_a_lane(queue, clock):
    for slot, kind in ((1, "one"), (2, "two"), (3, "three"), (None, "cutoff"), (9, "unknown")):
        queue.add(kind, never, slot=slot)
    clock.now += 1
    assert lanes_due(queue) == {A: ["one", "two"], B: ["three"], None: ["cutoff", "unknown"]}
    assert lanes_due(queue, busy={(A, False)}) == {B: ["three"], None: ["cutoff", "unknown"]}
    assert queue.seconds_until_due() == 0
    assert queue.seconds_until_due({(A, False), (B, False), (None, False)}) is None


def test_a_stuck_lane_delays_no_other(queue, clock):
    for _ in range(20):
        queue.add("stuck", never, slot=1)
    clock.now += 1
    for _ in range(10):
        queue.put_off(queue.due()[0][1][0])
        clock.now += queue.seconds_until_due() + 1e-9
    queue.put_off(first_due(queue))
    assert queue.seconds_until_due() == pytest.approx(5.0)
    queue.add("healthy", never, slot=3)
    assert queue.seconds_until_due() == pytest.approx(0.1)
    clock.now += 0.11
    assert lanes_due(queue) == {B: ["healthy"]}
    clock.now += 5
    (first,) = queue.due(most=1)
    assert first[0] == (B, False), "where not all can be retried, the healthy come first"


def test_however_many_are_stuck_their_shard_is_asked_as_seldom(queue, clock):
    tries = {}
    for most in (1, 1000):
        while len(queue) < most:
            queue.add("stuck", never, slot=1)
        tries[most], until = 0, clock.now + 60
        while clock.now < until:
            for _, revocations in queue.due():
                queue.put_off(revocations[0])
                tries[most] += 1
            clock.now += queue.seconds_until_due() + 1e-9
    assert tries[1000] <= tries[1] <= 20


def test_in_a_stuck_lane_each_has_its_turn(queue, clock):
    for number in range(3):
        queue.add(str(number), never, slot=1)
    turns = []
    for _ in range(6):
        clock.now += 10
        turns.append(first_due(queue).kind)
        queue.put_off(first_due(queue))
    assert turns == ["0", "1", "2", "0", "1", "2"]


def test_once_a_shard_confirms_again_the_others_are_due_at_once(queue, clock):
    for _ in range(3):
        queue.add("stuck", never, slot=1)
    for _ in range(8):
        clock.now += 10
        queue.put_off(first_due(queue))
    assert queue.seconds_until_due() > 1
    clock.now += 10
    queue.settle(first_due(queue))
    assert queue.seconds_until_due() == 0
    assert len(queue.due()[0][1]) == 2


def test_the_lane_follows_the_owner_of_the_slot(queue, clock, owners):
    """After a failover, and after a slot has moved away from a node that does not answer."""
    for slot in (1, 2):
        queue.add(str(slot), never, slot=slot)
    clock.now += 1
    owners[1] = B
    assert lanes_due(queue) == {A: ["2"]}
    clock.now += 0.11
    assert lanes_due(queue) == {A: ["2"], B: ["1"]}
    for _ in range(8):
        queue.put_off(queue.due(busy={(B, False)})[0][1][0])
        clock.now += 10
    tried = queue.due(busy={(B, False)})[0][1][0]
    owners[2] = C
    queue.put_off(tried)
    clock.now += 0.11
    assert lanes_due(queue, busy={(B, False)}) == {C: ["2"]}, "nothing is known against C"


def test_unexpected_errors_hold_up_no_other(queue, clock):
    queue.add("broken", never, slot=1)
    queue.add("good", never, slot=2)
    clock.now += 1
    queue.put_off(first_due(queue), has_failed=True)
    ((lane, revocations),) = queue.due(most=9)
    assert (lane, [each.kind for each in revocations]) == ((A, False), ["good"])
    waits = []
    for _ in range(8):
        clock.now += 10
        ((_, revocations),) = queue.due(busy={(A, False)}, most=9)
        queue.put_off(revocations[0], has_failed=True)
        waits.append(queue.seconds_until_due(busy={(A, False)}))
    assert waits[-1] == pytest.approx(5.0)
    clock.now += 10
    ((_, revocations),) = queue.due(busy={(A, False)}, most=9)
    queue.put_off(revocations[0])  # an outage this time
    assert lanes_due(queue) == {A: ["good", "broken"]}


# What a retry asks of the cluster

WRITE = Script("write", b"return 2", b"5ha1-of-write", writes=True)
PATIENCE = Patience(timeout=0.5, deadline=2.5, replica_wait=0.25)


@pytest.mark.parametrize("replicas", [0, 1])
def test_what_is_stuck_looks_the_slots_up_seldom(queue, clock, replicas):
    """Every process that has something pending does, so there may be thousands."""
    look_ups, sent, version = 0, 0, 1

    def slots() -> SlotMap:
        shards: list[Shard | None] = [Shard(A, replicas)] * 16384
        return SlotMap(shards, version, taken_at, is_replicated=True)

    taken_at = clock.now
    breakers = CircuitBreakers(clock, patience=2.5, most_waiting=256)
    terms = Terms(slots, lambda _: None, PATIENCE, clock, breakers, "replicated")
    call = ScriptCall(WRITE, (b"cp:{u}",), (), bytes, insists=True)
    queue.add("ban", never, slot=1)
    until = clock.now + 60
    while clock.now < until:
        clock.now += queue.seconds_until_due() + 1e-9
        steps, outcome = carry_out(retry_of(call), terms), None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                assert not stop.value.is_confirmed
                break
            outcome = None
            match step:
                case Send():
                    sent, outcome = sent + 1, Replies([b"value"], 0)
                    clock.now += 0.25 if step.wait else 0.001
                case LookUp():
                    look_ups, version, taken_at = look_ups + 1, version + 1, clock.now
                case Pause():
                    clock.now += step.seconds
        queue.put_off(first_due(queue))
    assert 10 <= sent <= 30
    assert look_ups <= 30


def test_a_new_queue_has_counted_nothing(clock: Clock) -> None:
    assert set(
        PendingRevocations(clock, threading.RLock, lambda: 1.0).stats().to_dict().values()
    ) == {0}
