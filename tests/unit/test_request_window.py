"""The window of requests in flight on one multiplexed connection, and the queue behind it.

The time and the turns of the loop are the test's own.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any, cast

import pytest

from clusterpass.store.outcomes import Fault, Replies
from clusterpass.store.wire import multiplexed
from clusterpass.store.wire.multiplexed import MultiplexedConnection

LIMIT, DEADLINE = 4.0, 2.5
FIRST = int(multiplexed._FIRST_WINDOW)
GROWTH = int(multiplexed._GROWTH)
ONE = b"+OK\r\n"


class Loop:
    """An event loop whose turns the test makes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def create_future(self) -> Any:
        return asyncio.get_running_loop().create_future()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_at(self, *_: Any) -> Any:
        return self

    def cancel(self) -> None:
        """No reply is late here."""


class Scene:
    """A connection, and what leaves it; the transport as well."""

    def __init__(self, most_waiting: int = 10_000) -> None:
        self.loop = Loop()
        self.packets: list[bytes] = []
        self.connection = MultiplexedConnection(
            cast("Any", self.loop), limit=LIMIT, most_waiting=most_waiting, deadline=DEADLINE
        )
        self.connection.connection_made(cast("Any", self))

    def write(self, packet: bytes) -> None:
        self.packets.append(packet)

    def abort(self) -> None:
        """The transport is closed."""

    def ask(self, count: int = 1, *, urgent: bool = False, text: bytes = b"x") -> list[Any]:
        return [self.connection.ask(text, 1, urgent=urgent) for _ in range(count)]

    def turn(self, seconds: float = 0.0) -> int:
        """Make a turn of the loop: how many requests have left since the last one."""
        self.loop.now += seconds
        due, self.loop.soon = self.loop.soon, []
        for callback in due:
            callback()
        left, self.packets = b"".join(self.packets), []
        return len(left)

    def answer(self, after: float, count: int = 1) -> int:
        """How many requests leave when some are answered, so many seconds after they left."""
        self.loop.now += after
        self.connection.data_received(ONE * count)
        return self.turn()


@pytest.mark.parametrize(
    ("age", "more"),
    [(0.0, GROWTH), (1.0, GROWTH), (1.001, 0), (2.0, 0)],
)
async def test_prompt_answers_widen_the_window(age: float, more: int) -> None:
    scene = Scene()
    scene.ask(FIRST + 100)
    assert scene.turn() == FIRST
    assert scene.answer(age) == 1 + more


async def test_slow_answers_narrow_the_window() -> None:
    scene = Scene()
    scene.ask(FIRST + 1000)
    assert scene.turn() == FIRST
    fewer = FIRST - math.ceil(FIRST * 0.7)
    assert scene.answer(2.001, count=fewer) == 0
    assert scene.answer(0.0) == 0, "it is as slow, and narrows the window once more"
    assert len(scene.connection._waiting) == FIRST - fewer - 1


async def test_a_window_is_never_closed_and_never_wider_than_a_limit() -> None:
    scene = Scene()
    scene.ask(9000)
    scene.turn()
    for _ in range(FIRST - int(multiplexed._SMALLEST_WINDOW)):
        scene.answer(2.1)
    answered = 0
    while not scene.turn() and answered < 20:
        answered += 1
        scene.answer(2.1)
    in_flight = len(scene.connection._waiting)
    assert in_flight <= multiplexed._SMALLEST_WINDOW
    wide = Scene(most_waiting=10**6)
    wide.ask(100_000)
    wide.turn()
    for _ in range(1000):
        wide.answer(0.0)
    assert len(wide.connection._waiting) == multiplexed._LARGEST_WINDOW


async def test_a_heartbeat_waits_for_nobody() -> None:
    scene = Scene()
    scene.ask(FIRST + 1)
    scene.turn()
    scene.ask(urgent=True)
    assert scene.turn() == 1


async def test_what_is_queued_keeps_its_order_and_what_was_cancelled_is_not_sent() -> None:
    scene = Scene()
    scene.ask(FIRST)
    first, second, third = (scene.ask(text=text)[0] for text in (b"1", b"2", b"3"))
    scene.turn()
    second.cancel()
    scene.connection.data_received(ONE * 2)
    for callback in scene.loop.soon:
        callback()
    assert scene.packets == [b"13"]
    assert not first.done()
    assert not third.done()


@pytest.mark.parametrize(("seconds", "is_sent"), [(2.49, True), (2.5, False), (3.9, False)])
async def test_what_is_queued_for_too_long_is_not_sent(seconds: float, is_sent: bool) -> None:
    scene = Scene()
    scene.ask(FIRST)
    (queued,) = scene.ask()
    scene.loop.now += 60  # the loop stood still: that let nobody wait
    scene.turn()
    scene.answer(seconds, count=FIRST)
    assert queued.done() is not is_sent
    if not is_sent:
        assert queued.result() == Fault("busy")


async def test_each_request_waits_from_its_own_turn_on() -> None:
    scene = Scene()
    scene.ask(FIRST)
    (early,) = scene.ask()
    scene.turn()
    scene.loop.now += 1.0
    (late,) = scene.ask()
    scene.turn()
    scene.answer(2.0, count=FIRST)
    assert early.result() == Fault("busy")
    assert not late.done()


async def test_what_is_queued_counts_as_waiting() -> None:
    scene = Scene(most_waiting=FIRST + 1)
    scene.ask(FIRST + 1)
    (refused,) = scene.ask()
    assert refused.result() == Fault("busy")
    (urgent,) = scene.ask(urgent=True)
    assert urgent.result() == Fault("busy")


async def test_a_packet_leaves_at_once_when_it_is_full_and_with_the_turn_otherwise() -> None:
    scene = Scene()
    most = multiplexed._MOST_IN_A_PACKET
    scene.ask(most - 1)
    assert scene.packets == []
    scene.ask(1)
    assert scene.packets == [b"x" * most]
    scene.ask(2)
    assert scene.turn() == most + 2


async def test_what_was_asked_before_the_connection_was_lost_does_not_leave_after() -> None:
    scene = Scene()
    (asked,) = scene.ask()
    (queued,) = (scene.ask(FIRST), scene.ask())[1]
    scene.connection.end("closed")
    assert scene.turn() == FIRST // multiplexed._MOST_IN_A_PACKET * multiplexed._MOST_IN_A_PACKET
    assert asked.result() == queued.result() == Fault("closed")
    (later,) = scene.ask()
    assert later.result() == Fault("closed")
    assert scene.turn() == 0


async def test_a_connection_says_that_it_speaks_resp3_until_it_does_not() -> None:
    scene = Scene()
    assert not scene.connection.is_plain
    (asked,) = scene.ask()
    scene.answer(0.0)
    assert asked.result() == Replies([b"OK"])
