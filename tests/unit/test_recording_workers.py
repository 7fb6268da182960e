"""Workers that record uses: once each, retried, and completed by a close."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass.managers.aio import recording as aio_module
from clusterpass.managers.aio.recording import AsyncRecording
from clusterpass.managers.sync import recording as sync_module
from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.errors import StoreFailed, StoreUnavailable
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import NOW, access_token
from .recording_scene import ALICE, INTERVAL, Process, Tasks, Threads, eventually


@pytest.fixture(params=[Threads, Tasks])
def start(request, monkeypatch) -> Iterator[Callable[[Callable[[str], Any]], Any]]:
    """Starts a worker whose tries end as a function of their tokens says."""
    for module in (aio_module, sync_module):
        monkeypatch.setattr(module, "_SECONDS_BETWEEN_TRIES", 0.01)
    started: list[Any] = []

    def start_one(answer: Callable[[str], Any]) -> Any:
        process = Process()
        process.uses._steady = time.monotonic
        started.append(request.param(process, answer))
        return started[-1]

    yield start_one
    for each in started:
        each.close()
        each.end()


def test_each_is_recorded_once(start):
    worker = start(lambda _: None)
    tokens = [f"token-{number}" for number in range(100)]
    worker.add(*tokens[:50])
    eventually(lambda: len(worker.tried) == 50)
    worker.add(*tokens[50:])
    eventually(lambda: len(worker.tried) == 100)
    assert sorted(worker.tried) == sorted(tokens)


def test_what_cannot_be_recorded_is_tried_again_and_told_once(start, caplog):
    answers = {"a": [StoreUnavailable(reason="timeout"), StoreUnavailable(reason="timeout"), None]}
    worker = start(lambda token: answers.get(token, [None]).pop(0) if token in answers else None)
    with caplog.at_level(logging.WARNING, "clusterpass.uses"):
        worker.add("a", "b")
        eventually(lambda: worker.tried.count("a") == 3)
        worker.close()
    assert worker.tried.count("b") == 1
    assert [each.message for each in caplog.records if each.name == "clusterpass.uses"] == [
        "uses of sessions cannot be recorded: store_unavailable",
        "uses of sessions are recorded again",
    ]


def test_that_it_fails_is_told_once_although_others_are_recorded(start, caplog):
    bad = {f"bad-{number}" for number in range(4)}
    worker = start(lambda token: StoreUnavailable(reason="timeout") if token in bad else None)
    with caplog.at_level(logging.WARNING, "clusterpass.uses"):
        worker.add(*bad)
        for number in range(40):
            worker.add(*(f"good-{number}-{each}" for each in range(20)))
            time.sleep(0.005)
        eventually(lambda: len(set(worker.tried)) == 804)
        assert [each.message for each in caplog.records if each.name == "clusterpass.uses"] == [
            "uses of sessions cannot be recorded: store_unavailable"
        ]
        bad.clear()
        eventually(lambda: "recorded again" in caplog.text)


def test_where_some_always_wait_it_counts_as_well_again_once_nothing_has_failed_for_a_while(
    start, monkeypatch, caplog
):
    for module in (aio_module, sync_module):
        monkeypatch.setattr(module, "_QUIET_SECONDS", 0.4)
    failing = [True]
    worker = start(lambda _: StoreUnavailable(reason="timeout") if failing else None)
    with caplog.at_level(logging.WARNING, "clusterpass.uses"):
        worker.add(*(f"token-{number}" for number in range(2000)))
        eventually(lambda: "cannot be recorded" in caplog.text)
        failing.clear()
        began = time.monotonic()
        eventually(lambda: "recorded again" in caplog.text)
    assert time.monotonic() - began > 0.1
    assert len(worker.process.uses), "the others are not in a hurry"


def test_a_worker_goes_on_where_others_have_taken_what_waited(start):
    worker = start(lambda _: None)
    uses, due_within = worker.process.uses, worker.process.uses.due_within

    def overtaken(seconds: float) -> int:
        uses.due_within = due_within
        while uses.take():
            pass
        return due_within(seconds)

    uses.due_within = overtaken
    worker.add("a")
    eventually(lambda: not len(uses))
    worker.add("b")
    eventually(lambda: worker.tried == ["b"])


def test_an_end_and_a_fault_of_ours_are_not_tried_again(start, caplog):
    answers = {
        "ended": SessionRevoked(reason="revoked", ended_at=1),
        "failed": StoreFailed("x"),
        "wrong": OSError("x"),
    }
    worker = start(answers.get)
    with caplog.at_level(logging.WARNING, "clusterpass.uses"):
        worker.add("ended")
        eventually(lambda: "ended" in worker.tried)
        worker.add("failed")
        eventually(lambda: "failed" in worker.tried)
        worker.add("wrong", "fine")
        eventually(lambda: "fine" in worker.tried)
        worker.close()
    assert sorted(worker.tried) == ["ended", "failed", "fine", "wrong"]
    told = [each.message for each in caplog.records if each.name == "clusterpass.uses"]
    assert told[0] in {
        "uses of sessions cannot be recorded: store_failed",
        "uses of sessions cannot be recorded: OSError",
    }


def test_closing_records_what_waits_and_takes_no_more(start, caplog):
    worker = start(lambda _: None)
    worker.add(*(f"token-{number}" for number in range(300)))
    worker.close()
    assert len(worker.tried) == 300
    assert not worker.process.uses.add("later", *ALICE)
    assert worker.process.uses.dropped == 0
    assert not [each for each in caplog.records if each.name == "clusterpass.uses"]


def test_closing_records_what_the_worker_was_not_told_of(start):
    worker = start(lambda _: None)
    worker.process.uses.wake = lambda: None
    worker.add("a")
    worker.close()
    assert worker.tried == ["a"]


def test_closing_does_not_wait_for_a_store_that_does_not_answer(start, monkeypatch, caplog):
    for module in (aio_module, sync_module):
        monkeypatch.setattr(module, "_CLOSING_SECONDS", 0.5)
    worker = start(lambda _: StoreUnavailable(reason="timeout"))
    worker.add("a", "b")
    eventually(lambda: len(worker.tried) >= 2)
    worker.close()
    assert len(worker.process.uses) == 0
    left = worker.process.uses.dropped
    assert left >= 1
    assert f"uses of {left} sessions were not recorded" in caplog.text


def test_what_waits_when_an_event_loop_ends_is_recorded_in_the_next_one() -> None:
    process, tried = Process(), []

    class Store:
        async def run(self, token: Any) -> None:
            if is_hanging:
                await asyncio.Event().wait()
            tried.append(token)

    is_hanging = True
    recording = AsyncRecording(Store(), process.flows)  # type: ignore[arg-type]
    recording._record = lambda use: use.token  # type: ignore[assignment, misc]
    assert process.uses.wake is not None

    async def add() -> None:
        process.uses.add("a", *ALICE)
        while len(process.uses):
            await asyncio.sleep(0)

    asyncio.run(add())
    assert len(process.uses) == 1, "the loop has ended in the middle of the try"
    is_hanging = False

    async def go_on() -> None:
        recording.resume()
        while not tried:
            await asyncio.sleep(0)
        await recording.close()

    asyncio.run(go_on())
    assert tried == ["a"]


def test_who_closes_in_another_event_loop_lets_the_worker_record_what_waits(caplog) -> None:
    process = Process()
    worker = Tasks(process, lambda _: None)
    worker.add(*(f"token-{number}" for number in range(300)))
    asyncio.run(worker.recording.close())
    worker.end()
    assert len(worker.tried) == 300
    assert "not recorded" not in caplog.text


def test_sessions_of_many_tokens_are_all_recorded() -> None:
    process = Process()
    process.uses.wake = lambda: None
    tokens = [
        access_token(
            session_id=encode_session_id(number.to_bytes(16, "big")), expires_at=NOW + 3000
        )
        for number in range(200)
    ]
    for token in tokens:
        process.verify(token)
    process.pass_by(INTERVAL)
    for token in tokens:
        process.verify(token)
        assert process.called == []
    assert len(process.uses) == 200
    while len(process.uses):
        process.record_late()
        assert process.called == ["touch"]
    assert all(process.near.find(token).active_at == NOW + INTERVAL for token in tokens)


def test_the_event_loop_of_who_closes_goes_on_meanwhile(caplog) -> None:
    process, is_back = Process(), threading.Event()
    worker = Tasks(process, lambda _: is_back.wait(5) and None)
    worker.add(*(f"token-{number}" for number in range(50)))

    async def close() -> None:
        asyncio.get_running_loop().call_later(0.01, is_back.set)
        await worker.recording.close()

    asyncio.run(close())
    is_back.set()
    worker.end()
    assert len(worker.tried) == 50
    assert "not recorded" not in caplog.text
