"""Group commit: writes to one node over connections of their own, where one WAIT confirms a batch.

- WAIT blocks its connection until a replica has the earlier writes of that connection.
- While every connection has a batch in flight, arriving writes queue up. They leave together, with
  one WAIT, as soon as one of those batches is confirmed.
- A write whose caller was cancelled before the batch left is not sent.
"""

import asyncio
from collections import deque
from functools import partial
from typing import Any, Final

from clusterpass.store.outcomes import Fault, FaultKind, Replies, Wait
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.multiplexed import Outcome
from clusterpass.store.wire.resp import pack_one

_LARGEST_BATCH: Final = 256
_Write = tuple[bytes, int, Wait, "asyncio.Future[Outcome]"]
"""The packed commands, the number of replies, the command that confirms, the caller's future."""


class GroupCommit:
    """The queue of writes to one node, and the connections that carry them."""

    def __init__(self, *links: Link, most_waiting: int) -> None:
        """``links``: connections for this queue alone; ``most_waiting``: the most writes that may
        queue up."""
        self._links = links
        self._most_waiting = most_waiting
        self._queue: deque[_Write] = deque()
        self._idle = list(links)
        self._is_leaving = False
        self._opening: set[asyncio.Task[Outcome]] = set()

    def ask(self, packed: bytes, count: int, wait: Wait) -> "asyncio.Future[Outcome]":
        """Queue the write ``packed``, to be confirmed by ``wait``.

        The future gives :class:`Replies` with the ``count`` replies to ``packed`` and the reply to
        ``wait``, or a :class:`Fault`: "busy" at once where the queue is full. Awaiting the future
        raises StoreDenied or StoreFailed where the node refuses the connection.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if len(self._queue) >= self._most_waiting:
            future.set_result(Fault("busy"))
            return future
        self._queue.append((packed, count, wait, future))
        if self._idle and not self._is_leaving:
            # In the next turn of the loop, so that all writes of this turn leave together.
            self._is_leaving = True
            loop.call_soon(self._leave)
        return future

    def close(self, why: FaultKind) -> None:
        """Close the connections. Callers that wait get a Fault of the kind ``why``."""
        for link in self._links:
            link.close(why)

    def _leave(self) -> None:
        """Send a batch over each connection that has none in flight."""
        self._is_leaving = False
        while self._queue and self._idle:
            batch: list[_Write] = []
            parts: list[bytes] = []
            replies, longest = 1, self._queue[0][2]
            while self._queue and len(batch) < _LARGEST_BATCH:
                write = self._queue.popleft()
                if not write[3].done():  # its caller was cancelled
                    batch.append(write)
                    parts.append(write[0])
                    replies += write[1]
                    # The commands differ only just after a change of slots: take the strictest.
                    longest = max(longest, write[2])
            if batch:
                parts.append(pack_one(longest))
                self._send(self._idle.pop(), batch, b"".join(parts), replies)

    def _send(self, link: Link, batch: list[_Write], packed: bytes, replies: int) -> None:
        connection = link.connection
        sent: asyncio.Future[Outcome]
        if connection is not None and connection.is_open:
            sent = connection.ask(packed, replies)
        else:
            task = asyncio.get_running_loop().create_task(link.ask(packed, replies))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
            sent = task
        sent.add_done_callback(partial(self._answered, link, batch))

    def _answered(self, link: Link, batch: list[_Write], sent: "asyncio.Future[Outcome]") -> None:
        self._idle.append(link)
        if sent.cancelled():  # the event loop ends: no further batch will leave
            batch = [*batch, *self._queue]
            self._queue.clear()
            outcome: Outcome = Fault("connection")
        elif (error := sent.exception()) is not None:
            for write in batch:
                if not write[3].done():
                    write[3].set_exception(error)
            outcome = Fault("connection")
        else:
            outcome = sent.result()
        if isinstance(outcome, Replies):
            _hand_out(batch, outcome)
        else:
            for write in batch:
                if not write[3].done():
                    write[3].set_result(outcome)
        if self._queue:
            self._leave()


def _hand_out(batch: list[_Write], outcome: Replies) -> None:
    confirmed: Any = outcome.values[-1]
    begin = 0
    for _, count, _, future in batch:
        values: list[Any] = outcome.values[begin : begin + count]
        begin += count
        if not future.done():
            future.set_result(Replies(values, confirmed))
