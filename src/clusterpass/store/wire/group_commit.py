"""Group commit: writes to one node over connections of their own, where one WAIT confirms a batch.

- WAIT blocks its connection until a replica has the earlier writes of that connection.
- While every connection has a batch in flight, arriving writes queue up. They leave together, with
  one WAIT, as soon as one of those batches is confirmed.
- A write whose caller was cancelled before the batch left is not sent, and neither is a write whose
  time is up. A batch waits no longer than the write in it that has the least time left.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final

from clusterpass.store.outcomes import (
    ROLE,
    Fault,
    FaultKind,
    Replies,
    Wait,
    confirmed_replies,
    within,
)
from clusterpass.store.wire.background import BackgroundTasks
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.multiplexed import Outcome
from clusterpass.store.wire.resp import pack_one

_LARGEST_BATCH: Final = 256
"""For a wait of 250 ms; a longer wait confirms more writes, so that the rate stays the same."""
_BATCH_MILLISECONDS: Final = 250
_ROLE: Final = pack_one(ROLE)


@dataclass(slots=True, eq=False)
class _Write:
    """A write in the queue or in flight."""

    packed: bytes
    count: int
    """The number of replies to ``packed``."""
    wait: Wait
    future: "asyncio.Future[Outcome]"
    until: float
    """When the caller gives up, in seconds of the event loop's clock."""
    is_sent: bool = False


class GroupCommit:
    """The queue of writes to one node, and the connections that carry them."""

    def __init__(
        self, *links: Link, most_waiting: int, background: BackgroundTasks | None = None
    ) -> None:
        """``links``: connections for this queue alone; ``most_waiting``: the most writes that may
        queue up; ``background``: what runs the tasks; None: the queue's own."""
        self._links = links
        self._most_waiting = most_waiting
        self._queue: deque[_Write] = deque()
        self._idle = list(links)
        self._is_leaving = False
        self._background = BackgroundTasks() if background is None else background
        self._why: FaultKind = "connection"
        """What a write gets that waits for the connection when that is closed."""
        self._latest_wait: Wait = ()
        self._largest_batch = _LARGEST_BATCH
        """For the latest wait."""

    def ask(
        self, packed: bytes, count: int, wait: Wait, seconds: float | None = None
    ) -> "asyncio.Future[Outcome]":
        """Queue the write ``packed``, to be confirmed by ``wait``, and give up after ``seconds``;
        None: when the connection gives up.

        The future gives :class:`Replies` with the ``count`` replies to ``packed`` and the reply to
        ``wait``, or a :class:`Fault`: "busy" at once where the queue is full or no time is left;
        after ``seconds``, "busy" for a write that was not sent, else "unconfirmed". Awaiting the
        future raises StoreDenied or StoreFailed where the node refuses the connection.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if len(self._queue) >= self._most_waiting or (seconds is not None and seconds <= 0):
            future.set_result(Fault("busy"))
            return future
        write = _Write(packed, count, wait, future, math.inf)
        if seconds is not None:
            write.until = loop.time() + seconds
            timer = loop.call_at(write.until, _give_up, write)
            future.add_done_callback(lambda _: timer.cancel())
        self._queue.append(write)
        if self._idle and not self._is_leaving:
            # In the next turn of the loop, so that all writes of this turn leave together.
            self._is_leaving = True
            loop.call_soon(self._leave)
        return future

    def close(self, why: FaultKind) -> None:
        """Close the connections. Callers that wait get a Fault of the kind ``why``."""
        self._why = why
        for link in self._links:
            link.close(why)

    def retire(self, since: float) -> None:
        """Close the connections over which nothing was asked or heard since ``since``, in seconds
        of the loop's clock."""
        for link in self._links:
            link.retire(since)

    def _leave(self) -> None:
        """Send a batch over each connection that has none in flight."""
        self._is_leaving = False
        now = asyncio.get_running_loop().time()
        while self._queue and self._idle:
            batch: list[_Write] = []
            parts: list[bytes] = []
            replies, longest, until = 2, self._queue[0].wait, math.inf
            most = self._largest_batch
            if longest is not self._latest_wait:
                most = self._largest_batch = _largest_batch(longest)
                self._latest_wait = longest
            while self._queue and len(batch) < most:
                write = self._queue.popleft()
                if not write.future.done():  # otherwise the caller has gone
                    write.is_sent = True
                    batch.append(write)
                    parts.append(write.packed)
                    replies += write.count
                    # The commands differ only just after a change of slots: take the strictest.
                    longest = max(longest, write.wait)
                    until = min(until, write.until)
            if batch:
                parts.append(
                    pack_one(within(longest, until - now) if until < math.inf else longest)
                )
                parts.append(_ROLE)
                self._send(self._idle.pop(), batch, b"".join(parts), replies)

    def _send(self, link: Link, batch: list[_Write], packed: bytes, replies: int) -> None:
        connection = link.open_connection
        sent: asyncio.Future[Outcome]
        if connection is not None:
            sent = connection.ask(packed, replies)
        else:
            sent = self._background.begin(link.ask(packed, replies), is_cancelled=False)
        sent.add_done_callback(partial(self._answered, link, batch))

    def _answered(self, link: Link, batch: list[_Write], sent: "asyncio.Future[Outcome]") -> None:
        self._idle.append(link)
        if sent.cancelled():  # the event loop ends: no further batch will leave
            batch = [*batch, *self._queue]
            self._queue.clear()
            outcome: Outcome = Fault(self._why)
        elif (error := sent.exception()) is not None:
            for write in batch:
                if not write.future.done():
                    write.future.set_exception(error)
            outcome = Fault("connection")
        else:
            outcome = sent.result()
        if isinstance(outcome, Replies):
            _hand_out(batch, outcome)
        else:
            for write in batch:
                if not write.future.done():
                    write.future.set_result(outcome)
        if self._queue:
            self._leave()


def _hand_out(batch: list[_Write], outcome: Replies) -> None:
    all_of_it = confirmed_replies(outcome.values)
    begin = 0
    for write in batch:
        values = all_of_it.values[begin : begin + write.count]
        begin += write.count
        if not write.future.done():
            write.future.set_result(Replies(values, all_of_it.confirmed, all_of_it.attached))


def _give_up(write: _Write) -> None:
    if not write.future.done():
        write.future.set_result(Fault("unconfirmed" if write.is_sent else "busy"))


def _largest_batch(wait: Wait) -> int:
    milliseconds = wait[-1]
    assert isinstance(milliseconds, int)
    return _LARGEST_BATCH * max(1, milliseconds // _BATCH_MILLISECONDS)
