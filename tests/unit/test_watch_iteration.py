"""Iteration of a session watch: wake-ups, changes, closing and cancellation."""

import asyncio
import gc
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clusterpass import (
    AsyncSessionManager,
    InvalidInput,
    Session,
    SessionManager,
    SessionRevoked,
    SessionUnknown,
    StoreUnavailable,
)
from clusterpass.managers.aio import session_watch, watching
from clusterpass.sessions.memory.followed_sessions import LOOK_SECONDS
from clusterpass.tokens.identifiers import encode_session_id

from .manager_scene import CONFIG, AwaitableStore, Store

SESSION = Session(
    "alice", encode_session_id(b"session-id-of-16"), "phone", 1, 2, 3, acr="1", auth_time=1
)
CHANGED = replace(SESSION, claims={"plan": "pro"})
GONE, SILENT = SessionRevoked(reason="revoked", ended_at=9), StoreUnavailable()
LONG = 60.0


def readings(manager: Any, answers: list[Any]) -> None:
    """The session is read as ``answers`` say, one after the other; the last one is repeated."""

    def read(followed: Any) -> Any:
        followed.is_due = False
        followed.read_at = math.inf  # so that nobody wakes it for want of a lease
        return answers.pop(0) if len(answers) > 1 else answers[0]

    manager._flows.get.read = read


class Reading(AwaitableStore):
    """A store that gives what a flow stands for."""

    async def run(self, flow: Any) -> Any:
        if isinstance(flow, Exception):
            raise flow
        return flow


class BlockingReading(Store):
    """A store of threads."""

    def run(self, flow: Any) -> Any:
        if isinstance(flow, Exception):
            raise flow
        return flow


def in_loop(test: Callable[[AsyncSessionManager], Any]) -> None:
    async def run() -> None:
        async with asyncio.timeout(LONG), AsyncSessionManager(Reading(), CONFIG) as manager:
            await test(manager)

    asyncio.run(run())


def test_what_has_changed_is_reported_at_once_and_an_end_is_the_last() -> None:
    async def watch(manager: AsyncSessionManager) -> None:
        readings(manager, [CHANGED, SILENT, SILENT, CHANGED, GONE])
        followers = manager._flows.memory.near.followers
        told = []
        async for change in manager.watch(SESSION):
            assert len(followers) == (change.kind != "ended")
            told.append((change.kind, change.session, change.error))
            manager._flows.memory.near.wake_followers()
        assert told == [
            ("changed", CHANGED, None),
            ("unavailable", CHANGED, SILENT),
            ("available", CHANGED, None),
            ("ended", CHANGED, GONE),
        ]
        assert len(followers) == 0

    in_loop(watch)


def test_on_a_thread_too() -> None:
    with SessionManager(BlockingReading(), CONFIG) as manager:
        readings(manager, [CHANGED, GONE])
        followers, told = manager._flows.memory.near.followers, []
        for change in manager.watch(SESSION):
            assert len(followers) == (change.kind != "ended")
            told.append(change.kind)
            manager._flows.memory.near.wake_followers()
        assert told == ["changed", "ended"]
        assert len(followers) == 0


def test_a_watch_waits_until_it_is_woken_and_is_looked_after() -> None:
    async def watch(manager: AsyncSessionManager) -> None:
        readings(manager, [SESSION, CHANGED])
        iteration = manager.watch(SESSION)
        near, looked = manager._flows.memory.near, asyncio.Event()
        look = near.look_after_followers

        def looks() -> int:
            looked.set()
            return look()

        near.look_after_followers = looks
        change = asyncio.ensure_future(anext(iteration))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not change.done(), "nothing has changed"
        assert looked.is_set()
        assert manager._watching._worker._task is not None
        assert manager._watching._worker._task.get_name() == "clusterpass-watching"
        looked.clear()
        await looked.wait()
        assert not change.done()
        near.wake_followers()
        assert (await change).session == CHANGED
        await iteration.aclose()
        assert len(near.followers) == 0
        await manager._watching._worker._task

    assert LOOK_SECONDS == 0.25
    in_loop(watch)


def test_a_watch_is_looked_after_although_the_loop_has_ended_that_did_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (session_watch, watching):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    manager = AsyncSessionManager(Reading(), CONFIG)
    readings(manager, [SESSION])
    near, looked = manager._flows.memory.near, set[int]()
    look = near.look_after_followers

    def looks() -> int:
        looked.add(threading.get_ident())
        return look()

    near.look_after_followers = looks

    async def wait_until(is_so: Callable[[], bool]) -> None:
        while not is_so():
            await asyncio.sleep(0.001)

    async def begin(may_end: threading.Event) -> None:
        other = asyncio.ensure_future(anext(manager.watch(SESSION)))
        await wait_until(may_end.is_set)
        other.cancel()

    async def watch() -> None:
        may_end = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(begin(may_end)))
        thread.start()
        async with asyncio.timeout(LONG):
            await wait_until(lambda: bool(looked))
            change = asyncio.ensure_future(anext(manager.watch(SESSION)))
            await wait_until(lambda: len(near.followers) == 2)
            assert threading.get_ident() not in looked
            may_end.set()
            await wait_until(lambda: threading.get_ident() in looked)
            change.cancel()
            await manager.close()
        thread.join(LONG)

    asyncio.run(watch())


