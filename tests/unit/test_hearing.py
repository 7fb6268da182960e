"""Cluster listeners of one manager: pushes of other processes, and reads of their histories."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from clusterpass.managers import history_read_queue
from clusterpass.managers.aio.hearing import AsyncHearing
from clusterpass.managers.aio.listener_queue import AsyncListeners
from clusterpass.managers.history_read_queue import ChangedSubjects
from clusterpass.managers.sync.hearing import Hearing
from clusterpass.managers.sync.listener_queue import Listeners
from clusterpass.managers.workers import sync as workers
from clusterpass.model.errors import ConfigurationError, StoreUnavailable, UnreadableRecord
from clusterpass.model.events import SessionEvent
from clusterpass.protocol.replies import HistoryLine, Listed
from clusterpass.protocol.script import Answer
from clusterpass.sessions.flows import Flows
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import KEYSPACE, config

ONE = b"1" * 16
LOGIN = 1


class Scene:
    """A manager's listeners, and its store, which answers as the test says."""

    def __init__(self, **values: Any) -> None:
        self.flows = Flows(
            config(**values), KEYSPACE, deadline=3, tell=lambda _: None, has_epochs=False
        )
        self.listeners = AsyncListeners()
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.going_on = asyncio.Event()
        self.going_on.set()
        self.lines: list[HistoryLine] = []
        self.heard: list[SessionEvent] = []
        self.hearing = AsyncHearing(cast("Any", self), self.flows, self.listeners)
        self.near = self.flows.memory.near

    async def run(self, flow: Any) -> Any:
        """The store."""
        try:
            call = next(flow)
        except StopIteration as stop:
            return stop.value
        self.asked.append(call.script.name)
        await self.going_on.wait()
        if call.script.name == "list_sessions" and self.failure is not None:
            raise self.failure
        reply: Any = 0
        if call.script.name == "list_sessions":
            reply = Listed(int(time.time() * 1000), {}, self.lines.copy(), len(self.lines) - 1)
        try:
            flow.send(Answer(reply, False))
        except StopIteration as stop:
            return stop.value
        raise AssertionError

    def log_in(self, subject: str = "alice") -> None:
        """Somebody logs in elsewhere: the node pushes the change."""
        self.lines.append(HistoryLine(LOGIN, int(time.time()), 1, ONE, b"", ""))
        self.push(subject)

    def push(self, subject: str = "alice") -> None:
        self.near.pushed("a", [KEYSPACE.sessions(subject), KEYSPACE.online(0)])

    def add(self) -> Callable[[SessionEvent], Any]:
        listener = self.heard.append
        self.hearing.add((), listener)
        return listener

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_so():
                await asyncio.sleep(0.001)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    made.going_on.set()
    await made.hearing.close()
    await made.listeners.close()


async def test_who_listens_hears_of_what_was_done_elsewhere(scene: Scene) -> None:
    scene.push()
    assert not scene.near.wants_all
    scene.add()
    assert scene.near.wants_all, "the nodes push all changes from now on"
    await scene.until(lambda: scene.asked == ["read_not_before"])
    scene.log_in()
    await scene.until(lambda: bool(scene.heard))
    (event,) = scene.heard
    assert (event.kind, event.subject) == ("login", "alice")
    assert event.session_ids == (encode_session_id(ONE),)
    scene.push()
    await scene.until(lambda: scene.hearing.stats().reads == 2)
    assert len(scene.heard) == 1
    assert scene.asked == ["read_not_before", "list_sessions", "list_sessions"]


async def test_an_own_event_is_not_told_twice(scene: Scene) -> None:
    scene.add()
    await scene.until(lambda: bool(scene.asked))
    own = SessionEvent("login", "alice", int(time.time()), session_ids=(encode_session_id(ONE),))
    scene.listeners.tell(own)
    await scene.until(lambda: bool(scene.heard))
    scene.log_in()
    await scene.until(lambda: scene.hearing.stats().reads == 1)
    assert scene.heard == [own]


