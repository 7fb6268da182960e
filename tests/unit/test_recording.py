"""A session is served from memory while its use is due, which is recorded in the background."""

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from clusterpass.managers.aio import recording as aio_module
from clusterpass.managers.aio.recording import AsyncRecording
from clusterpass.managers.sync import recording as sync_module
from clusterpass.managers.sync.recording import Recording
from clusterpass.model.authentication_errors import SessionRevoked
from clusterpass.model.clock import Clock
from clusterpass.model.errors import StoreFailed, StoreUnavailable
from clusterpass.model.values import Session
from clusterpass.protocol.calls.session import ONLY_THE_SECOND
from clusterpass.protocol.records import OWN_USED, SECONDS
from clusterpass.protocol.script import Answer
from clusterpass.sessions.flows import Flows
from clusterpass.tokens.identifiers import encode_session_id

from .driven_flows import KEYSPACE, NOW, SESSION_ID, access_token, config, live, stored

INTERVAL = 3600 // 20
NODE = "node"


class Process:
    """The flows of one process over a store that the test answers for, and a clock of the test."""

    def __init__(self, **values: Any) -> None:
        self.passed = 0.0
        self.record = live()
        self.used = 0
        self.called: list[str] = []
        self.flows = Flows(
            config(verification="cached", **values),
            KEYSPACE,
            deadline=3,
            tell=lambda _: None,
            lock=threading.RLock,
            clock=Clock(wall=lambda: NOW + self.passed, steady=lambda: 50.0 + self.passed),
            random_bytes=bytes,
            has_epochs=False,
        )
        self.near = self.flows.memory.near
        self.uses = self.near.uses_to_record
        self.near.set_primaries(frozenset({NODE}))
        self.near.connected(NODE)
        self.beat()

    def beat(self) -> None:
        for _ in range(3):
            self.near.beat_answered(NODE, self.near.beat_sent(NODE), 0, 0)

    def pass_by(self, seconds: float) -> None:
        """Let time go by in which the node answers."""
        self.passed += seconds
        self.beat()

    def run(self, flow: Generator[Any, Any, Any]) -> Any:
        self.called.clear()
        try:
            call = next(flow)
            while True:
                call = flow.send(self._answer(call))
        except StopIteration as end:
            return end.value

    def _answer(self, call: Any) -> Answer[Any]:
        name = call.script.name
        if name != "read_not_before":
            self.called.append(name)
        raw: Any = 0
        if name == "verify":
            raw = stored(self.record, now=NOW + int(self.passed))
            raw[6] = self.used
        elif name == "touch":
            self.used = NOW + int(self.passed)
            raw = 1
        return Answer(call.read(raw), False, NODE)

    def verify(self, token: str, **options: Any) -> Session:
        session = self.run(self.flows.verify.verify(token, **options))
        assert isinstance(session, Session)
        return session

    def record_late(self) -> None:
        """Record the use that waits next."""
        use = self.uses.take()
        assert use is not None
        self.run(self.flows.verify.uses.record_late(use))


@pytest.fixture
def process() -> Process:
    made = Process()
    made.uses.wake = lambda: None
    return made


TOKEN = access_token(expires_at=NOW + 3000)


