"""Workers and jobs of an event loop: one task each, woken from threads, and cancelled."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from clusterpass.managers.workers import aio as in_tasks
from clusterpass.managers.workers.aio import AsyncJobs, AsyncWorker
from clusterpass.managers.workers.sync import Worker

LONG = 60.0


def in_loop(test: Callable[[], Any]) -> None:
    async def run() -> None:
        async with asyncio.timeout(LONG):
            await test()

    asyncio.run(run())


def test_a_worker_of_a_loop_has_one_task_which_waits_and_is_woken() -> None:
    async def run() -> None:
        steps: list[str] = []
        stepped = asyncio.Event()

        async def work() -> None:
            task = asyncio.current_task()
            assert task is not None
            while not worker.is_stopping:
                steps.append(task.get_name())
                stepped.set()
                await worker.wait()

        worker = AsyncWorker(work, name="the-worker")
        for count in (1, 2, 3):
            worker.wake()
            await stepped.wait()
            stepped.clear()
            for _ in range(3):
                await asyncio.sleep(0)
            assert steps == ["the-worker"] * count
        assert await worker.stop(LONG)
        worker.wake()
        await asyncio.sleep(0)
        assert len(steps) == 3, "a stopped worker never starts again"
        worker.begin_anew()
        worker.wake()
        await stepped.wait()
        assert await worker.stop(LONG)

    in_loop(run)


def test_a_worker_of_a_loop_waits_for_a_while_at_most_and_works_again_when_woken() -> None:
    async def run() -> None:
        ran = asyncio.Event()

        async def work() -> None:
            await worker.wait(0.001)
            ran.set()

        worker = AsyncWorker(work, name="worker")
        for _ in range(2):
            ran.clear()
            worker.wake()
            await ran.wait()
            await asyncio.sleep(0)

    in_loop(run)


def test_a_worker_of_a_loop_that_hangs_is_cancelled() -> None:
    async def run() -> None:
        ends: list[str] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        worker = AsyncWorker(work, name="worker")
        worker.wake()
        await asyncio.sleep(0)
        assert await worker.stop(0.01) is False
        assert ends == ["cancelled"]
        assert await worker.stop(0.01) is True

    in_loop(run)


def test_a_worker_of_a_loop_may_stop_itself() -> None:
    async def run() -> None:
        ended: list[bool] = []
        over = asyncio.Event()

        async def work() -> None:
            ended.append(await worker.stop(LONG))
            over.set()

        worker = AsyncWorker(work, name="worker")
        worker.wake()
        await over.wait()
        assert ended == [True]

    in_loop(run)


def test_a_worker_of_another_loop_is_woken_there_and_cancelled() -> None:
    steps, ended = threading.Semaphore(0), threading.Event()

    async def work() -> None:
        while True:
            steps.release()
            await worker.wait()

    worker = AsyncWorker(work, name="worker")

    async def elsewhere() -> None:
        worker.wake()
        assert worker._task is not None
        with pytest.raises(asyncio.CancelledError):
            await worker._task
        ended.set()

    other = threading.Thread(target=lambda: asyncio.run(elsewhere()), daemon=True)
    other.start()
    assert steps.acquire(timeout=LONG)

    async def here() -> None:
        worker.wake()
        assert await asyncio.to_thread(steps.acquire, timeout=LONG)
        assert await worker.stop(LONG) is False

    in_loop(here)
    assert ended.wait(LONG)
    other.join(LONG)


def test_a_worker_of_a_loop_that_is_over_starts_in_the_next() -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)
        await worker.wait()

    worker = AsyncWorker(work, name="worker")

    async def run() -> None:
        worker.wake()
        await asyncio.sleep(0)

    in_loop(run)
    in_loop(run)
    assert len(ran) == 2


def test_jobs_of_a_loop_have_their_name_and_tell_that_they_ended() -> None:
    async def run() -> None:
        ended: list[str] = []
        goes_on = asyncio.Event()
        names: set[str] = set()

        async def job() -> None:
            task = asyncio.current_task()
            assert task is not None
            names.add(task.get_name())
            await goes_on.wait()

        jobs = AsyncJobs(name="the-jobs", on_end=lambda: ended.append("ended"))
        assert await jobs.stop(0)
        for key in ("a", "b"):
            jobs.start(key, job)
        await asyncio.sleep(0)
        assert (jobs.running(), jobs.free(), jobs.most) == ({"a", "b"}, 254, 256)
        goes_on.set()
        assert await jobs.stop(LONG)
        await asyncio.sleep(0)
        assert (jobs.running(), jobs.free(), ended) == (set(), 256, ["ended"] * 2)
        assert jobs._tasks == {}
        assert names == {"the-jobs"}

    in_loop(run)


def test_jobs_of_a_loop_that_hang_are_cancelled_and_tell_nothing() -> None:
    async def run() -> None:
        ends: list[str] = []

        async def job() -> None:
            try:
                await jobs.pause(LONG)
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        jobs = AsyncJobs(name="jobs", on_end=lambda: ends.append("ended"))
        jobs.start("a", job)
        await asyncio.sleep(0)
        assert await jobs.stop(0.01) is False
        await asyncio.sleep(0)
        assert ends == ["cancelled"]
        assert jobs.running() == set()

    in_loop(run)


def test_a_job_of_a_loop_that_is_over_does_not_run() -> None:
    jobs = AsyncJobs(name="jobs", on_end=lambda: None)

    async def run() -> None:
        jobs.start("a", lambda: asyncio.sleep(0))
        assert jobs.running() == {"a"}

    loop = asyncio.new_event_loop()
    loop.run_until_complete(run())
    held = jobs._tasks.copy()
    loop.run_until_complete(asyncio.gather(*held.values()))
    loop.close()
    assert jobs.running() == set()
    assert jobs.free() == jobs.most


def test_a_wake_from_another_thread_is_not_lost_as_the_work_returns() -> None:
    ran = threading.Semaphore(0)
    woken: list[bool] = []

    async def wake() -> None:
        worker.wake()

    async def work() -> None:
        if not woken:  # after its last look for something to do
            woken.append(True)
            other = threading.Thread(target=lambda: asyncio.run(wake()))
            other.start()
            other.join(LONG)
        ran.release()

    async def run() -> None:
        worker.wake()
        for _ in range(2):
            assert await asyncio.to_thread(ran.acquire, timeout=LONG)

    worker = AsyncWorker(work, name="worker")
    asyncio.run(run())


def test_a_worker_whose_loop_was_closed_as_it_is_woken_starts_in_the_loop_that_wakes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[Any] = []

    async def work() -> None:
        ran.append(asyncio.get_running_loop())
        if len(ran) == 1:
            await worker.wait()

    async def begin() -> None:
        worker.wake()
        await asyncio.sleep(0)

    async def wake() -> None:
        worker.wake()
        await asyncio.sleep(0)
        assert ran[1:] == [asyncio.get_running_loop()]

    worker = AsyncWorker(work, name="worker")
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    left = asyncio.all_tasks(loop)
    loop.close()
    looks = iter([True])  # it was still running a moment ago
    monkeypatch.setattr(loop, "is_running", lambda: next(looks, False))
    asyncio.run(wake())
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_job_of_a_loop_that_refuses_to_be_cancelled_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(in_tasks, "_CANCELLING_SECONDS", 0.01)

    async def run() -> None:
        may_end = asyncio.Event()

        async def job() -> None:
            while not may_end.is_set():
                with suppress(asyncio.CancelledError):
                    await may_end.wait()

        jobs = AsyncJobs(name="jobs", on_end=lambda: None)
        jobs.start("a", job)
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(5):
                assert await jobs.stop(0.01) is False
            assert jobs.running() == {"a"}
        finally:
            may_end.set()
        assert await jobs.stop(LONG)

    in_loop(run)


def test_a_worker_is_resumed_only_where_it_does_not_run() -> None:
    ran, over = list[int](), threading.Event()

    def work() -> None:
        ran.append(1)
        assert over.wait(LONG)

    worker = Worker(work, name="worker")
    worker.resume()
    worker.resume()
    assert not worker.may_vanish
    over.set()
    assert worker.stop(LONG)
    assert ran == [1]
