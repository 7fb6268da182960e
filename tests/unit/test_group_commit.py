"""Writes that share a WAIT: each gets its own replies, and the confirmation of its batch."""

import asyncio
import gc

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.patience import Patience
from clusterpass.store.wire.group_commit import GroupCommit
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.resp import pack

from .fake_node import echo, fake_node

WAIT = (b"WAIT", 1, 250)
WAIT_FOR_DISK = (b"WAITAOF", 1, 1, 1500)


def location_of(address: Address, **patience) -> StoreLocation:
    options = {"timeout": 2.0, "replica_wait": 0.25} | patience
    return StoreLocation(seeds=(address,), is_cluster=False, patience=Patience(**options))


def commit_to(address: Address, links: int = 1, **patience) -> GroupCommit:
    location = location_of(address, **patience)
    return GroupCommit(*(Link(location, address, None) for _ in range(links)), most_waiting=50)


def write(text: bytes) -> bytes:
    return pack(((b"SET", text),))


async def test_one_wait_confirms_a_batch():
    waits = asyncio.Event()

    async def hold_the_first_wait(asked, writer):
        if asked[0] == b"WAIT":
            await waits.wait()
        await echo(asked, writer)

    async with fake_node(hold_the_first_wait) as (node, address):
        commit = commit_to(address)
        first = asyncio.ensure_future(commit.ask(write(b"0"), 1, WAIT))
        while not any(asked[0] == b"SET" for asked in node.requests):
            await asyncio.sleep(0.001)
        others = [
            asyncio.ensure_future(commit.ask(write(b"%d" % n), 1, (b"WAIT", 1, n)))
            for n in range(1, 20)
        ]
        await asyncio.sleep(0)
        waits.set()
        assert await first == Replies([b"0"], 1)
        outcomes = await asyncio.gather(*others)
        assert outcomes == [Replies([b"%d" % n], 1) for n in range(1, 20)]
        assert [asked for asked in node.requests if asked[0] == b"WAIT"] == [
            [b"WAIT", b"1", b"250"],
            [b"WAIT", b"1", b"19"],
        ]
        commit.close("closed")


async def test_an_error_in_a_batch_is_its_callers_alone():
    async def moved(asked, writer):
        if asked[-1] == b"1":
            writer.write(b"-MOVED 1 127.0.0.1:1\r\n")
        else:
            await echo(asked, writer)

    async with fake_node(moved) as (_, address):
        commit = commit_to(address)
        outcomes = await asyncio.gather(*(commit.ask(write(b"%d" % n), 1, WAIT) for n in (0, 1, 2)))
        assert [outcome.values[0] for outcome in outcomes] == [
            b"0",
            ServerError("MOVED", "1 127.0.0.1:1"),
            b"2",
        ]
        commit.close("closed")


async def test_who_was_cancelled_before_the_batch_left_sends_nothing():
    waits = asyncio.Event()

    async def hold(asked, writer):
        if asked[0] == b"WAIT":
            await waits.wait()
        await echo(asked, writer)

    async with fake_node(hold) as (node, address):
        commit = commit_to(address)
        first = asyncio.ensure_future(commit.ask(write(b"first"), 1, WAIT))
        while not any(asked[0] == b"SET" for asked in node.requests):
            await asyncio.sleep(0.001)
        given_up = asyncio.ensure_future(commit.ask(write(b"given up"), 1, WAIT))
        kept = asyncio.ensure_future(commit.ask(write(b"kept"), 1, WAIT))
        await asyncio.sleep(0)
        given_up.cancel()
        waits.set()
        assert await first == Replies([b"first"], 1)
        assert await kept == Replies([b"kept"], 1)
        assert [asked[-1] for asked in node.requests if asked[0] == b"SET"] == [b"first", b"kept"]
        commit.close("closed")


