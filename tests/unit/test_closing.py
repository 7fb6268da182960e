"""Closing by concurrent threads or tasks: it runs once, and the others wait for it."""

import asyncio
import threading
from contextlib import suppress

import pytest

from clusterpass.managers.closing import AsyncClosing, Closing
from clusterpass.model import forks

LONG = 20.0


def test_a_second_thread_waits_for_the_closing_of_the_first() -> None:
    began, goes_on, told = threading.Event(), threading.Event(), list[str]()

    def close() -> None:
        began.set()
        assert goes_on.wait(LONG)
        told.append("closed")

    def second() -> None:
        closing.run()
        told.append("second")

    closing = Closing(close)
    threads = [threading.Thread(target=closing.run), threading.Thread(target=second)]
    threads[0].start()
    assert began.wait(LONG)
    closing.run(waits=False)
    threads[1].start()
    goes_on.set()
    for thread in threads:
        thread.join(LONG)
    closing.run()
    assert told == ["closed", "second"]


def test_what_is_being_closed_may_be_closed_by_a_handler_of_signals_of_that_thread() -> None:
    closed: list[int] = []

    def close() -> None:
        closed.append(1)
        if len(closed) == 1:
            closing.run()

    closing = Closing(close)
    closing.run()
    assert closed == [1, 1]


def test_a_closing_that_failed_begins_again() -> None:
    left = [OSError(), None]

    def close() -> None:
        if (error := left.pop(0)) is not None:
            raise error

    async def closes() -> None:
        close()

    closing = Closing(close)
    with pytest.raises(OSError):
        closing.run()
    closing.run()
    closing.run()
    assert not left
    left = [OSError(), None]

    async def run() -> None:
        closing = AsyncClosing(closes)
        with pytest.raises(OSError):
            await closing.run()
        await closing.run()
        await closing.run()

    asyncio.run(run())
    assert not left


def test_a_closing_goes_on_when_its_caller_waits_no_longer() -> None:
    goes_on, closed = asyncio.Event(), list[int]()

    async def close() -> None:
        await goes_on.wait()
        closed.append(1)

    async def run() -> None:
        closing = AsyncClosing(close)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(closing.run(), 0.01)
        await closing.run(waits=False)
        assert closed == []
        goes_on.set()
        await asyncio.gather(closing.run(), closing.run())
        assert closed == [1]

    asyncio.run(run())


def test_a_closing_that_ended_with_its_loop_begins_again_in_another() -> None:
    hangs, closed = [True], list[int]()

    async def close() -> None:
        if hangs:
            await asyncio.Event().wait()
        closed.append(1)

    closing = AsyncClosing(close)

    async def cut_short() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(closing.run(), 0.01)

    asyncio.run(cut_short())
    hangs.clear()
    asyncio.run(closing.run())
    assert closed == [1]


def test_a_caller_in_another_loop_waits_too() -> None:
    goes_on, began, closed = threading.Event(), threading.Event(), list[int]()

    async def close() -> None:
        began.set()
        await asyncio.to_thread(goes_on.wait, LONG)
        closed.append(1)

    async def run() -> None:
        asyncio.get_running_loop().call_later(0.05, goes_on.set)
        await closing.run()
        assert closed == [1]

    closing = AsyncClosing(close)
    other = threading.Thread(target=lambda: asyncio.run(closing.run()))
    other.start()
    assert began.wait(LONG)
    asyncio.run(run())
    other.join(LONG)


def test_a_child_of_a_fork_waits_for_no_closing_of_its_parent() -> None:
    closed: list[int] = []
    closing = Closing(lambda: closed.append(1))
    assert closing in forks._registered
    other = threading.Thread(target=closing._lock.acquire)
    other.start()
    other.join(LONG)
    closing.begin_anew()
    closing.run()
    assert closed == [1]

    async def close() -> None:
        closed.append(2)

    assert AsyncClosing(close) in forks._registered
