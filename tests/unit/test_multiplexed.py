"""One connection that many callers share: replies reach who asked, faults reach all."""

import asyncio
import random
import time

import pytest

from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.wire.multiplexed import MultiplexedConnection
from clusterpass.store.wire.resp import pack

from .fake_node import echo, fake_node


async def connect(address, **options):
    loop = asyncio.get_running_loop()
    options = {"limit": 5.0, "most_waiting": 1000, "deadline": 2.5} | options
    connection = MultiplexedConnection(loop, **options)
    await loop.create_connection(lambda: connection, *address)
    return connection


def request(text):
    return pack(((b"ECHO", text),))


async def test_replies_reach_who_asked_whoever_is_cancelled():
    """Thousands of requests, a third of them given up at random moments."""
    chosen = random.Random(5)
    answered = 0

    async def slowly(asked, writer):
        await echo(asked, writer)
        if chosen.random() < 0.1:
            await asyncio.sleep(0)

    async with fake_node(slowly) as (_, address):
        connection = await connect(address, most_waiting=10_000)

        async def caller(number):
            nonlocal answered
            for step in range(30):
                text = f"{number}:{step}".encode()
                asking = asyncio.ensure_future(connection.ask(request(text), 1))
                if chosen.random() < 0.33:
                    for _ in range(chosen.randrange(3)):
                        await asyncio.sleep(0)
                    asking.cancel()
                    continue
                outcome = await asking
                assert outcome == Replies([text])
                answered += 1

        await asyncio.gather(*(caller(number) for number in range(200)))
        assert answered > 3000
        assert await connection.ask(request(b"last"), 1) == Replies([b"last"])
        connection.end()


async def test_several_replies_to_one_request_stay_together():
    async with fake_node(echo) as (_, address):
        connection = await connect(address)
        packed = pack(((b"ECHO", b"1"), (b"ECHO", b"2"), (b"ECHO", b"3")))
        first, other = connection.ask(packed, 3), connection.ask(request(b"other"), 1)
        assert await first == Replies([b"1", b"2", b"3"])
        assert await other == Replies([b"other"])
        connection.end()


async def test_errors_are_values():
    async def refuse(_, writer):
        writer.write(b"-MOVED 7 127.0.0.1:7001\r\n")

    async with fake_node(refuse) as (_, address):
        connection = await connect(address)
        assert await connection.ask(request(b""), 1) == Replies(
            [ServerError("MOVED", "7 127.0.0.1:7001")]
        )
        connection.end()