def test_a_session_whose_use_is_due_is_served_and_recorded_afterwards(process):
    first = process.verify(TOKEN)
    assert process.near.find(TOKEN) is first
    process.pass_by(INTERVAL * 3 // 4 - 1)
    assert process.near.find(TOKEN) is first
    assert len(process.uses) == 0, "not due yet"
    process.pass_by(INTERVAL // 4 + 1)
    hits = process.near.stats().hits
    assert process.verify(TOKEN) is first
    assert process.called == []
    assert process.near.stats().hits == hits + 1
    assert process.near.find(TOKEN) is first, "others need not ask either"
    assert len(process.uses) == 1
    process.record_late()
    assert process.called == ["touch"]
    newer = process.near.find(TOKEN)
    assert newer.active_at == NOW + INTERVAL
    assert newer.expires_at == newer.active_at + 3600
    process.pass_by(INTERVAL * 3 // 4 - 1)
    assert process.near.find(TOKEN) is newer
    assert len(process.uses) == 0


def test_what_is_kept_then_is_what_the_store_answers(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.record_late()
    newer = process.near.find(TOKEN)
    process.near.changed(KEYSPACE.sessions("alice"))
    assert process.verify(TOKEN) is newer, "the answer means the same"


def test_a_response_made_of_the_session_before_is_not_served_any_more(process):
    session = process.verify(TOKEN)
    process.near.keep_response(TOKEN, session, b"before")
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    assert process.near.find_response(TOKEN) == b"before"
    process.record_late()
    assert process.near.find_response(TOKEN) is None
    process.near.keep_response(TOKEN, session, b"before")
    assert process.near.find_response(TOKEN) is None


def test_a_use_that_was_not_recorded_is_due_again_after_some_seconds(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.uses.take()
    process.pass_by(44.9)
    assert process.near.find(TOKEN)
    assert len(process.uses) == 0
    process.pass_by(0.2)
    assert process.near.find(TOKEN)
    assert len(process.uses) == 1


def test_a_session_that_is_used_without_end_is_read_again_each_quarter_of_an_hour(process):
    token, verified = access_token(expires_at=NOW + 3000), []
    process.verify(token)
    while process.passed < 2000:
        process.pass_by(20)
        process.verify(token)
        if "verify" in process.called:
            verified.append(process.passed)
        while len(process.uses):
            process.record_late()
    assert len(verified) == 2
    assert 900 <= verified[0] <= 900 + INTERVAL + 20


@pytest.mark.parametrize(
    "ask",
    [
        lambda near: near.find(TOKEN),
        lambda near: near.find_response(TOKEN),
        lambda near: near.is_served(near.entry(TOKEN)),
    ],
    ids=["session", "response", "with a condition"],
)
def test_whoever_is_answered_from_memory_has_a_due_use_recorded(process, ask):
    session = process.verify(TOKEN)
    process.near.keep_response(TOKEN, session, b"answer")
    process.pass_by(INTERVAL)
    assert ask(process.near)
    assert process.uses.take().token == TOKEN


def test_what_a_process_has_not_loaded_is_not_served(process):
    process.verify(TOKEN)
    entry = process.near.entry(TOKEN)
    process.pass_by(INTERVAL)
    entry.loaded = None
    assert not process.near.is_served_before_recording(entry)
    assert len(process.uses) == 0


def test_where_nobody_records_in_the_background_who_verifies_does(process):
    process.verify(TOKEN)
    process.uses.close()
    process.pass_by(INTERVAL)
    assert process.verify(TOKEN).active_at == NOW
    assert process.called == ["verify", "touch"]
    assert process.near.find(TOKEN).active_at == NOW + INTERVAL


def test_nothing_is_served_without_a_lease(process):
    process.verify(TOKEN)
    process.passed += INTERVAL
    process.verify(TOKEN)
    assert process.called == ["verify", "touch"]
    assert len(process.uses) == 0


def test_a_session_that_has_changed_is_asked_for(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN)
    assert process.called == ["verify", "touch"]


def test_a_session_that_would_end_soon_has_its_use_recorded_first(process):
    process.verify(TOKEN)
    process.pass_by(3600 - 119)
    late = access_token(expires_at=NOW + 5000)
    process.verify(late)
    assert process.called[-1] == "touch"
    process.record = live(absolute_end=NOW + 3700)
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(late)
    process.pass_by(100)
    process.verify(late)
    assert len(process.uses) == 0


def test_no_token_is_served_beyond_its_expiry(process):
    token = access_token(expires_at=NOW + INTERVAL + 3)
    process.verify(token)
    process.pass_by(INTERVAL)
    process.verify(token)
    assert process.called == []
    process.pass_by(1.9)
    assert process.near.find(token)
    process.pass_by(0.2)
    assert process.near.find(token) is None


def test_that_an_exchange_has_reached_its_client_is_recorded_at_once(process):
    process.record = live(rotation=1)
    token = access_token(rotation=1, expires_at=NOW + 3000)
    entry = None
    for _ in range(2):
        process.verify(token)
        entry = process.near.entry(token)
        assert process.called[-1] == "touch"
        process.near.changed(KEYSPACE.sessions("alice"))
    assert entry is not None
    assert len(process.uses) == 0


def test_strict_asks_and_records_as_ever(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN, verification="strict")
    assert process.called == ["verify", "touch"]
    assert len(process.uses) == 0


def test_what_is_not_due_any_more_is_not_recorded(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.verify(TOKEN, verification="strict")
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN)
    process.record_late()
    assert process.called == []


def test_an_answer_that_came_meanwhile_is_not_replaced(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    flow = process.flows.verify.uses.record_late(process.uses.take())
    call = next(flow)
    process.record = live(device="phone")
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN)
    with pytest.raises(StopIteration):
        flow.send(Answer(call.read(1), False, NODE))
    assert process.near.find(TOKEN).device == "phone"


def test_a_session_of_which_nothing_was_recorded_is_asked_for(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    flow = process.flows.verify.uses.record_late(process.uses.take())
    call = next(flow)
    with pytest.raises(StopIteration):
        flow.send(Answer(call.read(0), False, NODE))
    assert process.near.find(TOKEN) is None


def test_what_is_kept_is_no_answer_of_a_store_that_has_lost_writes(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    denials, key = process.flows.memory.denials, KEYSPACE.sessions("alice")
    process.pass_by(1)
    denials.learn_generation(key, 1000 * (NOW + int(process.passed)))  # of which TOKEN is not told
    process.pass_by(1)
    process.record_late()
    assert process.called == ["touch"]
    assert not denials.rollbacks
    assert denials.of_session(SESSION_ID) is None, "its session goes on"
    assert process.near.find(TOKEN) is None, "but the store is asked"


def test_an_answer_that_was_kept_for_nobody_else_is_not_kept_with_a_use(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.near.changed(KEYSPACE.sessions("alice"))
    process.verify(TOKEN, verification="strict")
    entry = process.near.entry(TOKEN)
    entry.loaded = dataclasses.replace(entry.loaded, note_at=1)
    process.record_late()
    assert process.called == ["touch"]
    assert process.near.find(TOKEN) is None


def test_the_use_of_a_packed_session_is_kept_too(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    tokens = process.near._tokens
    tokens._pack(tokens.objects[TOKEN])
    flow = process.flows.verify.uses.record_late(process.uses.take())
    call = next(flow)
    tokens._pack(tokens.objects[TOKEN])
    with pytest.raises(StopIteration):
        flow.send(Answer(call.read(1 + OWN_USED), False, NODE))
    assert process.near.find(TOKEN).active_at == NOW + INTERVAL


class PackedScene:
    """A process with one session, whose entry is packed, and the response that is kept with it."""

    def __init__(self, process: Process, token: str = TOKEN) -> None:
        self.process, self.token, self.near = process, token, process.near
        self.near.keep_response(token, process.verify(token), b"answer")
        self.tokens: Any = self.near._tokens
        self.tokens._pack(self.tokens.objects[token])

    def asked(self) -> bytes | None:
        """What is answered; the entry stays packed."""
        found = self.near.find_response(self.token)
        assert self.tokens.is_packed(self.token)
        return found


def test_a_packed_session_whose_use_is_due_is_served_and_stays_packed(process):
    scene = PackedScene(process)
    process.pass_by(INTERVAL * 3 // 4 - 1)
    assert scene.asked() == b"answer"
    assert len(process.uses) == 0
    process.pass_by(INTERVAL // 4 + 1)
    hits = process.near.stats().hits
    assert scene.asked() == scene.asked() == b"answer"
    assert process.near.stats().hits == hits + 2
    assert len(process.uses) == 1
    process.record_late()
    assert process.near.find(TOKEN).active_at == NOW + INTERVAL


def test_a_packed_session_whose_use_was_not_recorded_is_due_again(process):
    scene = PackedScene(process)
    process.pass_by(INTERVAL)
    scene.asked()
    process.uses.take()
    process.pass_by(44.9)
    assert scene.asked()
    assert len(process.uses) == 0
    process.pass_by(0.2)
    assert scene.asked()
    assert len(process.uses) == 1


@pytest.mark.parametrize(
    "hindered",
    [
        lambda scene: scene.process.uses.close(),
        lambda scene: scene.near.changed(KEYSPACE.sessions("alice")),
        lambda scene: scene.near.lost(NODE),
        lambda scene: scene.process.pass_by(3600 - 119 - INTERVAL),
    ],
    ids=["nobody records", "changed", "no lease", "ends soon"],
)
def test_a_packed_session_is_asked_for_where_more_than_its_use_is_due(process, hindered):
    scene = PackedScene(process, access_token(expires_at=NOW + 5000))
    process.pass_by(INTERVAL)
    hindered(scene)
    assert scene.asked() is None
    assert len(process.uses) == 0


def test_no_packed_token_is_served_beyond_its_expiry(process):
    scene = PackedScene(process, access_token(expires_at=NOW + INTERVAL + 3))
    process.pass_by(INTERVAL)
    assert scene.asked()
    process.pass_by(1.9)
    assert scene.asked()
    process.pass_by(0.2)
    assert scene.asked() is None


def test_a_packed_token_whose_first_use_is_to_be_told_is_asked_for(process):
    process.record = live(rotation=1)
    token = access_token(rotation=1, expires_at=NOW + 3000)
    process.used = NOW + OWN_USED * SECONDS
    scene = PackedScene(process, token)
    assert scene.asked()
    scene.near.changed(KEYSPACE.sessions("alice"))
    process.used = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process.flows.verify.uses, "record", lambda _: iter(()))
        scene = PackedScene(process, token)
    assert scene.asked() is None
    assert len(process.uses) == 0


@pytest.mark.parametrize(
    ("values", "told"), [({}, 3), ({"compatibility": "previous"}, ONLY_THE_SECOND)]
)
def test_the_record_tells_which_token_was_used(values, told):
    process = Process(**values)
    process.uses.wake = lambda: None
    process.record, process.used = live(rotation=3), NOW + OWN_USED * SECONDS
    token = access_token(rotation=3, expires_at=NOW + 3000)
    process.verify(token)
    process.pass_by(INTERVAL)
    process.verify(token)
    call = next(process.flows.verify.uses.record_late(process.uses.take()))
    assert call.arguments[-1] == told
    assert call.arguments[0] == SESSION_ID


def test_a_use_that_a_verify_could_not_record_is_due_still(process):
    process.verify(TOKEN)
    process.passed += INTERVAL
    flow = process.flows.verify.verify(TOKEN)
    call = next(flow)
    while call.script.name != "touch":
        call = flow.send(process._answer(call))
    with pytest.raises(StopIteration) as end:
        flow.throw(StoreUnavailable(reason="timeout"))
    assert end.value.value.active_at == NOW
    entry = process.near.entry(TOKEN)
    assert entry.loaded.note_at <= NOW + INTERVAL


def test_a_token_of_which_only_the_signature_is_known_is_recorded_without_an_answer(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.near.entry(TOKEN).loaded = None
    process.record_late()
    assert process.called == ["touch"]


def test_a_use_is_recorded_although_the_token_has_left_the_memory(process):
    process.verify(TOKEN)
    process.pass_by(INTERVAL)
    process.verify(TOKEN)
    process.near._tokens.clear()
    process.record_late()
    assert process.called == ["touch"]
    assert process.used == NOW + INTERVAL
    assert process.near.entry(TOKEN) is None


# The workers.


ALICE: Any = ("alice", SESSION_ID, 0)


class Threads:
    """The worker of a blocking manager. ``answer``: what becomes of each try, by its token."""

    def __init__(self, process: Process, answer: Callable[[str], Any]) -> None:
        self.process, self.answer = process, answer
        self.tried: list[str] = []
        self.begin()

    def begin(self) -> None:
        self.recording = self.of(Recording)

    def of(self, kind: Any) -> Any:
        made = kind(self, self.process.flows)
        made._record = lambda use: use.token
        return made

    def run(self, token: Any) -> None:
        self.tried.append(token)
        outcome = self.answer(token)
        if isinstance(outcome, Exception):
            raise outcome

    def add(self, *tokens: str) -> None:
        for token in tokens:
            assert self.process.uses.add(token, *ALICE)

    def close(self) -> None:
        self.recording.close()

    def end(self) -> None:
        """Nothing but the thread of the worker runs, which :meth:`close` ends."""


class Tasks(Threads):
    """The worker of an asynchronous manager, in an event loop on a thread of its own."""

    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.recording = self.of(AsyncRecording)

    async def run(self, token: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().run(token)

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def add(self, *tokens: str) -> None:
        async def added() -> None:
            super(Tasks, self).add(*tokens)

        self._call(added())

    def close(self) -> None:
        self._call(self.recording.close())

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


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


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


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
        monkeypatch.setattr(module, "_CLOSING_SECONDS", 0.05)
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
