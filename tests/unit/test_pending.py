"""Pending revocations: the queue, and the workers that retry them."""

import asyncio
import threading
import time

import pytest

from clusterpass.managers.aio.confirming import AsyncConfirming
from clusterpass.managers.sync.confirming import Confirming
from clusterpass.model.errors import StoreFailed, StoreUnavailable
from clusterpass.sessions.memory import pending as module
from clusterpass.sessions.memory.pending import PendingRevocations


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> PendingRevocations:
    return PendingRevocations(clock, threading.RLock, lambda: 1.0)


def never():
    raise AssertionError("not carried out here")


def test_each_has_its_time_and_waits_longer_each_time(queue, clock):
    assert queue.seconds_until_due() is None
    assert queue.add("end of a session", never)
    assert queue.due() is None
    assert queue.seconds_until_due() == pytest.approx(0.1)
    waits = []
    for _ in range(10):
        clock.now += queue.seconds_until_due() + 1e-9
        queue.put_off(queue.due())
        waits.append(queue.seconds_until_due())
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(5.0)
    stats = queue.stats()
    assert (stats.waiting, stats.confirmed) == (1, 0)
    assert stats.oldest_seconds == pytest.approx(clock.now - 100)


def test_what_is_confirmed_leaves(queue, clock):
    queue.add("ban", never)
    clock.now += 1
    queue.settle(queue.due())
    assert queue.due() is None
    assert len(queue) == 0
    assert queue.stats().confirmed == 1


def test_the_same_repair_waits_once(queue, clock):
    assert queue.add("repair", never, once_for=b"session")
    assert queue.add("repair", never, once_for=b"session")
    assert queue.add("repair", never, once_for=b"another")
    assert len(queue) == 2
    clock.now += 1
    queue.settle(queue.due())
    queue.settle(queue.due())
    assert queue.add("repair", never, once_for=b"session")
    assert len(queue) == 1


def test_there_are_not_too_many(queue, monkeypatch):
    monkeypatch.setattr(module, "MOST_PENDING", 2)
    assert [queue.add("ban", never) for _ in range(3)] == [True, True, False]
    assert queue.stats().refused == 1


def test_a_child_of_a_fork_has_none(queue):
    queue.add("ban", never)
    queue.begin_anew()
    assert len(queue) == 0


@pytest.fixture
def hurried(monkeypatch) -> PendingRevocations:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    return PendingRevocations(time.monotonic, threading.RLock, lambda: 1.0)


FAILURES = [StoreUnavailable(reason="timeout"), StoreFailed("broken"), OSError("x"), False, True]


def test_a_thread_tries_until_it_is_confirmed(hurried, caplog):
    done, left = threading.Event(), list(FAILURES)

    def run(flow):
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome:
            done.set()
        return outcome

    thread = Confirming(hurried, run)
    hurried.add("ban", lambda: None)
    assert done.wait(10)
    thread.close()
    assert len(hurried) == 0
    assert "a pending ban failed: store_failed" in caplog.text
    assert "a pending ban failed: OSError" in caplog.text
    assert "store_unavailable" not in caplog.text


def test_closing_tries_once_more(hurried, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    tried = []
    thread = Confirming(hurried, lambda flow: tried.append(flow) or False)
    hurried.add("ban", lambda: None)
    thread.close()
    assert len(tried) == 1
    thread.close()


async def test_a_task_tries_until_it_is_confirmed(hurried, caplog):
    done, left = asyncio.Event(), list(FAILURES)

    async def run(flow):
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome:
            done.set()
        return outcome

    task = AsyncConfirming(hurried, run)
    hurried.add("ban", lambda: None)
    async with asyncio.timeout(10):
        await done.wait()
    await task.close()
    assert len(hurried) == 0
    assert "a pending ban failed: store_failed" in caplog.text


async def test_closing_a_task_tries_once_more(hurried, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    tried = []

    async def run(flow):
        tried.append(flow)
        return False

    task = AsyncConfirming(hurried, run)
    hurried.add("ban", lambda: None)
    await asyncio.sleep(0)
    await task.close()
    assert len(tried) == 1
