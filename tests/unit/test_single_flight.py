"""Single flight: one load for all callers that want the same entry."""

import asyncio
import threading

import pytest

from clusterpass.managers.single_flight import AsyncSingleFlight, SingleFlight

LONG = 600.0


def test_threads_wait_until_the_load_is_over() -> None:
    flights, waited = SingleFlight(), []
    assert flights.join("key", LONG) is False, "the first one loads"
    others = [
        threading.Thread(target=lambda: waited.append(flights.join("key", LONG)), daemon=True)
        for _ in range(3)
    ]
    for other in others:
        other.start()
    assert flights.join("another key", LONG) is False
    assert waited == []
    flights.land("key")
    for other in others:
        other.join(10)
    # Who came only after the landing has begun a load of its own.
    assert len(waited) == 3
    assert waited.count(False) <= 1


def test_a_thread_waits_for_its_time_at_most() -> None:
    flights = SingleFlight()
    flights.join("key", LONG)
    assert flights.join("key", 0.01) is True
    flights.land("key")
    flights.land("key")
    assert flights.join("key", LONG) is False


@pytest.mark.parametrize("waiting", [1, 3])
def test_tasks_wait_until_the_load_is_over(waiting: int) -> None:
    async def run() -> None:
        flights = AsyncSingleFlight()
        assert await flights.join("key", LONG) is False, "the first one loads"
        others = [asyncio.create_task(flights.join("key", LONG)) for _ in range(waiting)]
        await asyncio.sleep(0)
        assert await flights.join("another key", LONG) is False
        assert not any(other.done() for other in others)
        flights.land("key")
        async with asyncio.timeout(60):
            assert await asyncio.gather(*others) == [True] * waiting
        assert await flights.join("key", LONG) is False

    asyncio.run(run())


def test_a_task_waits_for_its_time_at_most_and_harms_nobody() -> None:
    async def run() -> None:
        flights = AsyncSingleFlight()
        await flights.join("key", LONG)
        assert await flights.join("key", 0.01) is True
        left = asyncio.create_task(flights.join("key", LONG))
        stays = asyncio.create_task(flights.join("key", LONG))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        flights.land("key")
        async with asyncio.timeout(60):
            assert await stays is True

    asyncio.run(run())


def test_loops_do_not_wait_for_each_other() -> None:
    flights = AsyncSingleFlight()
    assert asyncio.run(flights.join("key", LONG)) is False
    assert asyncio.run(flights.join("key", LONG)) is False
