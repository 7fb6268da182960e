"""The background work of one asynchronous manager in several event loops, which end before it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from clusterpass import AsyncSessionManager, RevocationPending, Session, SessionEvent
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Rest
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import config

LONG = 20.0
SESSION = Session(
    "alice", encode_session_id(b"session-id-of-16"), "phone", 1, 2, 3, acr="1", auth_time=1
)


class Store:
    """A single server whose answers are those of an empty namespace."""

    keyspace, deadline, has_epochs = Keyspace(), 2.5, False

    def __init__(self) -> None:
        self.confirms = True
        self.asked: list[str] = []
        self.hangs: set[str] = set()

    def observe(self, observer: Any, bound: float) -> None:
        """Nothing changes here."""

    def confirm_by(self, durability: str) -> None:
        """Says below whether it confirms."""

    def describe_durability(self) -> str:
        return "none"

    def silent_nodes(self) -> tuple[str, ...]:
        return ()

    def missing_commands(self) -> tuple[str, ...]:
        return ("HELLO: nothing is pushed",)

    def owner_of(self, slot: int) -> str:
        return "node"

    async def close(self) -> None:
        """Nothing is open."""

    async def run(self, flow: Any) -> Any:
        answer = None
        try:
            while True:
                call = flow.send(answer)
                answer = None if isinstance(call, Rest) else await self._answer(call)
        except StopIteration as end:
            return end.value
        finally:
            flow.close()

    async def _answer(self, call: Any) -> Answer[Any]:
        name = call.script.name
        self.asked.append(name)
        if name in self.hangs:
            await asyncio.Event().wait()
        now = int(time.time() * 1000)
        raw: Any = {
            "end_all": [b"OK", now, []],
            "read_not_before": 0,
            "list_sessions": [now, [], []],
        }[name]
        return Answer(call.read(raw), self.confirms, "node", self.confirms)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def manager(store: Store) -> AsyncSessionManager:
    return AsyncSessionManager(store, config())  # type: ignore[arg-type] (what is used here)


def ended_by_asyncio(run: Callable[[], Awaitable[None]]) -> None:
    async def awaited() -> None:
        await run()

    asyncio.run(awaited())


def closed_as_it_is(run: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(run())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


stopped: list[asyncio.AbstractEventLoop] = []


def stopped_for_now(run: Callable[[], Awaitable[None]]) -> None:
    stopped.append(asyncio.new_event_loop())
    stopped[-1].run_until_complete(run())


@pytest.fixture(params=[ended_by_asyncio, closed_as_it_is, stopped_for_now])
def in_a_loop(request: pytest.FixtureRequest) -> Any:
    """Runs a coroutine in an event loop that ends then, in one of the ways in which loops end."""
    yield request.param
    while stopped:
        loop = stopped.pop()
        left = asyncio.all_tasks(loop)
        loop.run_until_complete(asyncio.sleep(0))
        assert all(task.done() or task.cancelling() for task in left), "another loop took over"
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


async def eventually(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_is_pending_is_retried_in_the_loop_of_the_next_call(
    store: Store, manager: AsyncSessionManager, in_a_loop: Any
) -> None:
    async def revoke() -> None:
        with pytest.raises(RevocationPending):
            await manager.revoke_all("alice")
        await asyncio.sleep(0)  # the worker waits

    async def ask() -> None:
        store.confirms = True
        assert await manager.sessions("bob") == []
        await eventually(lambda: not manager._flows.memory.pending)
        await manager.close()

    store.confirms = False
    in_a_loop(revoke)
    assert len(manager._flows.memory.pending) == 1
    asyncio.run(ask())


def test_a_retry_that_was_under_way_is_made_again(
    store: Store, manager: AsyncSessionManager, in_a_loop: Any
) -> None:
    async def revoke() -> None:
        with pytest.raises(RevocationPending):
            await manager.revoke_all("alice")
        store.hangs = {"end_all"}
        count = len(store.asked)
        await eventually(lambda: "end_all" in store.asked[count:])

    async def ask() -> None:
        store.confirms, store.hangs = True, set()
        await manager.sessions("bob")
        await eventually(lambda: not manager._flows.memory.pending)
        await manager.close()

    store.confirms = False
    in_a_loop(revoke)
    asyncio.run(ask())


def test_events_that_wait_are_delivered_in_the_loop_of_the_next_call(
    manager: AsyncSessionManager, in_a_loop: Any
) -> None:
    heard: list[str] = []

    async def listener(event: SessionEvent) -> None:
        heard.append(event.subject)
        if event.subject == "alice":
            await asyncio.Event().wait()

    async def tell() -> None:
        for subject in ("alice", "bob"):
            manager._listeners.tell(SessionEvent("revoked", subject, 0))
        await eventually(lambda: heard)

    async def ask() -> None:
        await manager.sessions("bob")
        await eventually(lambda: len(heard) == 2)
        await manager.close()

    manager.on("revoked")(listener)
    in_a_loop(tell)
    asyncio.run(ask())
    assert heard == ["alice", "bob"]
    assert manager.stats().listeners.dropped == 1, "the one that its loop has cut short"


def test_a_history_whose_reading_was_left_is_read_again(
    store: Store, manager: AsyncSessionManager, in_a_loop: Any
) -> None:
    near, key = manager._flows.memory.near, manager._flows.context.keyspace.sessions("alice")

    async def hear() -> None:
        store.hangs = {"list_sessions"}
        manager.on(scope="cluster")(lambda _: None)
        near.on_pushed([key])
        await eventually(lambda: "list_sessions" in store.asked)

    async def ask() -> None:
        store.hangs = set()
        before = store.asked.count("list_sessions")
        await manager.sessions("bob")
        await eventually(lambda: store.asked.count("list_sessions") == before + 2)
        near.on_pushed([key])
        await eventually(lambda: store.asked.count("list_sessions") == before + 3)
        await manager.close()

    in_a_loop(hear)
    asyncio.run(ask())


def test_a_watch_is_looked_after_when_the_loop_of_another_has_ended(
    manager: AsyncSessionManager, in_a_loop: Any
) -> None:
    def read(followed: Any) -> Any:
        async def session() -> Session:
            followed.is_due = False
            return SESSION

        return session()

    async def run(reading: Any) -> Any:
        return await reading

    manager._flows.get.read = read  # type: ignore[method-assign]
    manager.store.run = run  # type: ignore[method-assign]
    worker = manager._watching._worker
    watches, is_over = threading.Event(), threading.Event()
    homes: list[Any] = []

    async def first() -> None:
        task = asyncio.ensure_future(anext(manager.watch(SESSION)))
        await eventually(lambda: worker._task is not None)
        watches.set()
        await asyncio.to_thread(is_over.wait, LONG)
        task.cancel()

    async def second() -> None:
        change = asyncio.ensure_future(anext(manager.watch(SESSION), None))
        while len(manager._flows.memory.near.followers) < 2:
            await asyncio.sleep(0.01)
        homes.append(worker._task and worker._task.get_loop())
        is_over.set()
        here = asyncio.get_running_loop()
        await eventually(lambda: worker._task is not None and worker._task.get_loop() is here)
        await manager.close()
        assert await change is None

    thread = threading.Thread(target=in_a_loop, args=(first,))
    thread.start()
    assert watches.wait(LONG)
    asyncio.run(second())
    thread.join(LONG)
    assert homes[0] is not None
