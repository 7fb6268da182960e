"""The close of a manager: once, by a listener or a block, and refused calls after it."""

import asyncio
import inspect
import threading
import time
from typing import Any

import pytest

from clusterpass import (
    AsyncSessionManager,
    SessionEvent,
    SessionManager,
    StoreUnavailable,
)

from .manager_scene import CONFIG, FACES, VERBS, AwaitableStore, Store, member, ran, record


@pytest.fixture(params=FACES, ids=["threads", "loop"])
def manager(request: pytest.FixtureRequest) -> Any:
    kind, store = request.param
    return kind(store(), CONFIG)


def test_ping_and_close_reach_the_store_and_all_that_runs(manager: Any) -> None:
    ran(manager.ping())
    assert manager.store.told[-1] == "ping"
    ran(manager.close())
    assert manager.store.told[-1] == "close"
    assert manager._watching._worker.is_stopping
    assert manager._listeners._worker.is_stopping
    assert manager._confirming._worker.is_stopping
    assert manager._hearing._worker.is_stopping


def test_after_its_close_a_manager_refuses_every_call(manager: Any) -> None:
    ran(manager.close())
    told = list(manager.store.told)
    ran(manager.close())
    assert manager.store.told == told, "closing again does nothing"
    for verb, flow in [*VERBS, ("login", "login.login"), ("verify", "verify.verify"), ("ping", "")]:
        if flow:
            record(manager, flow)
        call = member(manager, verb)
        parameters = inspect.signature(call).parameters.values()
        needed = {
            each.name: each.name
            for each in parameters
            if each.default is each.empty and each.kind is not each.VAR_KEYWORD
        }
        with pytest.raises(StoreUnavailable, match="was closed") as caught:
            ran(call(**needed))
        assert caught.value.reason == "closed", verb
    assert manager.store.told == told
    assert manager.recall("token") is None


EVENT = SessionEvent("login", "alice", 1)


def test_a_listener_may_close_a_manager_of_threads_whose_closing_waits_for_it() -> None:
    manager = SessionManager(Store(), CONFIG)
    has_begun, ended = threading.Event(), list[float]()

    @manager.on()
    def close(_: SessionEvent) -> None:
        has_begun.set()
        while not manager._listeners._worker.is_stopping:
            time.sleep(0.001)
        manager.close()
        ended.append(time.monotonic())

    manager._listeners.tell(EVENT)
    assert has_begun.wait(10)
    began = time.monotonic()
    manager.close()
    assert ended and ended[0] - began < 4, "otherwise each waits for the other one"


async def test_a_listener_may_close_a_manager_of_tasks_whose_closing_waits_for_it() -> None:
    manager = AsyncSessionManager(AwaitableStore(), CONFIG)
    has_begun, ended = asyncio.Event(), list[float]()

    @manager.on()
    async def close(_: SessionEvent) -> None:
        has_begun.set()
        while not manager._listeners._worker.is_stopping:
            await asyncio.sleep(0.001)
        await manager.close()
        ended.append(time.monotonic())

    manager._listeners.tell(EVENT)
    async with asyncio.timeout(10):
        await has_begun.wait()
    began = time.monotonic()
    await manager.close()
    assert ended and ended[0] - began < 4, "otherwise each waits for the other one"


@pytest.mark.parametrize(("kind", "store"), FACES)
def test_a_manager_that_two_close_at_once_closes_its_store_once(kind: Any, store: Any) -> None:
    manager = kind(store(), CONFIG)
    if kind is SessionManager:
        threads = [threading.Thread(target=manager.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:

        async def run() -> None:
            await asyncio.gather(manager.close(), manager.close())

        asyncio.run(run())
    assert manager.store.told.count("close") == 1


def test_the_store_is_closed_even_if_a_close_is_cut_short() -> None:
    manager = AsyncSessionManager(AwaitableStore(), CONFIG)

    async def hang() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(manager.close(), 0.05)
        assert manager.store.told[-1] != "close"

    manager._confirming.close = hang  # type: ignore[method-assign]
    asyncio.run(run())
    assert manager.store.told[-1] == "close"


def test_a_block_closes_its_manager() -> None:
    with SessionManager(Store(), CONFIG) as manager:
        assert manager.store.told[-1] != "close"
    assert manager.store.told[-1] == "close"


def test_an_asynchronous_block_closes_its_manager() -> None:
    async def run() -> Any:
        async with AsyncSessionManager(AwaitableStore(), CONFIG) as manager:
            assert manager.store.told[-1] != "close"
        return manager.store.told[-1]

    assert asyncio.run(run()) == "close"
