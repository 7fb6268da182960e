"""Background workers, jobs and alarms on threads and in tasks: start, wake-up and end."""

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from clusterpass.managers.workers.aio import AsyncAlarm, AsyncTurns, AsyncWorker
from clusterpass.managers.workers.sync import Alarm, Jobs, Turns, Worker

LONG = 60.0


def no_threads(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_worker_runs_on_a_daemon_thread_of_its_name_until_its_work_is_done() -> None:
    ran = threading.Semaphore(0)
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        ran.release()

    worker = Worker(work, name="the-worker")
    for count in (1, 2):
        worker.wake()
        assert ran.acquire(timeout=LONG)
        threads[-1].join(LONG)
        assert len(threads) == count
    assert {(each.name, each.daemon) for each in threads} == {("the-worker", True)}
    assert worker.stop(0), "nothing runs"
    worker.wake()
    assert not ran.acquire(blocking=False), "a stopped worker never starts again"
    assert len(threads) == 2
    worker.begin_anew()
    worker.wake()
    assert ran.acquire(timeout=LONG), "but its copy in a child does"


def test_a_worker_that_waits_is_woken_and_waits_again() -> None:
    steps = threading.Semaphore(0)

    def work() -> None:
        while not worker.is_stopping:
            steps.release()
            worker.wait()

    worker = Worker(work, name="worker")
    worker.wake()
    assert steps.acquire(timeout=LONG)
    assert not steps.acquire(timeout=0.05), "it waits until it is woken"
    worker.wake()
    assert steps.acquire(timeout=LONG)
    assert not steps.acquire(timeout=0.05)
    assert worker.stop(LONG)


def test_a_worker_waits_for_a_while_at_most() -> None:
    worker = Worker(lambda: None, name="worker")
    worker.wait(0.01)


def test_a_worker_that_is_woken_during_its_work_works_again() -> None:
    began, goes_on, ran = threading.Event(), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        began.set()
        assert goes_on.wait(LONG)
        ran.release()

    worker = Worker(work, name="worker")
    worker.wake()
    assert began.wait(LONG)
    worker.wake()
    goes_on.set()
    for _ in range(2):
        assert ran.acquire(timeout=LONG)
    assert worker.stop(LONG)
    assert not ran.acquire(blocking=False)


def test_a_worker_that_hangs_is_left() -> None:
    began, goes_on = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert goes_on.wait(LONG)

    worker = Worker(work, name="worker")
    worker.wake()
    assert began.wait(LONG)
    assert not worker.stop(0.01)
    assert worker.is_stopping
    goes_on.set()
    assert worker.stop(LONG)


def test_a_worker_may_stop_itself() -> None:
    ended: list[bool] = []
    over = threading.Event()

    def work() -> None:
        ended.append(worker.stop(LONG))
        over.set()

    worker = Worker(work, name="worker")
    worker.wake()
    assert over.wait(LONG)
    assert ended == [True]


def test_a_worker_without_a_thread_says_so_and_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran = threading.Event()
    worker = Worker(ran.set, name="the-worker")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_threads)
        worker.wake()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("clusterpass.workers", logging.ERROR)
    assert record.getMessage() == "cannot start a thread for the-worker"
    worker.wake()
    assert ran.wait(LONG)


def test_jobs_run_at_once_on_threads_of_their_name_and_tell_that_they_ended() -> None:
    ended, goes_on = threading.Semaphore(0), threading.Event()
    threads: list[threading.Thread] = []

    def job() -> None:
        threads.append(threading.current_thread())
        assert goes_on.wait(LONG)

    jobs = Jobs(name="the-jobs", on_end=ended.release)
    for key in ("a", "b"):
        jobs.start(key, job)
    assert (jobs.running(), jobs.free(), jobs.most) == ({"a", "b"}, 30, 32)
    assert not jobs.stop(0)
    assert not ended.acquire(blocking=False)
    goes_on.set()
    assert jobs.stop(LONG)
    for _ in range(2):
        assert ended.acquire(timeout=LONG)
    assert (jobs.running(), jobs.free()) == (set(), 32)
    assert {(each.name, each.daemon) for each in threads} == {("the-jobs", True)}


