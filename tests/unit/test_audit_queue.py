"""The queue of the audit trail: entries that wait, are written late, or are logged instead."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import (
    AuditPolicy,
    Ended,
    StoreDenied,
    StoreUnavailable,
)
from clusterpass.managers.aio import audit_writer as auditing_module
from clusterpass.managers.aio.audit import AsyncAudit
from clusterpass.managers.aio.audit_writer import AsyncAuditing
from clusterpass.model.clock import Clock
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Rest
from clusterpass.sessions.audit_recorder import AuditTrail
from clusterpass.sessions.memory import audit_queue

from .audit_scene import CONFIG, Now, Stream, logged, returns, waiting


@pytest.fixture
def trail() -> AuditTrail:
    now = Now()
    return AuditTrail(AuditPolicy(), CONFIG, Keyspace(), Clock(now, now), b"w" * 8)


@pytest.fixture
def stream() -> Stream:
    return Stream()


def test_entries_wait_while_the_store_is_away(trail, stream):
    stream.failure = StoreUnavailable()
    stream.run(trail.around("ban", returns(Ended(1, durable=True)), subject="alice"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            stream.run(trail.queue.write())
    stream.failure = None
    stream.run(trail.queue.write())
    assert [entry["n"] for entry in stream.entries] == [1]
    assert trail.queue.stats().failed == 3


def test_what_the_store_will_never_take_is_logged(trail, stream, caplog):
    stream.failure = StoreDenied("XADD")
    stream.run(trail.around("ban", returns(Ended(1, durable=True)), subject="zoë\u202e"))
    assert [entry["s"] for entry in logged(caplog)] == ["zoë\u202e"]
    assert caplog.text.isascii()


def test_what_has_waited_and_the_store_will_never_take_is_logged_once(trail, stream, caplog):
    for number in range(2):
        stream.run(trail.around("login", returns(None), subject=f"user-{number}"))
    stream.failure = StoreDenied("XADD")
    with pytest.raises(StoreDenied):
        stream.run(trail.queue.write())
    stream.run(trail.queue.write())
    assert [entry["s"] for entry in logged(caplog)] == ["user-0", "user-1"]
    stats = trail.queue.stats()
    assert (stats.written, stats.waiting, stats.failed, stats.logged) == (0, 0, 0, 2)


def test_a_full_queue_and_a_closed_one_log(trail, stream, caplog, monkeypatch):
    monkeypatch.setattr(audit_queue, "MOST_WAITING", 2)
    for number in range(3):
        stream.run(trail.around("login", returns(None), subject=f"user-{number}"))
    assert [entry["s"] for entry in logged(caplog)] == ["user-2"]
    trail.queue.close()
    stream.run(trail.around("login", returns(None), subject="user-3"))
    assert [entry["s"] for entry in logged(caplog)] == ["user-2", "user-0", "user-1", "user-3"]
    assert trail.queue.stats().logged == 4


def test_what_the_worker_was_writing_is_taken_back(trail, stream):
    stream.run(trail.around("login", returns(None), subject="alice"))
    left = trail.queue.write(as_worker=True)
    next(left)
    assert trail.queue.stats().waiting == 1
    trail.queue.take_back()
    stream.run(trail.queue.write())
    left.close()  # when it is collected
    assert len(stream.entries) == 1
    assert not trail.queue.is_busy


@pytest.mark.parametrize("is_away", [False, True])
def test_a_flush_answers_for_what_the_worker_was_writing(trail, stream, is_away):
    stream.run(trail.around("login", returns(None), subject="alice"))
    left = trail.queue.write(as_worker=True)
    next(left)
    flushing = trail.queue.flush()
    assert isinstance(next(flushing), Rest)
    with pytest.raises(StoreUnavailable):
        left.throw(StoreUnavailable())
    stream.failure = StoreUnavailable() if is_away else None
    with pytest.raises(StoreUnavailable) if is_away else contextlib.nullcontext():
        stream.run(flushing)
    assert [entry["s"] for entry in stream.entries + waiting(trail)] == ["alice"]
    assert trail.queue.is_busy == is_away


def test_a_flush_does_not_wait_for_ever_nor_for_what_comes_later(trail, stream):
    stream.run(trail.around("login", returns(None), subject="alice"))
    left = trail.queue.write(as_worker=True)
    next(left)
    flushing = trail.queue.flush()
    next(flushing)
    stream.run(trail.around("login", returns(None), subject="bob"))
    later = trail.queue.write()
    next(later)
    with pytest.raises(StopIteration):
        left.send(Answer((1, ""), True, is_confirmed=True))
    with pytest.raises(StopIteration):
        next(flushing)
    stuck = trail.queue.flush()
    with pytest.raises(StoreUnavailable) as failure:
        for step in stuck:
            assert isinstance(step, Rest)
    assert failure.value.reason == "unconfirmed"


def test_what_is_written_when_the_queue_is_closed_is_logged_where_that_fails(trail, stream, caplog):
    stream.run(trail.around("login", returns(None), subject="alice"))
    left = trail.queue.write()
    next(left)
    trail.queue.close()
    assert [entry["s"] for entry in logged(caplog)] == ["alice"]
    with pytest.raises(StoreUnavailable):
        left.throw(StoreUnavailable())
    assert len(logged(caplog)) == 1


class HangingStore:
    """Takes nothing in the event loop that runs first."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.hanging: list[Any] = []
        self.is_well = False

    async def run(self, flow: Any) -> Any:
        if self.is_well:
            return self.stream.run(flow)
        next(flow)
        self.hanging.append(flow)
        await asyncio.sleep(60)
        return None


