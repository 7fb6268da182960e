"""The workers that retry pending revocations, on threads and in tasks, from one source."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from clusterpass.managers.aio.confirming import AsyncConfirming
from clusterpass.managers.sync.confirming import Confirming
from clusterpass.managers.workers.aio import AsyncJobs
from clusterpass.managers.workers.sync import Jobs
from clusterpass.model.errors import StoreFailed, StoreUnavailable
from clusterpass.sessions.memory import pending_revocations as module
from clusterpass.sessions.memory.pending_revocations import PendingRevocations

STUCK, HEALTHY, OTHER = 1, 2, 3
SUBJECT = "alice@example.org"


@pytest.fixture
def queue(monkeypatch) -> PendingRevocations:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    return PendingRevocations(time.monotonic, threading.RLock, lambda: 1.0)


class Threads:
    """The blocking worker. ``answer``: what becomes of an attempt, by its flow."""

    def __init__(self, queue: PendingRevocations, answer: Callable[[Any], Any]) -> None:
        self.queue, self.answer = queue, answer
        self.confirming = Confirming(queue, self._run, lambda slot: slot)

    def _run(self, flow: Any) -> bool:
        outcome = self.answer(flow)
        if isinstance(outcome, float):  # seconds without an answer
            time.sleep(outcome)
            raise StoreUnavailable(reason="timeout")
        return outcome

    def add(self, kind: str = "ban", **options: Any) -> None:
        flow = options.pop("flow", kind)
        assert self.queue.add(kind, lambda: flow, **options)

    def close(self) -> None:
        self.confirming.close()


class Tasks(Threads):
    """The worker in an event loop, which runs on a thread of its own."""

    def __init__(self, queue: PendingRevocations, answer: Callable[[Any], Any]) -> None:
        self.queue, self.answer = queue, answer
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.confirming = AsyncConfirming(queue, self._run_async, lambda slot: slot)

    async def _run_async(self, flow: Any) -> bool:
        outcome = self.answer(flow)
        if isinstance(outcome, float):
            await asyncio.sleep(outcome)
            raise StoreUnavailable(reason="timeout")
        return outcome

    def add(self, kind: str = "ban", **options: Any) -> None:
        async def added() -> None:
            super(Tasks, self).add(kind, **options)

        asyncio.run_coroutine_threadsafe(added(), self.loop).result(10)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.confirming.close(), self.loop).result(10)


@pytest.fixture(params=[Threads, Tasks])
def start(request, queue) -> Iterator[Callable[[Callable[[Any], Any]], Any]]:
    """Starts a worker whose attempts end as a function says."""
    started: list[Any] = []

    def start_one(answer: Callable[[Any], Any]) -> Any:
        started.append(request.param(queue, answer))
        return started[-1]

    yield start_one
    for each in started:
        each.close()
        if isinstance(each, Tasks):
            each.loop.call_soon_threadsafe(each.loop.stop)
            each.thread.join()
            each.loop.close()


def eventually(condition: Callable[[], bool], seconds: float = 10) -> float:
    """Waits for ``condition``; the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)
    return time.monotonic() - began


def test_it_is_tried_until_it_is_confirmed(start, queue, caplog):
    left = [StoreUnavailable(reason="timeout"), StoreFailed("x"), OSError("x"), False, True]

    def answer(flow):
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    start(answer).add("ban")
    eventually(lambda: not queue)
    assert not left
    assert "a pending ban failed: store_failed" in caplog.text
    assert "a pending ban failed: OSError" in caplog.text
    assert "store_unavailable" not in caplog.text


def test_a_stuck_shard_delays_no_other(start, queue):
    under_way = []

    def answer(flow):
        under_way.append(flow)
        return 2.0 if flow == "stuck" else True

    worker = start(answer)
    for _ in range(20):
        worker.add("stuck", slot=STUCK)
    eventually(lambda: "stuck" in under_way)
    for _ in range(50):
        worker.add("healthy", slot=HEALTHY)
    eventually(lambda: queue.stats().confirmed == 50)
    assert under_way.count("stuck") == 1, "it has not answered yet, and is asked once at a time"


def test_those_that_were_stuck_follow_each_other_at_once(start, queue):
    is_back = []
    worker = start(lambda flow: bool(is_back))
    for _ in range(300):
        worker.add("stuck", slot=STUCK)
    time.sleep(0.2)
    assert len(queue) == 300
    is_back.append(True)
    eventually(lambda: not queue, 2)


def test_no_more_run_at_once_than_may(start, queue, monkeypatch):
    for kind in (Jobs, AsyncJobs):
        monkeypatch.setattr(kind, "most", 3)
    under_way, most = set(), []
    lock = threading.Lock()

    def running() -> int:
        jobs = worker.confirming._jobs
        return len(jobs.running())

    def answer(flow):
        with lock:
            under_way.add(flow)
            most.append(running())
        return 0.05 if len(most) < 20 else True

    worker = start(answer)
    for slot in range(10):
        worker.add(str(slot), slot=slot)
    eventually(lambda: not queue)
    assert max(most) == 3
    assert len(under_way) == 10