def test_a_watch_that_begins_as_the_last_one_ends_is_looked_after() -> None:
    has_looked, is_waiting, go_on, looks_again = (threading.Event() for _ in range(4))

    def look() -> int:
        if has_looked.is_set():
            looks_again.set()
            return 1
        has_looked.set()
        go_on.wait(5)
        return 0  # nobody watched as it looked

    with SessionManager(BlockingReading(), CONFIG) as manager:
        readings(manager, [SESSION])
        worker = manager._watching._worker
        resume = worker.resume

        def resumed() -> None:
            resume()
            is_waiting.set()

        worker.resume = resumed  # type: ignore[method-assign]
        manager._flows.memory.near.look_after_followers = look  # type: ignore[method-assign]
        worker.wake()
        assert has_looked.wait(5)
        iteration = manager.watch(SESSION)
        watching_thread = threading.Thread(target=lambda: next(iteration, None))
        watching_thread.start()
        assert is_waiting.wait(5)
        go_on.set()
        assert looks_again.wait(5)
    watching_thread.join(LONG)


def test_closing_the_manager_ends_a_watch_without_a_report() -> None:
    async def watch(manager: AsyncSessionManager) -> None:
        readings(manager, [SESSION])
        change = asyncio.ensure_future(anext(manager.watch(SESSION), "over"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not change.done()
        await manager.close()
        assert await change == "over"
        assert len(manager._flows.memory.near.followers) == 0

    in_loop(watch)


def test_closing_the_manager_ends_a_watch_on_a_thread() -> None:
    manager, told = SessionManager(BlockingReading(), CONFIG), []
    readings(manager, [SESSION])
    watching = threading.Thread(
        target=lambda: told.extend([*manager.watch(SESSION), "over"]), daemon=True
    )
    watching.start()
    while not any(not each.is_due for each in manager._flows.memory.near.followers._all.copy()):
        threading.Event().wait(0.001)
    manager.close()
    watching.join(LONG)
    assert told == ["over"]


@pytest.mark.parametrize(
    ("kind", "store"), [(SessionManager, BlockingReading), (AsyncSessionManager, Reading)]
)
def test_only_a_session_can_be_watched(kind: Any, store: Any) -> None:
    manager = kind(store(), CONFIG)
    with pytest.raises(InvalidInput, match="session must be a Session"):
        manager.watch("s" * 22)
    with pytest.raises(SessionUnknown):
        manager.watch(replace(SESSION, session_id="x"))


def test_another_task_ends_a_watch_that_waits() -> None:
    async def watch(manager: AsyncSessionManager) -> None:
        readings(manager, [SESSION])
        changes = manager.watch(SESSION)
        change = asyncio.ensure_future(anext(changes, "over"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not change.done()
        await changes.aclose()
        assert await change == "over"
        assert await anext(changes, "still over") == "still over"
        assert len(manager._flows.memory.near.followers) == 0
        await changes.aclose()

    in_loop(watch)


def test_another_thread_ends_a_watch_that_waits() -> None:
    with SessionManager(BlockingReading(), CONFIG) as manager:
        readings(manager, [SESSION])
        changes, told = manager.watch(SESSION), []
        watching = threading.Thread(target=lambda: told.extend([*changes, "over"]), daemon=True)
        watching.start()
        followers = manager._flows.memory.near.followers
        while not any(not each.is_due for each in followers._all.copy()):
            threading.Event().wait(0.001)
        changes.close()
        watching.join(LONG)
        assert told == ["over"]
        assert next(changes, "still over") == "still over"
        assert len(followers) == 0
        changes.close()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_watch_that_is_closed_between_two_changes_reports_nothing_more(elsewhere: bool) -> None:
    with SessionManager(BlockingReading(), CONFIG) as manager:
        readings(manager, [CHANGED, GONE])
        changes = manager.watch(SESSION)
        assert next(changes).kind == "changed"
        manager._flows.memory.near.wake_followers()
        if elsewhere:
            closing = threading.Thread(target=changes.close)
            closing.start()
            closing.join(LONG)
        else:
            changes.close()
        assert len(manager._flows.memory.near.followers) == 0
        assert [*changes] == []


@pytest.mark.parametrize(
    ("kind", "store"), [(SessionManager, BlockingReading), (AsyncSessionManager, Reading)]
)
def test_a_watch_that_is_closed_before_it_begins_asks_nothing(kind: Any, store: Any) -> None:
    async def watch() -> None:
        manager = kind(store(), CONFIG)
        readings(manager, [LookupError("asked")])
        changes = manager.watch(SESSION)
        if kind is SessionManager:
            changes.close()
            assert [*changes] == []
        else:
            await changes.aclose()
            assert [each async for each in changes] == []
        assert len(manager._flows.memory.near.followers) == 0

    asyncio.run(watch())


def test_what_is_read_while_a_watch_is_closed_is_not_reported() -> None:
    class Closing(BlockingReading):
        def run(self, flow: Any) -> Any:
            changes.close()
            return flow

    with SessionManager(Closing(), CONFIG) as manager:
        readings(manager, [CHANGED])
        changes = manager.watch(SESSION)
        assert [*changes] == []
        assert len(manager._flows.memory.near.followers) == 0


def test_a_watch_that_is_cancelled_is_over() -> None:
    async def watch(manager: AsyncSessionManager) -> None:
        readings(manager, [SESSION])
        changes = manager.watch(SESSION)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(changes)
        assert len(manager._flows.memory.near.followers) == 0
        assert await anext(changes, "over") == "over"

    in_loop(watch)


def test_a_watch_that_is_forgotten_is_no_longer_followed() -> None:
    async def watch(manager: AsyncSessionManager) -> None:
        readings(manager, [CHANGED])
        near, changes = manager._flows.memory.near, manager.watch(SESSION)
        await anext(changes)
        assert near.look_after_followers() == 1
        del changes
        gc.collect()
        assert near.look_after_followers() == 0

    in_loop(watch)