async def test_who_listens_already_is_not_woken_by_own_events(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what others did is read: a turn for each event of this process would be in vain."""
    scene.add()
    await scene.until(lambda: bool(scene.asked))
    woken: list[str] = []
    monkeypatch.setattr(scene.hearing._worker, "wake_soon", lambda: woken.append("hearing"))
    scene.listeners.tell(SessionEvent("login", "alice", int(time.time())))
    await scene.until(lambda: bool(scene.heard))
    assert woken == []


async def test_without_listeners_nothing_is_read(scene: Scene) -> None:
    listener = scene.add()
    await scene.until(lambda: bool(scene.asked))
    scene.hearing.remove(listener)
    scene.log_in()
    await asyncio.sleep(0)
    assert scene.asked == ["read_not_before"]
    assert scene.hearing.stats().gaps == 0
    scene.near.on_gap()
    assert scene.hearing.stats().gaps == 0, "nobody has missed anything"
    scene.add()
    scene.near.on_gap()
    assert scene.hearing.stats().gaps == 1
    scene.push()
    await scene.until(lambda: scene.hearing.stats().reads == 1)


async def test_what_was_put_off_is_read_although_nothing_is_pushed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_read_queue, "_PAUSES", (0.05,))
    scene.near.refusal = "nobody pushes, and so nobody looks whether all do"
    scene.add()
    scene.failure = StoreUnavailable(reason="timeout")
    scene.push()
    await scene.until(lambda: scene.asked.count("list_sessions") == 1)
    scene.failure = None
    async with asyncio.timeout(5):
        await scene.until(lambda: scene.hearing.stats().reads == 1)


async def test_who_comes_later_hears_nothing_of_what_was_put_off_before(scene: Scene) -> None:
    listener = scene.add()
    scene.failure = StoreUnavailable(reason="timeout")
    scene.push()
    await scene.until(lambda: scene.hearing._changed.seconds_until_due() not in {None, 0.0})
    scene.hearing.remove(listener)
    scene.add()
    assert scene.hearing._changed.seconds_until_due() is None, "nothing is read for them"


async def test_what_changes_while_it_is_read_is_read_once_more(scene: Scene) -> None:
    scene.add()
    await scene.until(lambda: bool(scene.asked))
    scene.going_on.clear()
    scene.push()
    await scene.until(lambda: scene.asked.count("list_sessions") == 1)
    for _ in range(3):
        scene.push()
    scene.going_on.set()
    await scene.until(lambda: scene.hearing.stats().reads == 2)
    await asyncio.sleep(0.01)
    assert scene.asked.count("list_sessions") == 2


async def test_so_many_histories_are_read_at_once(scene: Scene) -> None:
    scene.add()
    await scene.until(lambda: bool(scene.asked))
    scene.going_on.clear()
    for number in range(20):
        scene.push(f"subject-{number}")
    await scene.until(lambda: scene.asked.count("list_sessions") == 8)
    await asyncio.sleep(0.01)
    assert scene.asked.count("list_sessions") == 8
    scene.going_on.set()
    await scene.until(lambda: scene.hearing.stats().reads == 20)


async def test_an_outage_puts_a_history_off(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    put_off: list[str] = []
    monkeypatch.setattr(ChangedSubjects, "put_off", lambda _, subject: put_off.append(subject))
    scene.add()
    scene.failure = StoreUnavailable(reason="timeout")
    scene.push()
    await scene.until(lambda: put_off == ["alice"])
    assert scene.hearing.stats().unread == 0


@pytest.mark.parametrize(
    ("failure", "name"),
    [(UnreadableRecord(), UnreadableRecord.code), (ZeroDivisionError(), "ZeroDivisionError")],
)
async def test_a_history_that_cannot_be_read_is_counted_and_said(
    scene: Scene, failure: Exception, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene.add()
    scene.failure = failure
    with caplog.at_level(logging.WARNING, "clusterpass.listeners"):
        scene.push()
        await scene.until(lambda: scene.hearing.stats().unread == 1)
    assert any(name in record.getMessage() for record in caplog.records)
    scene.failure = None
    scene.log_in()
    await scene.until(lambda: bool(scene.heard))


async def test_nodes_that_do_not_push_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "clusterpass.listeners"):
        scene = Scene()
        scene.near.refusal = "a:1: NOPERM no"
        scene.add()
        await scene.until(lambda: bool(caplog.records))
        scene.push()
        await scene.until(lambda: scene.hearing.stats().reads == 1)
        await scene.hearing.close()
        await scene.listeners.close()
    (said,) = caplog.records
    assert said.getMessage() == "listeners hear of this process only: a:1: NOPERM no"


async def test_after_the_end_nothing_is_read_or_told(scene: Scene) -> None:
    scene.add()
    await scene.until(lambda: bool(scene.asked))
    scene.going_on.clear()
    for number in range(20):
        scene.push(f"subject-{number}")
    await scene.until(lambda: scene.asked.count("list_sessions") == 8)
    await scene.hearing.close()
    assert not scene.hearing._jobs.running()
    scene.going_on.set()
    scene.log_in()
    scene.near.on_gap()
    await asyncio.sleep(0.01)
    assert scene.heard == []
    assert scene.asked.count("list_sessions") == 8
    assert scene.hearing.stats().gaps == 0, "nobody has missed anything"
    assert not scene.listeners.is_news(SessionEvent("login", "alice", int(time.time())))
    assert scene.hearing._changed.take() is None, "no user is remembered"


async def test_a_close_leaves_no_task_behind(scene: Scene) -> None:
    scene.add()
    await scene.until(lambda: bool(scene.asked))
    await scene.hearing.close()
    await asyncio.sleep(0)
    assert "clusterpass-hearing" not in {task.get_name() for task in asyncio.all_tasks()}


def test_without_a_history_there_is_nothing_to_hear() -> None:
    async def check() -> None:
        Scene().hearing.check()
        with pytest.raises(ConfigurationError, match="history_entries=0"):
            Scene(history_entries=0).hearing.check()

    asyncio.run(check())


def test_threads_that_are_greenlets_cannot_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    hearing = Hearing(cast("Any", scene), scene.flows, Listeners())
    hearing.check()
    monkeypatch.setattr(workers, "has_green_threads", lambda: True)
    with pytest.raises(ConfigurationError, match='scope="cluster" needs a real thread'):
        hearing.check()


def test_a_history_is_read_again_whose_reading_ended_with_its_event_loop() -> None:
    made: list[Scene] = []

    async def begin() -> None:
        scene = Scene()
        made.append(scene)
        scene.add()
        await scene.until(lambda: bool(scene.asked))
        scene.going_on.clear()
        scene.log_in()
        await scene.until(lambda: scene.asked.count("list_sessions") == 1)

    async def go_on() -> None:
        (scene,) = made
        scene.going_on = asyncio.Event()
        scene.going_on.set()
        assert scene.heard == []
        scene.hearing.resume()
        await scene.until(lambda: bool(scene.heard))
        assert scene.hearing.stats().reads == 1
        await scene.hearing.close()
        await scene.listeners.close()

    asyncio.run(begin())
    asyncio.run(go_on())


def test_a_listener_that_came_before_its_event_loop_hears_from_the_first_own_event_on() -> None:
    async def go_on(scene: Scene) -> None:
        assert scene.asked == []
        scene.listeners.tell(SessionEvent("login", "bob", int(time.time())))
        await scene.until(lambda: scene.asked == ["read_not_before"])
        scene.log_in()
        await scene.until(lambda: [event.subject for event in scene.heard] == ["bob", "alice"])
        await scene.hearing.close()
        await scene.listeners.close()

    scene = Scene()
    scene.add()
    asyncio.run(go_on(scene))