def test_never_fewer_than_no_jobs_may_start() -> None:
    jobs, goes_on = Jobs(name="jobs", on_end=lambda: None), threading.Event()
    for key in range(jobs.most + 1):
        jobs.start(key, lambda: goes_on.wait(LONG))
    assert jobs.free() == 0
    jobs.begin_anew()
    assert (jobs.free(), jobs.running()) == (jobs.most, set())
    goes_on.set()


def test_a_job_that_fails_has_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ended = threading.Event()

    def fails() -> None:
        raise ValueError("a failure")

    jobs = Jobs(name="jobs", on_end=ended.set)
    jobs.start("a", fails)
    assert ended.wait(LONG)
    assert jobs.running() == set()


def test_a_job_without_a_thread_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", no_threads)
    seen: list[Any] = []
    jobs = Jobs(name="jobs", on_end=lambda: seen.append("ended"))

    def job() -> None:
        seen.append(jobs.running())
        seen.append(jobs.stop(LONG))

    jobs.start("a", job)
    assert seen == [{"a"}, True, "ended"]
    assert jobs.running() == set()


def test_an_alarm_of_threads_is_kept_until_somebody_waits_and_then_it_is_over() -> None:
    alarm, woken = Alarm(), threading.Semaphore(0)
    alarm.set()
    alarm.wait(LONG)

    def wait() -> None:
        alarm.wait()
        woken.release()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert not woken.acquire(timeout=0.05), "the alarm was used up"
    alarm.set()
    assert woken.acquire(timeout=LONG)
    alarm.wait(0.01)


@pytest.mark.parametrize("seconds", [None, LONG])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_alarm_of_tasks(seconds: float | None, elsewhere: bool) -> None:
    async def run() -> None:
        alarm = AsyncAlarm()
        alarm.begin()
        for _ in range(2):
            waiting = asyncio.create_task(alarm.wait(seconds))
            for _ in range(3):
                await asyncio.sleep(0)
            assert not waiting.done()
            if elsewhere:
                await asyncio.to_thread(alarm.set)
            else:
                alarm.set()
            async with asyncio.timeout(LONG):
                await waiting
        await alarm.wait(0.01)

    asyncio.run(run())


def test_an_alarm_of_a_loop_that_is_over_disturbs_nobody() -> None:
    async def make() -> AsyncAlarm:
        alarm = AsyncAlarm()
        alarm.begin()
        return alarm

    alarm = asyncio.run(make())
    other = threading.Thread(target=alarm.set)
    other.start()
    other.join(LONG)
    alarm.set()


def test_not_every_call_looks_after_background_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    turns = Turns()
    told = [turns.is_next(), turns.is_next()]
    now[0] += 0.1
    assert [*told, turns.is_next(), turns.is_next()] == [True, False, True, False]


def test_every_loop_looks_after_background_work() -> None:
    async def run() -> list[bool]:
        return [turns.is_next(), turns.is_next()]

    turns = AsyncTurns()
    turns._next_at = float("inf")
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    told = [loop.run_until_complete(run())[0] for loop in (first, second, first)]
    assert told == [True, True, True]
    turns._next_at = float("inf")
    assert first.run_until_complete(run()) == [False, False]
    turns._next_at = 0.0
    assert first.run_until_complete(run())[0]
    first.close()
    second.close()


def test_without_an_event_loop_no_worker_starts_and_one_that_waits_goes_on() -> None:
    rounds = threading.Semaphore(0)

    async def work() -> None:
        while not worker.is_stopping:
            rounds.release()
            await worker.wait()

    async def run() -> None:
        worker.wake_soon()
        assert await asyncio.to_thread(rounds.acquire, timeout=LONG)
        await asyncio.to_thread(worker.wake_soon)
        assert await asyncio.to_thread(rounds.acquire, timeout=LONG)
        await worker.stop(LONG)

    worker = AsyncWorker(work, name="the-worker")
    worker.wake_soon()
    assert not rounds.acquire(blocking=False)
    asyncio.run(run())
    worker.wake_soon()
    assert not rounds.acquire(blocking=False), "its loop is over"
