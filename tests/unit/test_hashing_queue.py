"""Password hashing on threads and beside an event loop: concurrency, refusals and closing."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from clusterpass import AsyncHashing, ClusterPassError, ConfigurationError, Hashing, TooManyAttempts
from clusterpass.model.counters import HashingCounters


class Work:
    """Work that lasts until it is released."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.goes_on = threading.Event()

    def __call__(self) -> str:
        self.began.release()
        assert self.goes_on.wait(60)
        return "hashed"


@pytest.mark.parametrize("kind", [Hashing, AsyncHashing])
@pytest.mark.parametrize(
    ("concurrency", "most_waiting"), [(0, 64), (65, 64), (1, -1), (1, 10_001), (None, -1)]
)
def test_a_place_for_nobody_or_for_too_many_is_refused(kind, concurrency, most_waiting):
    with pytest.raises(ConfigurationError, match="hash_concurrency must be 1 to 64"):
        kind(concurrency=concurrency, most_waiting=most_waiting)


@pytest.mark.parametrize("kind", [Hashing, AsyncHashing])
@pytest.mark.parametrize(("concurrency", "most_waiting"), [(1, 0), (64, 10_000), (None, 0)])
def test_the_fewest_and_the_most_places(kind, concurrency, most_waiting):
    kind(concurrency=concurrency, most_waiting=most_waiting).close()


def test_next_to_a_loop_two_are_hashed_at_once_and_one_waits():
    async def run() -> None:
        hashing, work = AsyncHashing(most_waiting=1), Work()
        running = [asyncio.create_task(hashing.run(work)) for _ in range(3)]
        for _ in range(2):
            assert await asyncio.to_thread(work.began.acquire, timeout=60)
        with pytest.raises(TooManyAttempts) as refused:
            await hashing.run(work)
        assert refused.value.retry_after == 1
        assert not work.began.acquire(blocking=False), "the third waits for a thread"
        work.goes_on.set()
        assert await asyncio.gather(*running) == ["hashed"] * 3
        hashing.close()

    asyncio.run(run())


def test_next_to_a_loop_a_place_is_free_again_afterwards():
    def fails() -> None:
        raise ValueError("a failure")

    async def run() -> None:
        hashing = AsyncHashing(concurrency=1, most_waiting=0)
        for _ in range(3):
            assert await hashing.run(lambda: 5) == 5
            with pytest.raises(ValueError, match="a failure"):
                await hashing.run(fails)
        hashing.close()
        with pytest.raises(ClusterPassError, match="closed"):
            await hashing.run(lambda: 5)

    asyncio.run(run())


def test_next_to_a_loop_who_gives_up_keeps_the_place_until_the_thread_is_free():
    async def run() -> None:
        hashing, work = AsyncHashing(concurrency=1, most_waiting=0), Work()
        left = asyncio.create_task(hashing.run(work))
        assert await asyncio.to_thread(work.began.acquire, timeout=60)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        with pytest.raises(TooManyAttempts):
            await hashing.run(lambda: 5)
        work.goes_on.set()
        hashing.close()

    asyncio.run(run())


def test_next_to_a_loop_what_waits_is_dropped_at_the_end_and_the_loop_is_not_kept() -> None:
    async def run() -> list[str]:
        hashing, work, ran = AsyncHashing(concurrency=1, most_waiting=1), Work(), []
        running = asyncio.create_task(hashing.run(work))
        assert await asyncio.to_thread(work.began.acquire, timeout=60)
        waiting = asyncio.create_task(hashing.run(lambda: ran.append("ran")))
        await asyncio.sleep(0)
        hashing.close()
        assert not running.done(), "close does not wait"
        with pytest.raises(asyncio.CancelledError):
            await waiting
        work.goes_on.set()
        assert await running == "hashed"
        return ran

    assert asyncio.run(run()) == []


def test_on_threads_some_hash_some_wait_and_the_others_are_refused():
    hashing, work = Hashing(concurrency=2, most_waiting=1), Work()
    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(hashing.run, work) for _ in range(3)]
        for _ in range(2):
            assert work.began.acquire(timeout=60)
        while hashing._queue._value:  # until the third has come
            threading.Event().wait(0.01)
        with pytest.raises(TooManyAttempts) as refused:
            hashing.run(work)
        assert refused.value.retry_after == 1
        assert not work.began.acquire(blocking=False), "the third waits for its turn"
        work.goes_on.set()
        assert [each.result(60) for each in running] == ["hashed"] * 3
    assert hashing.run(lambda: 5) == 5
    hashing.close()
    with pytest.raises(ClusterPassError, match="closed"):
        hashing.run(lambda: 5)


def test_on_threads_a_failure_frees_its_place():
    def fails() -> None:
        raise ValueError("a failure")

    hashing = Hashing(concurrency=1, most_waiting=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="a failure"):
            hashing.run(fails)
    assert hashing.run(lambda: 5) == 5


def test_on_threads_nobody_is_refused_by_default():
    hashing, work = Hashing(), Work()
    with ThreadPoolExecutor(70) as threads:
        running = [threads.submit(hashing.run, work) for _ in range(70)]
        for _ in running:
            assert work.began.acquire(timeout=60)
        work.goes_on.set()
        assert {each.result(60) for each in running} == {"hashed"}


def sizes(counters: HashingCounters) -> tuple[int, int]:
    return len(counters.waiting), len(counters.running)


def test_next_to_a_loop_it_is_counted_who_waits_and_how_long() -> None:
    async def run() -> HashingCounters:
        counters, work = HashingCounters(), Work()
        hashing = AsyncHashing(concurrency=1, most_waiting=1, counters=counters)
        running = asyncio.create_task(hashing.run(work))
        assert await asyncio.to_thread(work.began.acquire, timeout=60)
        waiting = asyncio.create_task(hashing.run(work))
        await asyncio.sleep(0)
        assert sizes(counters) == (1, 1)
        with pytest.raises(TooManyAttempts):
            await hashing.run(work)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert sizes(counters) == (0, 1)
        work.goes_on.set()
        assert await running == "hashed"
        hashing.close()
        with pytest.raises(ClusterPassError, match="closed"):
            await hashing.run(work)
        return counters

    counters = asyncio.run(run())
    assert sizes(counters) == (0, 0)
    assert counters.refused == 1
    assert sum(counters.waited.counts) == sum(counters.worked.counts) == 1
    assert counters.worked.seconds > 0


def test_on_threads_it_is_counted_who_waits_and_how_long() -> None:
    counters, work = HashingCounters(), Work()
    hashing = Hashing(concurrency=1, most_waiting=1, counters=counters)
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(hashing.run, work) for _ in range(2)]
        assert work.began.acquire(timeout=60)
        while sizes(counters) != (1, 1):
            threading.Event().wait(0.01)
        with pytest.raises(TooManyAttempts):
            hashing.run(work)
        work.goes_on.set()
        assert [each.result(60) for each in running] == ["hashed"] * 2
    assert sizes(counters) == (0, 0)
    assert counters.refused == 1
    assert sum(counters.waited.counts) == sum(counters.worked.counts) == 2


def test_what_is_called_next_to_a_loop_belongs_to_the_request() -> None:
    request: ContextVar[str] = ContextVar("request", default="none")

    async def run() -> str:
        hashing = AsyncHashing()
        request.set("that of alice")
        found = await hashing.run(request.get)
        hashing.close()
        return found

    assert asyncio.run(run()) == "that of alice"