def test_what_one_loop_was_writing_when_it_ended_is_written_in_the_next(trail, stream):
    store = HangingStore(stream)
    auditing = AsyncAuditing(store, trail)

    async def until(is_so: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not is_so():
                await asyncio.sleep(0.001)

    async def first() -> None:
        trail.login_failed("alice", "wrong_password", None)
        await until(lambda: store.hanging)

    async def second() -> None:
        store.is_well = True
        auditing.resume()
        await until(lambda: stream.entries)
        await auditing.close()

    asyncio.run(first())
    asyncio.run(second())
    assert [entry["s"] for entry in stream.entries] == ["alice"]
    assert not trail.queue.is_busy


async def test_a_child_leaves_what_waits_to_its_parent_and_writes_as_another(trail, stream):
    store = HangingStore(stream)
    store.is_well = True
    auditing = AsyncAuditing(store, trail)
    trail.login_failed("alice", "wrong_password", None)
    (parents,) = waiting(trail)
    auditing.begin_anew()
    assert waiting(trail) == []
    trail.login_failed("bob", "wrong_password", None)
    (own,) = waiting(trail)
    assert (parents["n"], own["n"]) == (1, 1)
    assert len(bytes.fromhex(own["k"])) == 8
    assert own["k"] != parents["k"]
    await auditing.close()


def test_what_waits_is_logged_once_its_manager_is_forgotten(trail, stream, caplog):
    auditing = AsyncAuditing(HangingStore(stream), trail)
    trail.login_failed("alice", "wrong_password", None)
    assert "alice" not in caplog.text
    del auditing
    gc.collect()
    assert "alice" in caplog.text
    assert waiting(trail) == []


@pytest.mark.parametrize(("seconds", "written"), [(0.0, 600), (0.8, 400)])
def test_closing_writes_what_waits_for_three_seconds_and_logs_the_rest(
    trail, stream, caplog, monkeypatch, seconds, written
):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(auditing_module, "time", SimpleNamespace(monotonic=lambda: clock.now))

    class Slow:
        async def run(self, flow: Any) -> Any:
            clock.now += seconds
            return stream.run(flow)

    auditing = AsyncAuditing(Slow(), trail)
    for number in range(600):
        trail.login_failed(f"user-{number}", "wrong_password", None)
    asyncio.run(auditing.close())
    assert len(stream.entries) == written
    assert caplog.text.count("was not stored") == 600 - written


async def test_a_store_that_takes_nothing_is_tried_once_a_second(trail):
    tries = []

    class Away:
        async def run(self, flow: Any) -> Any:
            tries.append(flow)
            raise StoreUnavailable(reason="timeout")

    auditing = AsyncAuditing(Away(), trail)
    trail.login_failed("alice", "wrong_password", None)
    async with asyncio.timeout(5):
        while not tries:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)
    assert len(tries) == 1
    await auditing.close()


async def test_a_try_that_failed_is_followed_by_a_second_of_rest(trail, monkeypatch):
    class Away:
        async def run(self, flow: Any) -> Any:
            raise StoreUnavailable(reason="timeout")

    auditing, rests = AsyncAuditing(Away(), trail), []

    async def wait(seconds: float | None = None) -> None:
        rests.append(seconds)
        auditing._worker.is_stopping = len(rests) == 4

    monkeypatch.setattr(auditing._worker, "wait", wait)
    trail.login_failed("alice", "wrong_password", None)
    await auditing._work()
    assert rests == [rests[0], 1.0, rests[0], 1.0]
    await auditing.close()


@pytest.mark.parametrize("error", [StoreUnavailable(reason="timeout"), OSError("x")])
async def test_it_is_said_once_that_the_trail_is_not_written_and_once_that_it_is_again(
    trail, stream, caplog, monkeypatch, error
):
    monkeypatch.setattr(auditing_module, "_SECONDS_BETWEEN_TRIES", 0.001)
    failures: list[Exception] = []

    class Sometimes:
        async def run(self, flow: Any) -> Any:
            if failures:
                flow.close()
                raise failures.pop()
            return stream.run(flow)

    async def note(subject: str) -> None:
        trail.login_failed(subject, "wrong_password", None)
        async with asyncio.timeout(10):
            while subject not in [entry["s"] for entry in stream.entries]:
                await asyncio.sleep(0.001)

    auditing = AsyncAuditing(Sometimes(), trail)
    with caplog.at_level(logging.WARNING, "clusterpass.audit"):
        await note("alice")
        assert caplog.messages == []
        failures += [error] * 3
        await note("bob")
        await note("carol")
        await auditing.close()
    why = error.code if isinstance(error, StoreUnavailable) else "OSError"
    assert caplog.messages == [
        f"the audit trail cannot be written: {why}",
        "the audit trail is written again",
    ]


async def test_what_waits_is_written_when_somebody_asks(trail, stream):
    store = HangingStore(stream)
    store.is_well = True
    auditing = AsyncAuditing(store, trail)
    trail.login_failed("alice", "wrong_password", None)
    assert stream.entries == []
    await AsyncAudit(SimpleNamespace(trail=trail), None, auditing).flush()
    assert [entry["s"] for entry in stream.entries] == ["alice"]
    await auditing.close()


def test_who_notes_something_waits_for_half_a_second_and_the_worker_for_longer(trail):
    ended = returns(Ended(3, durable=True))
    call = next(trail.around("revoke_all", ended, subject="alice", reason="x"))
    assert call.deadline == 0.5
    trail.login_failed("alice", "wrong_password", None)
    assert next(trail.queue.flush()).deadline is None