def test_an_exception_after_the_reply_ends_one_retry_only(start, queue, caplog):
    """As when the reply to a retry cannot be interpreted."""

    def attempt():
        yield "call"
        raise KeyError(SUBJECT)

    def answer(flow):
        if flow == "good":
            return True
        flow = attempt()
        next(flow)
        flow.send("reply")
        raise AssertionError("not reached")

    worker = start(answer)
    for slot in (HEALTHY, OTHER):
        worker.add("bad", slot=slot)
    eventually(lambda: caplog.text.count("a pending bad failed: KeyError") >= 4)
    for _ in range(5):
        worker.add("good", slot=HEALTHY)
    assert eventually(lambda: queue.stats().confirmed == 5) < 2
    assert len(queue) == 2
    assert SUBJECT not in caplog.text


def test_those_that_fail_again_and_again_are_tried_one_at_a_time(start, queue, monkeypatch):
    """There may be thousands, and each of them may fail for ever."""
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.05)
    tried = []

    def answer(flow):
        tried.append((time.monotonic(), flow))
        raise StoreFailed("x")

    worker = start(answer)
    wake, queue.wake = queue.wake, lambda: None
    for number in range(9):
        worker.add(str(number), slot=STUCK)
    queue.wake = wake
    worker.add("last", slot=STUCK)
    eventually(lambda: len(tried) >= 13)
    assert len({flow for _, flow in tried[:10]}) == 10, "once each, whatever becomes of the others"
    times = [at for at, _ in tried[9:13]]
    assert all(after - before > 0.02 for before, after in pairwise(times))


def test_closing_tries_each_once_more_at_once(start, queue, monkeypatch, caplog):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    tried = []

    def answer(flow):
        tried.append(flow)
        return 0.8 if "stuck" in flow else "healthy" in flow

    worker = start(answer)
    for number in range(20):
        worker.add("ban", flow=f"stuck {number}", slot=STUCK, operation=bytes([0, number]))
    for number in range(200):
        worker.add("ban", flow=f"healthy {number}", slot=HEALTHY, operation=b"\xff\xff")
    worker.add("repair", flow="unconfirmed", slot=OTHER, operation=b"\xaa\xaa")
    worker.add("cutoff", flow="unconfirmed cutoff")
    began = time.monotonic()
    worker.close()
    assert time.monotonic() - began < 3.5
    assert len(set(tried)) == 222
    count = Counter(tried)
    assert {count[each] for each in tried if "stuck" not in each} == {1}
    assert queue.stats().confirmed == 200
    (line,) = [each for each in caplog.records if each.name == "clusterpass.pending"]
    text = line.getMessage()
    assert line.levelname == "WARNING"
    assert "22 revocations" in text
    assert "20 x ban, 1 x cutoff, 1 x repair" in text
    assert all(bytes([0, number]).hex() in text for number in range(20))
    assert "aaaa" in text
    assert "ffff" not in text
    worker.close()
    assert Counter(tried) == count
    assert len(caplog.records) == 1


def test_closing_waits_for_the_circuit_breaker_of_a_shard_that_is_back(start, queue, monkeypatch):
    """Those that the breaker refuses were not tried."""
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    closing = []

    def answer(flow):
        if time.monotonic() < closing[0] + 0.3:
            raise StoreUnavailable(reason="circuit_open")
        return True

    worker = start(answer)
    for _ in range(50):
        worker.add("ban", slot=HEALTHY)
    closing.append(time.monotonic())
    worker.close()
    assert not queue
    assert time.monotonic() - closing[0] < 1.5


def test_closing_retries_also_what_is_being_retried(start, queue):
    """A retry that began before may have asked a shard that is back since."""
    tried = []

    def answer(flow):
        tried.append(flow)
        return 0.4 if len(tried) == 1 else True

    worker = start(answer)
    worker.add("ban", slot=HEALTHY)
    eventually(lambda: bool(tried))
    worker.close()
    assert len(tried) == 2
    assert not queue


@pytest.mark.parametrize(("shards", "at_once"), [(1, 4), (2, 4), (3, 3), (6, 6)])
def test_closing_shares_what_it_does_at_once_among_the_shards(
    start, queue, monkeypatch, shards, at_once
):
    """Each shard is asked, and one alone as often at once as may be."""
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    for kind in (Jobs, AsyncJobs):
        monkeypatch.setattr(kind, "most", 4)
    tried, running = Counter(), []

    def answer(flow):
        tried[flow] += 1
        running.append(len(worker.confirming._jobs.running()))
        return 0.02 if tried[flow] == 1 else True

    worker = start(lambda flow: False)
    for number in range(6 * shards):
        worker.add("ban", flow=number, slot=number % shards)
    eventually(lambda: not worker.confirming._jobs.running())
    worker.answer = answer
    worker.close()
    assert not queue
    assert max(running) == at_once