async def test_pushes_come_in_their_place_among_the_replies():
    seen = []

    async def push_between(asked, writer):
        writer.write(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\n%b\r\n" % (len(asked[1]), asked[1]))
        await echo(asked, writer)

    async with fake_node(push_between) as (_, address):
        connection = await connect(address, pushed=lambda message: seen.append(message[1][0]))
        for number in range(20):
            text = str(number).encode()
            await connection.ask(request(text), 1)
            assert seen[-1] == text, "the push before the reply was handled before it"
        connection.end()


async def test_changed_keys_that_come_together_are_told_together_and_in_order():
    seen = []

    def push(keys: bytes) -> bytes:
        return b">2\r\n$10\r\ninvalidate\r\n" + keys

    async def push_many(asked, writer):
        one, two, three = (push(b"*1\r\n$1\r\n%b\r\n" % key) for key in (b"a", b"b", b"c"))
        message = b">3\r\n$7\r\nmessage\r\n$1\r\nd\r\n$1\r\ne\r\n"
        writer.write(one + two + push(b"_\r\n") + three + message + one)
        await echo(asked, writer)

    async with fake_node(push_many) as (_, address):
        connection = await connect(address, pushed=seen.append)
        await connection.ask(request(b"x"), 1)
        assert [[kind, keys] for kind, keys, *_ in seen] == [
            [b"invalidate", [b"a", b"b"]],
            [b"invalidate", None],
            [b"invalidate", [b"c"]],
            [b"message", b"d"],
            [b"invalidate", [b"a"]],
        ]
        connection.end()


async def test_what_was_pushed_before_something_that_is_no_reply_is_told():
    seen = []

    async def push_and_break(asked, writer):
        writer.write(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n!broken\r\n\x00")
        await writer.drain()

    async with fake_node(push_and_break) as (_, address):
        connection = await connect(address, pushed=seen.append)
        assert await connection.ask(request(b"x"), 1) == Fault("connection")
        assert seen == [[b"invalidate", [b"a"]]]


async def test_late_replies_end_the_connection_for_all():
    async def silent(*_):
        return None

    async with fake_node(silent) as (_, address):
        ended = []
        connection = await connect(address, limit=0.1, ended=ended.append)
        outcomes = await asyncio.gather(*(connection.ask(request(b"x"), 1) for _ in range(5)))
        assert outcomes == [Fault("timeout")] * 5
        assert not connection.is_open
        while not ended:
            await asyncio.sleep(0)
        assert ended == [connection]
        assert (await connection.ask(request(b"x"), 1)) == Fault("timeout")


async def test_a_reply_within_the_limit_is_not_late():
    async def at_half_of_it(asked, writer):
        await asyncio.sleep(1.0)
        await echo(asked, writer)

    async with fake_node(at_half_of_it) as (_, address):
        connection = await connect(address, limit=2.0)
        assert await connection.ask(request(b"x"), 1) == Replies([b"x"])
        assert connection.is_open
        connection.end()


async def test_a_stalled_loop_blames_nobody():
    """The reply lies unread while the loop does nothing for longer than the limit."""
    async with fake_node(echo) as (_, address):
        connection = await connect(address, limit=0.1)
        for _ in range(3):
            asking = connection.ask(request(b"x"), 1)
            await asyncio.sleep(0.01)
            time.sleep(0.25)
            assert await asking == Replies([b"x"])
        connection.end()


async def test_what_is_no_reply_ends_the_connection():
    async def garbage(_, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with fake_node(garbage) as (_, address):
        connection = await connect(address)
        assert isinstance(await connection.ask(request(b"x"), 1), Fault)
        assert not connection.is_open


async def test_an_answer_that_nobody_asked_for_ends_the_connection():
    async def twice(asked, writer):
        await echo(asked, writer)
        await echo(asked, writer)

    async with fake_node(twice) as (_, address):
        connection = await connect(address)
        assert await connection.ask(request(b"x"), 1) == Replies([b"x"])
        while connection.is_open:
            await asyncio.sleep(0)
        assert isinstance(await connection.ask(request(b"y"), 1), Fault)


@pytest.mark.parametrize("used_before", [True, False])
async def test_a_connection_that_is_closed_tells_all_who_wait(used_before):
    async def close_on_request(asked, writer):
        if asked[1] == b"close":
            writer.transport.abort()
        else:
            await echo(asked, writer)

    async with fake_node(close_on_request) as (_, address):
        connection = await connect(address)
        for _ in range(2 if used_before else 0):
            await connection.ask(request(b"x"), 1)
        outcome = await connection.ask(request(b"close"), 1)
        # One that worked and was silent since may have been closed long ago.
        assert outcome == Fault("connection", stale=used_before)


async def test_what_waits_is_bounded():
    async def silent(*_):
        return None

    async with fake_node(silent) as (_, address):
        connection = await connect(address, most_waiting=3)
        waiting = [connection.ask(request(b"x"), 1) for _ in range(3)]
        assert await connection.ask(request(b"x"), 1) == Fault("busy")
        connection.end("closed")
        assert [await each for each in waiting] == [Fault("closed")] * 3


async def test_requests_of_one_turn_leave_together_in_order():
    async with fake_node(echo) as (node, address):
        connection = await connect(address)
        asked = [connection.ask(request(str(number).encode()), 1) for number in range(100)]
        await asyncio.gather(*asked)
        assert [one[1] for one in node.requests] == [str(number).encode() for number in range(100)]
        connection.end()


async def test_a_connection_idles_while_nothing_is_asked_or_heard():
    may_answer = asyncio.Event()

    async def wait(asked, writer):
        await may_answer.wait()
        await echo(asked, writer)

    async with fake_node(wait) as (_, address):
        connection = await connect(address)
        now = asyncio.get_running_loop().time
        asking = connection.ask(request(b"x"), 1)
        assert not connection.has_idled(now()), "an answer is due"
        began = now()
        may_answer.set()
        await asking
        assert not connection.has_idled(began), "something was heard since"
        assert connection.has_idled(now())
        connection.end()
