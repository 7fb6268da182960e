"""A process whose uses are recorded after the answer, and workers that record, without a store."""

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from clusterpass.managers.aio.recording import AsyncRecording
from clusterpass.managers.sync.recording import Recording
from clusterpass.model.clock import Clock
from clusterpass.model.values import Session
from clusterpass.protocol.script import Answer
from clusterpass.sessions.flows import Flows

from .driven_flows import KEYSPACE, NOW, SESSION_ID, access_token, config, live, stored

INTERVAL = 3600 // 20
NODE = "node"
TOKEN = access_token(expires_at=NOW + 3000)
ALICE: Any = ("alice", SESSION_ID, 0)


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


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)
