"""What threads and other event loops read is announced to the connection that gets the pushes."""

import asyncio
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from redis.connection import Connection

from clusterpass.store.drivers.pool import Pool
from clusterpass.store.outcomes import Replies
from clusterpass.store.wire.multiplexed import MultiplexedConnection
from clusterpass.store.wire.resp import pack_one

from .fake_node import fake_node
from .test_pool import Peer

GET = (b"GET", b"k")
NAMED = [b"CLIENT", b"TRACKING", b"ON", b"REDIRECT"]


class Recorder(Peer):
    """A peer that notes whom connections name, and refuses those in ``gone``."""

    def __init__(self) -> None:
        self.named: list[bytes] = []
        self.gone: set[bytes] = set()
        super().__init__()

    def _serve(self, client: Any) -> None:
        parser = hiredis.Reader()
        with client:
            while data := client.recv(65_536):
                parser.feed(data)
                while (request := parser.gets()) is not False:
                    client.sendall(self._answer(request))

    def _answer(self, request: list[bytes]) -> bytes:
        if request[0] == b"HELLO":
            return b"%1\r\n$5\r\nproto\r\n:3\r\n"
        if request[:4] == NAMED:
            self.named.append(request[4])
            return b"-ERR no such client\r\n" if request[4] in self.gone else b"+OK\r\n"
        return b"$1\r\nv\r\n"


@pytest.fixture
def peer() -> Iterator[Recorder]:
    running = Recorder()
    yield running
    running.close()


@pytest.fixture
def pool(peer: Recorder) -> Pool:
    return Pool(
        lambda: Connection(host="127.0.0.1", port=peer.port, socket_timeout=30, driver_info=None),
        2,
        patience=0,
    )


def test_a_connection_names_a_tracker_once(peer: Recorder, pool: Pool) -> None:
    for _ in range(3):
        assert pool.send((GET,), tracker=7) == Replies([b"v"], is_followed=True)
    assert peer.named == [b"7"]
    assert pool.send((GET, GET), tracker=8) == Replies([b"v", b"v"], is_followed=True)
    assert peer.named == [b"7", b"8"], "another connection of the watch"


def test_without_a_tracker_nothing_is_named(peer: Recorder, pool: Pool) -> None:
    assert pool.send((GET,)) == Replies([b"v"], is_followed=True)
    assert peer.named == []
    pool.send((GET,), tracker=7)
    assert pool.send((GET,)) == Replies([b"v"], is_followed=True)
    assert peer.named == [b"7"]


def test_what_could_not_be_announced_is_said(peer: Recorder, pool: Pool) -> None:
    peer.gone.add(b"7")
    for _ in range(2):
        assert pool.send((GET,), tracker=7) == Replies([b"v"], is_followed=False)
    assert peer.named == [b"7", b"7"], "it is tried again"
    peer.gone.clear()
    assert pool.send((GET,), tracker=7) == Replies([b"v"], is_followed=True)


def test_each_connection_names_the_tracker(peer: Recorder, pool: Pool) -> None:
    pool.send((GET,), tracker=7)
    pool.clear()
    assert pool.send((GET,), tracker=7) == Replies([b"v"], is_followed=True)
    assert peer.named == [b"7", b"7"]


async def test_a_connection_of_an_event_loop_names_a_tracker_once() -> None:
    gone = {b"9"}
    named: list[bytes] = []

    async def answer(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request[:4] == NAMED:
            named.append(request[4])
            writer.write(b"-ERR no\r\n" if request[4] in gone else b"+OK\r\n")
        else:
            writer.write(b"$1\r\nv\r\n")

    async with fake_node(answer) as (_, address):
        loop = asyncio.get_running_loop()
        connection = MultiplexedConnection(loop, limit=30, most_waiting=10)
        await loop.create_connection(lambda: connection, address.host, address.port)
        for _ in range(3):
            connection.name_tracker(7)
            assert await connection.ask(pack_one(GET), 1) == Replies([b"v"])
            assert connection.is_followed_by(7)
        assert named == [b"7"]
        connection.name_tracker(9)
        await connection.ask(pack_one(GET), 1)
        assert not connection.is_followed_by(9)
        connection.name_tracker(9)
        gone.clear()
        await connection.ask(pack_one(GET), 1)
        assert named == [b"7", b"9", b"9"]
        connection.end()
