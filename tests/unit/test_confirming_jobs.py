"""Jobs that retry pending revocations: without a thread, and in the child of a fork."""

import asyncio
import threading

import pytest

from clusterpass.managers.workers.aio import AsyncJobs
from clusterpass.managers.workers.sync import Jobs


def test_where_no_thread_can_start_the_job_runs_at_once(monkeypatch):
    ended, ran = [], []
    jobs = Jobs(name="test", on_end=lambda: ended.append(True))

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    jobs.start("key", lambda: ran.append(jobs.running()))
    assert ran == [{"key"}]
    assert ended == [True]
    assert jobs.running() == set()
    assert jobs.stop(1)


@pytest.mark.parametrize("kind", [Jobs, AsyncJobs])
def test_the_child_of_a_fork_has_no_jobs(kind):
    jobs = kind(name="test", on_end=lambda: None)
    release = threading.Event()
    if kind is Jobs:
        jobs.start("key", release.wait)
        assert jobs.free() == kind.most - 1
        jobs.begin_anew()
        assert jobs.free() == kind.most
        release.set()
        return

    async def begin() -> None:
        jobs.start("key", lambda: asyncio.sleep(10))
        assert jobs.free() == kind.most - 1
        jobs.begin_anew()
        assert jobs.free() == kind.most

    asyncio.run(begin())
