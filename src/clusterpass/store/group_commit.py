"""Writes to one node over a connection of their own, where one WAIT confirms a whole batch.

WAIT blocks its connection until a replica has what was written on it so far. While one batch is
under way, the writes that arrive are collected; they leave together, with one WAIT, as soon as the
batch before is confirmed. A caller that was cancelled before its batch left sends nothing.
"""

import asyncio
from collections import deque
from typing import Any, Final

from clusterpass.store.exchange import Fault, FaultKind, Replies, ServerError
from clusterpass.store.link import Link
from clusterpass.store.multiplexed import Outcome
from clusterpass.store.resp import pack

_LARGEST_BATCH: Final = 256


class _Write:
    __slots__ = ("count", "future", "milliseconds", "packed")

    def __init__(
        self, packed: bytes, count: int, milliseconds: int, future: "asyncio.Future[Outcome]"
    ) -> None:
        self.packed = packed
        self.count = count
        self.milliseconds = milliseconds
        self.future = future


class GroupCommit:
    """The writes to one node."""

    def __init__(self, link: Link, *, most_waiting: int) -> None:
        """``link``: used by nobody else; ``most_waiting``: writes that may wait for their batch."""
        self._link = link
        self._most_waiting = most_waiting
        self._queue: deque[_Write] = deque()
        self._working: asyncio.Task[None] | None = None

    async def ask(self, packed: bytes, count: int, milliseconds: int) -> Outcome:
        """The ``count`` replies to ``packed``, and how many replicas have confirmed.

        ``milliseconds``: how long to wait for a replica. Raises StoreDenied, StoreFailed.
        """
        if len(self._queue) >= self._most_waiting:
            return Fault("busy")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._queue.append(_Write(packed, count, milliseconds, future))
        if self._working is None:
            self._working = loop.create_task(self._work())
        return await future

    def close(self, why: FaultKind) -> None:
        """Drop the connection; who waits gets a Fault of the kind ``why``."""
        self._link.close(why)

    async def _work(self) -> None:
        """Send batch after batch until nobody waits."""
        batch: list[_Write] = []
        try:
            while batch := self._next_batch():
                try:
                    outcome = await self._send(batch)
                except Exception as error:  # noqa: BLE001 (handed to each who waits for it)
                    _fail(batch, error)
                else:
                    _hand_out(batch, outcome)
        finally:
            self._working = None
            # Reached with something left when the loop cancels its tasks at its end.
            for write in (*batch, *self._queue):
                if not write.future.done():
                    write.future.set_result(Fault("closed"))
            self._queue.clear()

    def _next_batch(self) -> list[_Write]:
        batch: list[_Write] = []
        while self._queue and len(batch) < _LARGEST_BATCH:
            write = self._queue.popleft()
            if not write.future.done():
                batch.append(write)
        return batch

    async def _send(self, batch: list[_Write]) -> Outcome:
        wait = pack(((b"WAIT", 1, max(write.milliseconds for write in batch)),))
        packed = b"".join([*(write.packed for write in batch), wait])
        return await self._link.ask(packed, sum(write.count for write in batch) + 1)


def _hand_out(batch: list[_Write], outcome: Outcome) -> None:
    if isinstance(outcome, Fault):
        for write in batch:
            if not write.future.done():
                write.future.set_result(outcome)
        return
    confirmed: int | ServerError = outcome.values[-1]
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
