"""The uses that wait to be recorded: in which order, for how long, and how many."""

import threading
import time

import pytest

from clusterpass.sessions.memory.unrecorded_uses import UnrecordedUses


class Waiting:
    """The queue of a manager whose clock is the test's."""

    def __init__(self) -> None:
        self.now, self.woken = 100.0, 0
        self.uses = UnrecordedUses(steady=lambda: self.now, lock=threading.Lock)
        self.uses.wake = self._wake

    def _wake(self) -> None:
        self.woken += 1

    def add(self, token: str) -> bool:
        return self.uses.add(token, "alice", b"s" * 16, 0)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def test_the_oldest_is_recorded_first_and_each_once(waiting):
    uses = waiting.uses
    assert waiting.add("a")
    waiting.now += 1
    assert waiting.add("b")
    assert waiting.add("a"), "it waits already"
    assert len(uses) == 2
    assert waiting.woken == 2
    assert uses.take() == ("a", "alice", b"s" * 16, 0, 100.0)
    second = uses.take()
    assert (second.token, second.since) == ("b", 101.0)
    assert "b" not in repr(second)
    assert uses.take() is None
    assert uses.dropped == 0


def test_many_are_recorded_evenly_within_some_seconds(waiting):
    for number in range(45_000):
        waiting.add(f"token-{number}")
    began = waiting.now
    recorded = []
    while len(waiting.uses):
        due = waiting.uses.due_within(0.02)
        for _ in range(due):
            waiting.uses.take()
        recorded.append(due)
        waiting.now += 0.02
    assert max(recorded) <= 21
    assert min(recorded[:-1]) >= 19
    assert 44 < waiting.now - began <= 45.1


def test_few_are_recorded_at_once_and_the_late_ones_too(waiting):
    for number in range(20):
        waiting.add(f"token-{number}")
    assert waiting.uses.due_within(0.02) == 16
    for _ in range(10):
        waiting.uses.take()
    assert waiting.uses.due_within(0.02) == 10
    for number in range(1000):
        waiting.add(f"late-{number}")
    waiting.now += 44.99
    assert waiting.uses.due_within(0.02) == 1010
    for _ in range(1010):
        waiting.uses.take()
    assert waiting.uses.due_within(0.02) == 0


def test_nobody_waits_where_nobody_records(waiting):
    waiting.add("a")
    waiting.uses.close()
    assert not waiting.add("b")
    assert len(waiting.uses) == 1, "what came before still waits"


def test_no_more_are_taken_while_the_oldest_has_waited_for_too_long(waiting):
    waiting.add("a")
    waiting.now += 60 - 0.1
    assert waiting.add("b")
    waiting.now += 0.1
    assert not waiting.add("c")
    assert waiting.add("a"), "it is one of those that wait"
    assert waiting.uses.take().token == "b"
    assert waiting.uses.dropped == 1, "the oldest"
    assert waiting.add("c")


def test_what_was_put_back_waits_behind_the_others_and_no_longer_than_they(waiting):
    waiting.add("a")
    waiting.now += 1
    waiting.add("b")
    waiting.uses.put_back(waiting.uses.take())
    second, first = waiting.uses.take(), waiting.uses.take()
    assert (second.token, first.token) == ("b", "a")
    waiting.uses.put_back(first)
    waiting.now = 100.0 + 60
    assert waiting.uses.take() is None
    assert waiting.uses.dropped == 1


def test_a_use_that_came_again_meanwhile_is_not_older_for_being_put_back(waiting):
    waiting.add("a")
    taken = waiting.uses.take()
    waiting.now += 5
    waiting.add("a")
    waiting.uses.put_back(taken)
    assert waiting.uses.take().since == 105.0
    assert len(waiting.uses) == 0


def test_what_is_left_at_the_end_is_counted_and_a_fork_leaves_it_to_its_parent(waiting):
    for token in "abc":
        waiting.add(token)
    waiting.uses.begin_anew()
    assert len(waiting.uses) == waiting.uses.dropped == 0
    waiting.add("a")
    waiting.uses.clear()
    assert len(waiting.uses) == 0
    assert waiting.uses.dropped == 1


def test_what_a_try_returns_after_the_end_is_counted_and_does_not_wait(waiting):
    waiting.add("a")
    taken = waiting.uses.take()
    waiting.uses.clear()
    waiting.uses.put_back(taken)
    assert len(waiting.uses) == 0
    assert waiting.uses.dropped == 1


def test_the_oldest_is_found_at_once_although_many_wait(waiting):
    for number in range(100_000):
        waiting.add(f"token-{number}")
    began = time.process_time()
    while waiting.uses.take():
        pass
    assert time.process_time() - began < 2