def test_closing_ends_in_time_when_nothing_answers(start, queue, monkeypatch, caplog):
    worker = start(lambda flow: 20.0)
    for number in range(250):
        worker.add("ban", slot=number % 3, operation=number.to_bytes(2))
    eventually(lambda: len(worker.confirming._jobs.running()) == 3)
    began = time.monotonic()
    worker.close()
    assert 2.5 < time.monotonic() - began < 4.5
    assert len(queue) == 250
    assert [each.getMessage().split(" revocations")[0] for each in caplog.records] == [
        "closed while 100",
        "closed while 100",
        "closed while 50",
    ]


def test_closing_says_nothing_where_nothing_is_left(start, queue, caplog):
    worker = start(lambda flow: True)
    worker.add("ban")
    worker.close()
    assert not queue
    assert not caplog.records


def test_closing_leaves_what_journals_hold_to_others_and_says_so(start, queue, caplog):
    worker = start(lambda flow: False)
    for _ in range(2):
        worker.add("ban", is_journaled=True)
    with caplog.at_level("INFO"):
        worker.close()
    assert [record.getMessage() for record in caplog.records] == [
        "closed; 2 journaled endings are left to other processes"
    ]


def test_who_closes_while_another_closes_waits_for_the_last_retries(start, queue, monkeypatch):
    """Who goes on would close the store under them."""
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1000.0)
    retries, is_healthy = threading.Event(), threading.Event()

    def answer(flow):
        retries.set()
        return is_healthy.wait(0.3) or 0.01

    worker = start(answer)
    worker.add("ban", slot=HEALTHY)
    first = threading.Thread(target=worker.close)
    first.start()
    assert retries.wait(10)
    threading.Timer(0.1, is_healthy.set).start()
    worker.close()
    assert not queue
    first.join()


def test_after_its_close_nothing_is_queued(start, queue):
    worker = start(lambda flow: True)
    worker.close()
    assert not queue.add("ban", lambda: "ban", slot=HEALTHY)
    assert not queue
    assert queue.stats().refused == 1


async def test_a_close_that_is_cancelled_goes_on(queue, caplog):
    under_way = []

    async def run(flow):
        under_way.append(flow)
        await asyncio.sleep(0.2)
        return len(under_way) > 2

    confirming = AsyncConfirming(queue, run, lambda slot: slot)
    queue.add("ban", lambda: "ban", slot=STUCK, operation=b"\xaa\xaa")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(confirming.close(), 0.05)
    assert len(queue) == 1
    await confirming.close()
    (line,) = caplog.records
    assert "closed while 1 revocations were pending" in line.getMessage()
    assert "aaaa" in line.getMessage()


def test_a_close_that_the_end_of_its_loop_cuts_short_logs_what_is_left(queue, caplog):
    async def run(flow):
        await asyncio.sleep(20)
        return True

    confirming = AsyncConfirming(queue, run, lambda slot: slot)

    async def begin() -> None:
        queue.add("ban", lambda: "ban", slot=STUCK, operation=b"\xaa\xaa")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(confirming.close(), 0.05)

    asyncio.run(begin())
    (line,) = caplog.records
    assert line.levelname == "WARNING"
    assert "aaaa" in line.getMessage()


# Event loops and the end of the interpreter


async def test_closing_in_another_loop_takes_over(queue):
    """What another loop retries is cancelled there, and retried here."""
    tried = []
    worker = Tasks(queue, lambda flow: (tried.append(threading.current_thread()), 20.0)[1])
    worker.add("ban", slot=STUCK)
    while not tried:
        await asyncio.sleep(0.01)

    worker.answer = lambda flow: True
    began = time.monotonic()
    await worker.confirming.close()
    assert not queue
    assert time.monotonic() - began < 1
    worker.loop.call_soon_threadsafe(worker.loop.stop)
    worker.thread.join()
    worker.loop.close()


def test_a_lane_outlives_the_loop_that_retried_it(queue):
    confirmed = []

    async def run(flow):
        if not confirmed:
            await asyncio.sleep(20)
        return True

    confirming = AsyncConfirming(queue, run, lambda slot: slot)

    async def begin() -> None:
        queue.add("ban", lambda: None, slot=STUCK)
        while not confirming._jobs.running():
            await asyncio.sleep(0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    left = asyncio.all_tasks(loop)
    loop.close()  # without cancelling what runs there
    confirmed.append(True)

    async def go_on() -> None:
        queue.add("ban", lambda: None, slot=HEALTHY)
        async with asyncio.timeout(5):
            while queue:
                await asyncio.sleep(0.01)
        await confirming.close()

    asyncio.run(go_on())
    assert len(left) == 2
    for task in left:
        task._log_destroy_pending = False