async def test_a_fault_reaches_all_and_the_next_ones_go_on():
    async def break_once(asked, writer):
        if asked[-1] == b"break":
            writer.transport.abort()
        else:
            await echo(asked, writer)

    async with fake_node(break_once) as (_, address):
        commit = commit_to(address)
        texts = (b"a", b"break", b"b")
        outcomes = await asyncio.gather(*(commit.ask(write(text), 1, WAIT) for text in texts))
        assert all(isinstance(outcome, Fault) for outcome in outcomes)
        assert await commit.ask(write(b"c"), 1, WAIT) == Replies([b"c"], 1)
        commit.close("closed")


async def test_what_waits_is_bounded_and_closing_tells_it():
    async def silent(asked, writer):
        if asked[0] == b"HELLO":
            await echo(asked, writer)

    async with fake_node(silent) as (node, address):
        commit = commit_to(address)
        first = asyncio.ensure_future(commit.ask(write(b"0"), 1, WAIT))
        while not any(asked[0] == b"SET" for asked in node.requests):
            await asyncio.sleep(0.001)
        waiting = [asyncio.ensure_future(commit.ask(write(b"x"), 1, WAIT)) for _ in range(50)]
        await asyncio.sleep(0)
        assert await commit.ask(write(b"one too many"), 1, WAIT) == Fault("busy")
        commit.close("closed")
        assert await first == Fault("closed")
        assert set(await asyncio.gather(*waiting)) == {Fault("closed")}


async def test_two_connections_share_the_work():
    async with fake_node(echo) as (node, address):
        commit = commit_to(address, links=2)
        outcomes = await asyncio.gather(*(commit.ask(write(b"%d" % n), 1, WAIT) for n in range(40)))
        assert outcomes == [Replies([b"%d" % n], 1) for n in range(40)]
        assert 1 <= node.connections <= 2
        commit.close("closed")


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"-WRONGPASS invalid username-password pair\r\n", StoreDenied),
        (b"-NOAUTH HELLO must be called with the client already authenticated\r\n", StoreDenied),
        (b"-DENIED Redis is running in protected mode\r\n", StoreFailed),
    ],
)
async def test_a_node_that_does_not_let_us_in(greeting, error):
    async def refuse(_, writer):
        writer.write(greeting)

    async with fake_node(refuse) as (node, address):
        commit = commit_to(address)
        for _ in range(3):
            with pytest.raises(error):
                await commit.ask(write(b"x"), 1, WAIT)
        assert node.connections < 3, "who is refused does not knock at once again"
        commit.close("closed")


async def test_a_link_is_opened_once_for_all_and_again_after_a_pause():
    async with fake_node(echo) as (node, address):
        link = Link(location_of(address), address, None)
        outcomes = await asyncio.gather(*(link.ask(write(b"%d" % n), 1) for n in range(30)))
        assert outcomes == [Replies([b"%d" % n]) for n in range(30)]
        assert node.connections == 1
        assert node.requests[0] == [b"HELLO", b"3", b"SETNAME", b"clusterpass"]
        link.close("closed")
        assert await link.ask(write(b"x"), 1) == Fault("closed")


async def test_a_node_that_is_still_loading_is_no_failure():
    async def loading(_, writer):
        writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")

    async with fake_node(loading) as (_, address):
        link = Link(location_of(address), address, None)
        assert await link.ask(write(b"x"), 1) == Fault("loading")
        link.close("closed")


async def test_nobody_listens():
    link = Link(location_of(Address("127.0.0.1", 1)), Address("127.0.0.1", 1), None)
    assert await link.ask(write(b"x"), 1) == Fault("connection")
    assert await link.ask(write(b"x"), 1) == Fault("connection")
    link.close("closed")


async def test_the_password_goes_with_the_greeting():
    async with fake_node(echo) as (node, address):
        location = StoreLocation(
            seeds=(address,), is_cluster=False, username="app", password="secret"
        )
        link = Link(location, address, None)
        await link.ask(write(b"x"), 1)
        assert node.requests[0] == [
            *(b"HELLO", b"3", b"AUTH", b"app", b"secret", b"SETNAME", b"clusterpass")
        ]
        link.close("closed")


