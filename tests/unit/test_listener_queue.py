"""The queue between verbs and listeners: what is delivered, and what is dropped and counted."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from clusterpass.managers.aio import listener_queue as aio
from clusterpass.managers.aio.listener_queue import AsyncListeners
from clusterpass.managers.listeners_by_kind import Subscriptions
from clusterpass.managers.sync import listener_queue as sync
from clusterpass.managers.sync.listener_queue import Listeners
from clusterpass.model.events import SessionEvent

LONG = 60.0


def event(kind: Any = "login", subject: str = "alice") -> SessionEvent:
    return SessionEvent(kind, subject, 0)


def test_on_a_thread_events_arrive_in_order_and_closing_waits_for_them() -> None:
    listeners, heard = Listeners(), []
    goes_on = threading.Event()

    def listener(one: SessionEvent) -> None:
        assert goes_on.wait(LONG)
        heard.append((one.subject, threading.current_thread().name))

    listeners.subscriptions.add(("login",), listener)
    for number in range(3):
        listeners.tell(event(subject=str(number)))
        listeners.tell(event("revoked"))
    goes_on.set()
    listeners.close()
    assert heard == [(str(number), "clusterpass-listeners") for number in range(3)]
    assert listeners.subscriptions.dropped == 0
    listeners.tell(event("revoked"))
    assert listeners.subscriptions.dropped == 0, "nobody listens to it"
    listeners.tell(event())
    assert listeners.subscriptions.dropped == 1
    assert len(heard) == 3


def test_in_a_loop_events_arrive_in_order_and_closing_waits_for_them() -> None:
    async def run() -> None:
        listeners, heard = AsyncListeners(), []

        async def listener(one: SessionEvent) -> None:
            task = asyncio.current_task()
            assert task is not None
            await asyncio.sleep(0)
            heard.append((one.subject, task.get_name()))

        listeners.subscriptions.add(("login",), listener)
        for number in range(3):
            listeners.tell(event(subject=str(number)))
            listeners.tell(event("revoked"))
        assert heard == [], "a verb waits for no listener"
        await listeners.close()
        assert heard == [(str(number), "clusterpass-listeners") for number in range(3)]
        assert listeners.subscriptions.dropped == 0
        listeners.tell(event("revoked"))
        assert listeners.subscriptions.dropped == 0, "nobody listens to it"
        listeners.tell(event())
        assert listeners.subscriptions.dropped == 1
        assert len(heard) == 3

    asyncio.run(run())


def test_in_a_loop_a_later_event_wakes_the_listener_again() -> None:
    async def run() -> None:
        listeners, heard = AsyncListeners(), asyncio.Event()

        async def listener(_: SessionEvent) -> None:
            heard.set()

        listeners.subscriptions.add((), listener)
        for _ in range(3):
            heard.clear()
            listeners.tell(event())
            async with asyncio.timeout(LONG):
                await heard.wait()
            for _ in range(3):
                await asyncio.sleep(0)
        await listeners.close()

    asyncio.run(run())


def test_what_does_not_fit_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (aio.MOST_WAITING, sync.MOST_WAITING) == (10_000, 10_000)
    monkeypatch.setattr(sync, "MOST_WAITING", 2)
    listeners, heard, began, goes_on = Listeners(), [], threading.Event(), threading.Event()

    def listener(one: SessionEvent) -> None:
        began.set()
        assert goes_on.wait(LONG)
        heard.append(one.subject)

    listeners.subscriptions.add((), listener)
    listeners.tell(event(subject="first"))
    assert began.wait(LONG)
    for number in range(4):
        listeners.tell(event(subject=str(number)))
    assert listeners.subscriptions.dropped == 2
    goes_on.set()
    listeners.close()
    assert heard == ["first", "0", "1"]


def test_in_a_loop_what_does_not_fit_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aio, "MOST_WAITING", 2)

    async def run() -> None:
        listeners, heard = AsyncListeners(), []

        async def listener(one: SessionEvent) -> None:
            heard.append(one.subject)

        listeners.subscriptions.add((), listener)
        for number in range(4):
            listeners.tell(event(subject=str(number)))
        assert listeners.subscriptions.dropped == 2
        await listeners.close()
        assert heard == ["0", "1"]

    asyncio.run(run())


@pytest.mark.parametrize(("module", "kind"), [(sync, Listeners), (aio, AsyncListeners)])
@pytest.mark.parametrize("behind", [0, 2])
def test_a_listener_that_hangs_is_left_and_all_that_it_misses_is_counted(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: Any,
    kind: Any,
    behind: int,
) -> None:
    monkeypatch.setattr(module, "_CLOSING_SECONDS", 0.01)
    began, goes_on, heard = threading.Event(), threading.Event(), []

    async def run() -> None:
        listeners = kind()

        def listener(one: SessionEvent) -> None:
            heard.append(one.subject)
            began.set()
            assert goes_on.wait(LONG)

        listeners.subscriptions.add((), listener)
        listeners.tell(event())
        assert await asyncio.to_thread(began.wait, LONG)
        for _ in range(behind):
            listeners.tell(event(subject="bob"))
        closed = listeners.close()
        if closed is not None:
            await closed
        assert listeners.subscriptions.dropped == 1 + behind
        assert listeners.waiting == 0
        goes_on.set()
        worker = getattr(listeners._worker, "_thread", None)
        if worker is not None:
            await asyncio.to_thread(worker.join, LONG)

    asyncio.run(run())
    assert heard == ["alice"]
    assert [each.getMessage() for each in caplog.records] == [
        f"closed before listeners were told of {1 + behind} events"
    ]


@pytest.mark.parametrize("kind", [Listeners, AsyncListeners])
def test_closing_waits_for_a_listener_for_five_seconds(
    monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    waited: list[float] = []

    def stop(seconds: float) -> Any:
        waited.append(seconds)
        return asyncio.sleep(0) if kind is AsyncListeners else None

    listeners = kind()
    monkeypatch.setattr(listeners._worker, "stop", stop)
    closed = listeners.close()
    if closed is not None:
        asyncio.run(closed)
    assert waited == [5.0]


def test_what_nobody_delivers_any_more_is_counted() -> None:
    listeners, began = AsyncListeners(), asyncio.Event()

    async def listener(_: SessionEvent) -> None:
        began.set()
        await asyncio.Event().wait()

    async def tell() -> None:
        listeners.subscriptions.add((), listener)
        for _ in range(3):
            listeners.tell(event())
        await began.wait()

    asyncio.run(tell())
    asyncio.run(listeners.close())
    assert listeners.subscriptions.dropped == 3


def test_a_listener_that_closes_misses_nothing() -> None:
    listeners, heard = Listeners(), []

    def listener(one: SessionEvent) -> None:
        if not heard:
            all_told.wait(LONG)
            listeners.close()
        heard.append(one.subject)

    all_told = threading.Event()
    listeners.subscriptions.add((), listener)
    for number in range(3):
        listeners.tell(event(subject=str(number)))
    worker = listeners._worker._thread
    assert worker is not None
    all_told.set()
    worker.join(LONG)
    assert heard == ["0", "1", "2"]
    assert listeners.subscriptions.dropped == 0


@pytest.mark.parametrize("kind", [Listeners, AsyncListeners])
def test_a_child_delivers_nothing_of_its_parent(kind: Any) -> None:
    listeners = kind()
    listeners._waiting.append(event())
    listeners.begin_anew()
    assert list(listeners._waiting) == []


def test_the_first_and_every_thousandth_drop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    subscriptions = Subscriptions()
    for _ in range(2001):
        subscriptions.note_dropped()
    assert [(each.name, each.levelno) for each in caplog.records] == [
        ("clusterpass.listeners", logging.WARNING)
    ] * 3
    assert [each.getMessage() for each in caplog.records] == [
        f"listeners are too slow: {count} events dropped" for count in (1, 1000, 2000)
    ]


def test_who_listens_to_what() -> None:
    def first(_: SessionEvent) -> None:
        """Listens."""

    def second(_: SessionEvent) -> None:
        """Listens too."""

    subscriptions = Subscriptions()
    subscriptions.add(("login", "revoked"), first)
    before = subscriptions.by_kind
    subscriptions.add(("login",), second)
    assert before == {"login": (first,), "revoked": (first,)}, "it is replaced, not changed"
    assert subscriptions.of(event()) == (first, second)
    assert subscriptions.of(event("revoked")) == (first,)
    assert subscriptions.of(event("banned")) == ()
    subscriptions.remove(first)
    assert subscriptions.of(event()) == (second,)
    assert subscriptions.of(event("revoked")) == ()
