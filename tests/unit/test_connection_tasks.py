"""Background tasks of an event loop's connections: all of them end when the store is closed.

An event loop may be closed right after; a task that it destroys would leave its socket open.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault
from clusterpass.store.wire import background
from clusterpass.store.wire.background import BackgroundTasks
from clusterpass.store.wire.group_commit import GroupCommit
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.tcp_dial import dial_in_loop

from .test_loops_of_a_store import observed

LONG = 20.0


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LONG)
        yield server


class Dialling:
    """In the place of a loop's ``sock_connect``: reaches nothing, and takes some turns to end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = 0

    async def connect(self, *_: object) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            self.ended += 1


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/p"]
)
def test_no_task_is_left_when_a_store_is_closed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("tests.unit.test_loops_of_a_store.NOWHERE", url)
    store = observed()
    dialling, loop = Dialling(), asyncio.new_event_loop()
    monkeypatch.setattr(loop, "sock_connect", dialling.connect, raising=False)

    async def begin() -> None:
        store._nodes()
        await asyncio.wait_for(dialling.begun.wait(), LONG)

    loop.run_until_complete(begin())
    assert len(asyncio.all_tasks(loop)) > 2, "the watch, what it began, and the opening of a link"
    loop.run_until_complete(store.close())
    assert asyncio.all_tasks(loop) == set()
    assert dialling.ended >= 1
    loop.close()


async def test_tasks_are_awaited_that_others_begin_while_they_end() -> None:
    tasks, told = BackgroundTasks(), list[str]()

    async def last() -> None:
        await asyncio.sleep(0)
        told.append("last")

    async def first() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.begin(last(), "the last one")

    begun = tasks.begin(first())
    await asyncio.sleep(0)
    tasks.cancel()
    await tasks.ended()
    assert begun.cancelled() and told == ["last"]
    await tasks.ended()


async def test_a_task_that_is_about_to_end_is_not_disturbed() -> None:
    tasks, dialling = BackgroundTasks(), Dialling()
    tasks.begin(dialling.connect())
    await dialling.begun.wait()
    for _ in range(3):
        tasks.cancel()
        await asyncio.sleep(0)
    await tasks.ended()
    assert dialling.ended == 1


async def test_what_may_have_its_answer_already_is_awaited_and_not_cancelled() -> None:
    tasks, answered = BackgroundTasks(), asyncio.get_running_loop().create_future()

    async def ask() -> Any:
        return await answered

    asked = tasks.begin(ask(), is_cancelled=False)
    await asyncio.sleep(0)
    answered.set_result("confirmed")
    tasks.cancel()
    await tasks.ended()
    assert asked.result() == "confirmed"


async def test_a_task_that_goes_on_holds_the_end_up_for_some_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "_LONGEST_END", 0.02)
    tasks, goes_on = BackgroundTasks(), asyncio.Event()

    async def stubborn() -> None:
        while not goes_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await goes_on.wait()

    task = tasks.begin(stubborn())
    await asyncio.sleep(0)
    tasks.cancel()
    await tasks.ended()
    assert not task.done()
    goes_on.set()
    await task


async def test_a_task_whose_time_is_over_in_the_same_turn_is_cancelled_too() -> None:
    tasks, ran = BackgroundTasks(), list[str]()

    async def work() -> None:
        try:
            async with asyncio.timeout(0.0):
                await asyncio.Event().wait()
        except TimeoutError:
            ran.append("on")
            await asyncio.Event().wait()

    task = tasks.begin(work())
    while not task.cancelling():
        await asyncio.sleep(0)
    tasks.cancel()
    await asyncio.wait_for(tasks.ended(), LONG)
    assert task.cancelled()


async def test_a_task_has_its_name_and_its_result() -> None:
    async def work() -> int:
        return 5

    task = BackgroundTasks().begin(work(), "worker")
    assert task.get_name() == "worker" and await task == 5


@pytest.mark.parametrize("why", ["closed", "connection"])
async def test_a_write_that_waits_for_a_connection_is_told_why_that_was_closed(
    silent: socket.socket, why: str
) -> None:
    tasks = BackgroundTasks()
    address = Address(*silent.getsockname())
    location = StoreLocation(seeds=(address,), is_cluster=False)
    link = Link(location, address, None, background=tasks)
    commit = GroupCommit(link, most_waiting=5, background=tasks)
    written = commit.ask(b"*1\r\n$4\r\nPING\r\n", 1, (b"WAIT", 1, 50))
    reached, _ = await asyncio.to_thread(silent.accept)
    with reached:
        commit.close(why)
        tasks.cancel()
        await tasks.ended()
        assert await written == Fault(why)


async def test_a_connection_that_is_given_up_leaves_no_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    dialling = Dialling()
    monkeypatch.setattr(loop, "sock_connect", dialling.connect, raising=False)
    before = asyncio.all_tasks()
    given_up = asyncio.create_task(dial_in_loop("127.0.0.1", 1, 5.0))
    await asyncio.wait_for(dialling.begun.wait(), LONG)
    given_up.cancel()
    await asyncio.wait((given_up,))
    assert asyncio.all_tasks() == before and dialling.ended == 1


async def test_who_is_cancelled_while_other_attempts_end_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    slow, made = Dialling(), list[socket.socket]()

    async def found(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (1, 2)]

    async def connect(one: socket.socket, address: Any) -> None:
        made.append(one)
        if address[1] == 2:
            await slow.connect()
        await slow.begun.wait()

    monkeypatch.setattr(loop, "getaddrinfo", found, raising=False)
    monkeypatch.setattr(loop, "sock_connect", connect, raising=False)
    dialling = asyncio.create_task(dial_in_loop("a.example", 1, 5.0))
    await asyncio.wait_for(slow.begun.wait(), LONG)
    while made[0].fileno() == -1 or not any(
        task.cancelling() for task in asyncio.all_tasks() if task is not dialling
    ):
        await asyncio.sleep(0)
    dialling.cancel()
    await asyncio.wait((dialling,))
    assert dialling.cancelled()
    while slow.ended == 0:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [one.fileno() for one in made] == [-1, -1]