async def test_who_gives_up_is_told_whether_the_write_was_sent():
    async def hold(asked, writer):
        if asked[0] != b"WAITAOF":
            await echo(asked, writer)

    async with fake_node(hold) as (node, address):
        commit = commit_to(address)
        sent = asyncio.ensure_future(commit.ask(write(b"sent"), 1, WAIT_FOR_DISK, 0.2))
        while not any(asked[0] == b"SET" for asked in node.requests):
            await asyncio.sleep(0.001)
        queued = commit.ask(write(b"queued"), 1, WAIT_FOR_DISK, 0.05)
        assert await queued == Fault("busy")
        assert not sent.done()
        assert await sent == Fault("unconfirmed")
        assert await commit.ask(write(b"late"), 1, WAIT_FOR_DISK, 0.0) == Fault("busy")
        assert [asked[-1] for asked in node.requests if asked[0] == b"SET"] == [b"sent"]
        commit.close("closed")


async def test_a_batch_waits_no_longer_than_the_write_with_the_least_time():
    async with fake_node(echo) as (node, address):
        commit = commit_to(address)
        writes = [commit.ask(write(b"x"), 1, WAIT_FOR_DISK, seconds) for seconds in (2.5, 1.0, 2.0)]
        await asyncio.gather(*writes)
        (asked,) = [asked for asked in node.requests if asked[0] == b"WAITAOF"]
        assert 800 < int(asked[-1]) <= 900
        await commit.ask(write(b"x"), 1, WAIT_FOR_DISK, 2.5)
        assert node.requests[-2:] == [[b"WAITAOF", b"1", b"1", b"1500"], [b"ROLE"]]
        commit.close("closed")


async def test_a_longer_wait_confirms_more_writes():
    async with fake_node(echo) as (node, address):
        commit = commit_to(address)
        commit._most_waiting = 10_000
        writes = [commit.ask(write(b"x"), 1, WAIT_FOR_DISK) for _ in range(1600)]
        await asyncio.gather(*writes)
        assert sum(asked[0] == b"WAITAOF" for asked in node.requests) == 2
        commit.close("closed")


@pytest.mark.parametrize(("wait", "most"), [((b"WAIT", 1, 1), 256), ((b"WAIT", 1, 499), 256)])
async def test_a_batch_has_a_largest_size(wait, most):
    """The last write of a batch must not wait longer than its confirmation may take."""
    async with fake_node(echo) as (node, address):
        commit = commit_to(address)
        commit._most_waiting = 10_000
        await asyncio.gather(*[commit.ask(write(b"x"), 1, wait) for _ in range(3 * most)])
        ends = [number for number, asked in enumerate(node.requests) if asked[0] == b"WAIT"]
        begin = 0
        for end in ends:
            batch = sum(asked[-1] == b"x" for asked in node.requests[begin:end])
            assert batch <= most
            begin = end
        assert len(ends) == 3
        commit.close("closed")


class EndingLink:
    """A link over which nothing is answered before its event loop ends."""

    open_connection = None

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, packed: bytes, replies: int) -> None:
        self.asked += 1
        raise asyncio.CancelledError


async def test_when_the_loop_ends_whatever_waits_is_told_and_nothing_more_is_sent():
    link = EndingLink()
    commit = GroupCommit(link, most_waiting=1000)
    # The first batch takes 256 writes; the others wait for it.
    outcomes = await asyncio.gather(*(commit.ask(write(b"x"), 1, WAIT) for _ in range(300)))
    assert outcomes == [Fault("connection")] * 300
    assert link.asked == 1


async def test_nothing_is_left_of_the_attempts_to_open_a_connection():
    commit = commit_to(Address("127.0.0.1", 1))
    for _ in range(3):
        assert await commit.ask(write(b"x"), 1, WAIT) == Fault("connection")
    await asyncio.sleep(0)
    gc.collect()
    tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task)]
    # Tests of other things in this process may have left theirs.
    assert [each for each in tasks if "Link.ask" in repr(each.get_coro())] == []
    commit.close("closed")
