"""Response times at a fixed request rate, whether or not the server keeps up.

Each time runs from when the request was due, so that a request that could not even be sent counts
with all its waiting. The clock of the event loop has a resolution of one millisecond, which the
figures include.
"""

import asyncio
import contextlib
import gc
import re
import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import uvloop

from benchmarks.http_paths.load_requests import Requests
from benchmarks.open_loop import Call

MOST_PER_SECOND: Final = 30_000
"""What this generator sends with half of a core, without being late itself."""
_CONNECTIONS: Final = 64
_LATE: Final = 0.005
"""Seconds; the steps of the clock are a fifth of it."""
_PATIENCE: Final = 10.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.I)
_NEXT_TOKEN = re.compile(rb'"refresh_token":"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Latency:
    """The response times at a rate."""

    per_second: float
    p99: float
    """Seconds, from when a request was due to its answer."""
    late: float
    """Seconds that the generator was late, in 99 % of the requests at most."""

    def __str__(self) -> str:
        verdict = ", generator late" if self.late > _LATE else ""
        return f"{1000 * self.p99:.1f} (at {self.per_second:,.0f}/s{verdict})"


def half(per_second: float) -> float:
    """Half of a rate, or what the generator can do."""
    return min(per_second / 2, MOST_PER_SECOND)


def measure(port: int, requests: Requests, rate: float, seconds: float, offset: int) -> Latency:
    """Ask ``rate`` times a second; raises RuntimeError when a request is not answered with 200."""
    load = _Load(port, requests, offset)
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(load.run(rate, seconds))
    finally:
        gc.enable()
    return summarize(load.calls, load.late, rate)


def summarize(calls: Sequence[Call], late: Sequence[float], rate: float) -> Latency:
    """The figures of ``calls``; raises RuntimeError when one of them failed."""
    failed = sum(not call.is_good for call in calls)
    if failed:
        raise RuntimeError(f"{failed} of {len(calls)} requests failed")
    return Latency(rate, _p99([call.latency for call in calls]), _p99(late))


def answer_of(received: bytes) -> tuple[bool, bytes] | None:
    """Whether an answer is a 200, and its body; None while it is not complete."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    fields = head + b"\r\n"
    if length := _LENGTH.search(fields):
        if len(body) < int(length[1]):
            return None
    elif _CHUNKED.search(fields) and not body.endswith(b"0\r\n\r\n"):
        return None
    return head.startswith(b"HTTP/1.1 200 "), body


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


class _Load:
    def __init__(self, port: int, requests: Requests, offset: int) -> None:
        self.calls: list[Call] = []
        self.late: list[float] = []
        self.free: deque[_Connection] = deque()
        self._port, self._requests = port, requests
        self._ready = deque(requests.as_bytes(line, port) for line in requests.lines())
        self._ready.rotate(-(offset % len(self._ready)))
        self._waiting: deque[float] = deque()
        self._ended = asyncio.Event()
        self._wanted: int | None = None

    async def run(self, rate: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_CONNECTIONS):
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        total, made = int(rate * seconds), 0
        began = time.monotonic()
        while made < total:
            now = time.monotonic()
            until = min(total, int((now - began) * rate) + 1)
            for number in range(made, until):
                due = began + number / rate
                self.late.append(now - due)
                self._waiting.append(due)
            made = until
            self.send()
            await asyncio.sleep(0.001)
        self._wanted = total
        self._note_end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), _PATIENCE)
        self.calls += [Call(began, began, False)] * (total - len(self.calls))
        for connection in self.free:
            connection.close()

    def send(self) -> None:
        """Use connections that are free for requests that are due."""
        while self._waiting and self.free:
            connection, request = self.free.popleft(), self._ready.popleft()
            if self._requests.mode != "rotate":
                self._ready.append(request)
            connection.ask(request, self._waiting.popleft())

    def answered(self, due: float, is_good: bool, body: bytes) -> None:
        """Note a call, and what it brought for the next one."""
        self.calls.append(Call(due, time.monotonic(), is_good))
        self._note_end()
        if self._requests.mode == "rotate" and (token := _NEXT_TOKEN.search(body)):
            self._ready.append(self._requests.as_bytes(token[1].decode(), self._port))
        self.send()

    def _note_end(self) -> None:
        if len(self.calls) == self._wanted:
            self._ended.set()


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = b""
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._load.free.append(self)

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = answer_of(self._received)
        if answer is None or self._due is None:
            return
        due, self._due, self._received = self._due, None, b""
        self._load.free.append(self)
        self._load.answered(due, *answer)

    def connection_lost(self, _: Exception | None) -> None:
        if self in self._load.free:
            self._load.free.remove(self)
        if self._due is not None:
            self._load.answered(self._due, False, b"")

    def close(self) -> None:
        self._transport.close()
