"""Background jobs of an event loop that are stopped from another loop."""

import asyncio
import threading

from clusterpass.managers.workers.aio import AsyncJobs


class Elsewhere:
    """A job in an event loop of another thread, which needs ``steps`` turns to end."""

    def __init__(self, jobs: AsyncJobs, steps: int) -> None:
        self.steps, self.has_ended = steps, False
        self.may_end = threading.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(jobs)))
        self._thread.start()
        assert self._began.wait(60)

    async def _run(self, jobs: AsyncJobs) -> None:
        over = asyncio.Event()

        async def job() -> None:
            self._began.set()
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(self.steps):
                    await asyncio.sleep(0.01)
                while not self.may_end.is_set():
                    await asyncio.sleep(0.01)
                self.has_ended = True
                over.set()

        jobs.start("job", job)
        await over.wait()

    def join(self) -> None:
        self.may_end.set()
        self._thread.join(60)


def test_a_job_of_another_loop_is_cancelled_and_awaited() -> None:
    jobs = AsyncJobs(name="jobs", on_end=lambda: None)
    other = Elsewhere(jobs, steps=20)
    other.may_end.set()
    asyncio.run(jobs.leave_other_loops(60))
    assert other.has_ended
    assert jobs.running() == set()
    other.join()


def test_a_job_that_does_not_end_is_left() -> None:
    jobs = AsyncJobs(name="jobs", on_end=lambda: None)
    other = Elsewhere(jobs, steps=0)
    asyncio.run(jobs.leave_other_loops(0.05))
    assert not other.has_ended
    assert jobs.running() == set()
    assert jobs.free() == jobs.most
    other.join()
    assert other.has_ended


def test_the_jobs_of_this_loop_go_on() -> None:
    async def run() -> None:
        jobs, goes_on = AsyncJobs(name="jobs", on_end=lambda: None), asyncio.Event()

        async def job() -> None:
            await goes_on.wait()

        jobs.start("own", job)
        await asyncio.sleep(0)
        await jobs.leave_other_loops(60)
        assert jobs.running() == {"own"}
        goes_on.set()
        assert await jobs.stop(60)

    asyncio.run(run())
