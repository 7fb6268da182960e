"""A multiplexed connection: many callers of one event loop share it at once.

- Replies come in the order of the requests. A caller that was cancelled keeps its place in the
  queue, and its reply is dropped.
- Requests of several callers within one turn of the loop leave in one packet.
- Pushes of the server are handed over in their order, before any caller goes on with a reply that
  came with them. Changed keys that come together are told together. The push that answers SUBSCRIBE
  counts as a reply.
- A reply after the time limit ends the connection, because later replies could no longer be matched
  to their requests. Every caller that waits gets a :class:`Fault`.
- A connection that was closed while idle says nothing about its node: its Fault is stale.
- No more requests are in flight than the server answers well within the time limit: the window
  grows while it does and shrinks when it does not, as that of TCP. The others wait in their order,
  until their deadline. Heartbeats bypass the window, because everything that is trusted depends on
  them.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from clusterpass.store.outcomes import Fault, FaultKind, Replies
from clusterpass.store.wire.faults import said_by_the_system
from clusterpass.store.wire.resp import NOTHING, Decoder, ProtocolError, Push

logger: Final = logging.getLogger("clusterpass.store")
Outcome = Replies | Fault
"""The result of a request."""
_SUBSCRIBED: Final = b"subscribe"
"""The type of the one push that is the reply to a command: SUBSCRIBE has no other reply."""
_INVALIDATE: Final = b"invalidate"
"""The type of the push that tells of changed keys; None in place of the keys: of all."""
_TURNS_PER_LIMIT: Final = 4
_FIRST_WINDOW: Final = 256.0
_SMALLEST_WINDOW: Final = 16.0
_LARGEST_WINDOW: Final = 4096.0
_GROWTH: Final = 8.0
"""Requests by which the window grows with each packet of prompt replies."""
_SHRINKING: Final = 0.7
_PROMPT: Final = 0.25
"""The share of the time limit within which a reply is prompt."""
_MOST_IN_A_PACKET: Final = 8
"""Requests in one packet: the server works on the first ones while the loop makes others."""


class _Request:
    """A request that waits for its replies."""

    __slots__ = ("count", "future", "sent_at", "values")

    def __init__(self, future: "asyncio.Future[Outcome]", count: int, sent_at: float) -> None:
        self.future = future
        self.count = count
        self.sent_at = sent_at
        self.values: list[Any] = []


class _Queued:
    """A request that waits until it may be sent."""

    __slots__ = ("count", "future", "packed", "until")

    def __init__(self, packed: bytes, count: int, future: "asyncio.Future[Outcome]") -> None:
        self.packed = packed
        self.count = count
        self.future = future
        self.until = math.inf
        """Set in the first turn after: a loop that stood still has let nobody wait."""


class MultiplexedConnection(asyncio.Protocol):
    """The asyncio protocol of one connection. Requests are taken while :attr:`is_open` is true."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        limit: float,
        most_waiting: int,
        deadline: float,
        pushed: Callable[[list[Any]], None] | None = None,
        ended: Callable[["MultiplexedConnection"], None] | None = None,
        silent: Callable[[float, float], None] | None = None,
    ) -> None:
        """``limit``: seconds for a reply; ``most_waiting``: the most requests in flight or queued;
        ``deadline``: seconds that a request may be queued.

        ``pushed``: gets each message that the server pushes; ``ended``: called once, after the
        connection was lost; ``silent``: called when no reply came over a connection that had
        worked, with the times since when it had idled and at which the request was sent.
        """
        self._loop = loop
        self._limit = limit
        self._most_waiting = most_waiting
        self._deadline = deadline
        self._window = _FIRST_WINDOW
        self._queued: deque[_Queued] = deque()
        self._pushed = pushed
        self._ended = ended
        self._silent = silent
        self._decoder = Decoder()
        self._waiting: deque[_Request] = deque()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._why: FaultKind = "connection"
        self._error: OSError | None = None
        self._answered = 0
        self._heard_at = 0.0
        self.is_open = False
        """Whether the connection takes requests."""
        self.is_plain = False
        """Whether the connection speaks RESP2, over which nothing is pushed."""

    def ask(self, packed: bytes, count: int, *, urgent: bool = False) -> "asyncio.Future[Outcome]":
        """Send ``packed``, or queue it until the window has room, unless it is ``urgent``.

        The future gives the ``count`` replies or a :class:`Fault`, and raises nothing. The fault is
        "busy" at once where too many requests wait, and at the deadline of one that was queued.
        """
        future: asyncio.Future[Outcome] = self._loop.create_future()
        if not self.is_open:
            future.set_result(Fault(self._why))
            return future
        now = self._loop.time()
        in_flight = len(self._waiting)
        if in_flight + len(self._queued) >= self._most_waiting:
            future.set_result(Fault("busy"))
            return future
        if in_flight >= self._window and not urgent:
            if not self._queued or self._queued[-1].until != math.inf:
                self._loop.call_soon(self._start_waiting)
            self._queued.append(_Queued(packed, count, future))
            return future
        self._send(packed, count, future, now)
        return future

    def _send(
        self, packed: bytes, count: int, future: "asyncio.Future[Outcome]", now: float
    ) -> None:
        self._waiting.append(_Request(future, count, now))
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(packed)
        if len(self._outgoing) >= _MOST_IN_A_PACKET:
            self._flush()
        if self._watchdog is None:
            self._watch(now)

    def has_idled(self, since: float) -> bool:
        """Whether nothing was asked or heard since ``since``, in seconds of the loop's clock."""
        return not self._waiting and not self._queued and self._heard_at <= since

    def was_heard(self, since: float) -> bool:
        """Whether anything was heard since ``since``, in seconds of the loop's clock."""
        return self._heard_at > since

    def end(self, why: FaultKind = "connection") -> None:
        """Close the connection. Callers that wait get a :class:`Fault` of the kind ``why``."""
        if self.is_open:
            self._why = why
            self.is_open = False
        if self._transport is not None:
            self._transport.abort()
        idle_since = None
        if why == "timeout" and self._was_closed_before():
            idle_since = self._heard_at
            if self._silent is not None:
                self._silent(idle_since, self._waiting[0].sent_at)
        self._give_up(idle_since=idle_since)

    # The methods that the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take requests from now on, over ``transport``."""
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._heard_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Hand out the replies and pushes in ``data``, in their order."""
        waiting, following = self._waiting, self._decoder.next
        now = self._heard_at = self._loop.time()
        oldest = waiting[0].sent_at if waiting else now
        pushes: list[Push] = []
        try:
            self._decoder.feed(data)
            while (value := following()) is not NOTHING:
                if type(value) is Push and value[0] != _SUBSCRIBED:
                    pushes.append(value)
                    continue
                request = waiting[0]
                request.values.append(value)
                if len(request.values) == request.count:
                    waiting.popleft()
                    self._answered += 1
                    if not request.future.done():
                        request.future.set_result(Replies(request.values))
        except (ProtocolError, IndexError):
            # The peer does not speak RESP3, or replies without a request.
            logger.warning("a store node sent what is no reply; its connection is dropped")
            self._report(pushes)
            self.end()
            return
        # Whoever waits for a reply goes on later: what was pushed before it is known by then.
        if pushes:
            self._report(pushes)
        if self._queued:
            self._fill_window(now, oldest)

    def _report(self, pushes: list[Push]) -> None:
        if self._pushed is not None:
            for message in _in_one(pushes):
                self._pushed(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give every caller that waits a :class:`Fault`, and call ``ended``."""
        is_stale = self.is_open and self._was_closed_before()
        self.is_open = False
        self._error = said_by_the_system(exc) if exc is not None else None
        self._give_up(is_stale=is_stale)
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(self)

    def _start_waiting(self) -> None:
        """Let the deadlines begin of what was queued in the turn before."""
        until = self._loop.time() + self._deadline
        for request in reversed(self._queued):
            if request.until != math.inf:
                break
            request.until = until

    def _fill_window(self, now: float, oldest: float) -> None:
        """Fit the window to how old the ``oldest`` answered request was, and send what fits."""
        if now - oldest <= self._limit * _PROMPT:
            self._window = min(_LARGEST_WINDOW, self._window + _GROWTH)
        elif now - oldest > self._limit / 2:
            self._window = max(_SMALLEST_WINDOW, self._window * _SHRINKING)
        queued = self._queued
        while queued and len(self._waiting) < self._window:
            request = queued.popleft()
            if request.future.done():
                continue  # cancelled
            if now >= request.until:
                request.future.set_result(Fault("busy"))
            else:
                self._send(request.packed, request.count, request.future, now)

    def _flush(self) -> None:
        if self._outgoing and self.is_open and self._transport is not None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _was_closed_before(self) -> bool:
        """Whether the connection had worked, and has received nothing since the oldest request."""
        return (
            self._answered > 1  # the first reply is that to the greeting
            and bool(self._waiting)
            and self._heard_at <= self._waiting[0].sent_at
        )

    def _give_up(self, *, is_stale: bool = False, idle_since: float | None = None) -> None:
        fault = Fault(self._why, stale=is_stale, idle_since=idle_since, error=self._error)
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_result(fault)
        while self._queued:
            future = self._queued.popleft().future
            if not future.done():
                # Nothing was sent, so nothing is known: as if the connection had been idle.
                future.set_result(fault)

    def _watch(self, now: float) -> None:
        turn = self._limit / _TURNS_PER_LIMIT
        self._watchdog = self._loop.call_at(now + turn, self._check, now + turn, turn)

    def _check(self, due: float, turn: float) -> None:
        """End the connection when the oldest request has waited for more than the time limit."""
        self._watchdog = None
        if not self._waiting:
            return
        now = self._loop.time()
        # After a stall of the loop replies may lie unread: only a timer that was on time may judge.
        if now - due < turn and now - self._waiting[0].sent_at > self._limit:
            self.end("timeout")
            return
        self._watch(now)


def _in_one(pushes: list[Push]) -> Iterable[list[Any]]:
    """``pushes``, with one message in place of each row of those that tell of changed keys."""
    keys: list[bytes] = []
    for message in pushes:
        if message[0] == _INVALIDATE and message[1] is not None:
            keys += message[1]
            continue
        if keys:
            yield [_INVALIDATE, keys]
            keys = []
        yield message
    if keys:
        yield [_INVALIDATE, keys]
