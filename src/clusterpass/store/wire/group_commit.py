"""Writes to one node over connections of their own, where one WAIT confirms a whole batch.

WAIT blocks its connection until a replica has what was written on it so far. While a batch is
under way on each of the few connections, the writes that arrive are collected; they leave together,
with one WAIT, as soon as one of those batches is confirmed. A caller that was cancelled before its
batch left sends nothing.
"""

import asyncio
from collections import deque
from typing import Any, Final

from clusterpass.store.outcomes import (
    Fault,
    FaultKind,
    Replies,
    Wait,
)
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.multiplexed import Outcome
from clusterpass.store.wire.resp import pack

_LARGEST_BATCH: Final = 256


class _Write:
    __slots__ = ("count", "future", "packed", "wait")

    def __init__(
        self, packed: bytes, count: int, wait: Wait, future: "asyncio.Future[Outcome]"
    ) -> None:
        self.packed = packed
        self.count = count
        self.wait = wait
        self.future = future


class GroupCommit:
    """The writes to one node."""

    def __init__(self, *links: Link, most_waiting: int) -> None:
        """``links``: used by nobody else; ``most_waiting``: writes that may wait to leave."""
        self._links = links
        self._most_waiting = most_waiting
        self._queue: deque[_Write] = deque()
        self._idle = list(links)
        self._working: set[asyncio.Task[None]] = set()

    async def ask(self, packed: bytes, count: int, wait: Wait) -> Outcome:
        """The ``count`` replies to ``packed``, and the reply to ``wait``.

        Raises StoreDenied, StoreFailed.
        """
        if len(self._queue) >= self._most_waiting:
            return Fault("busy")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._queue.append(_Write(packed, count, wait, future))
        if self._idle:
            task = loop.create_task(self._work(self._idle.pop()))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return await future

    def close(self, why: FaultKind) -> None:
        """Drop the connection; who waits gets a Fault of the kind ``why``."""
        for link in self._links:
            link.close(why)

    async def _work(self, link: Link) -> None:
        """Send batch after batch over ``link`` until nobody waits."""
        batch: list[_Write] = []
        try:
            while batch := self._next_batch():
                try:
                    outcome = await _send(link, batch)
                except Exception as error:  # noqa: BLE001 (handed to each who waits for it)
                    _fail(batch, error)
                else:
                    _hand_out(batch, outcome)
        finally:
            self._idle.append(link)
            # Something is left only when the task was cancelled.
            for write in (*batch, *self._queue):
                if not write.future.done():
                    write.future.set_result(Fault("connection"))
            self._queue.clear()

    def _next_batch(self) -> list[_Write]:
        batch: list[_Write] = []
        while self._queue and len(batch) < _LARGEST_BATCH:
            write = self._queue.popleft()
            if not write.future.done():
                batch.append(write)
        return batch


async def _send(link: Link, batch: list[_Write]) -> Outcome:
    # All wait for the same, but for a moment when the cluster has changed: then for the most.
    wait = pack((max(write.wait for write in batch),))
    packed = b"".join([*(write.packed for write in batch), wait])
    return await link.ask(packed, sum(write.count for write in batch) + 1)


def _hand_out(batch: list[_Write], outcome: Outcome) -> None:
    if isinstance(outcome, Fault):
        for write in batch:
            if not write.future.done():
                write.future.set_result(outcome)
        return
    confirmed: Any = outcome.values[-1]
    begin = 0
    for write in batch:
        values: list[Any] = outcome.values[begin : begin + write.count]
        begin += write.count
        if not write.future.done():
            write.future.set_result(Replies(values, confirmed))


def _fail(batch: list[_Write], error: Exception) -> None:
    for write in batch:
        if not write.future.done():
            write.future.set_exception(error)
