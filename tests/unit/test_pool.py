"""The connection pool of threads for one node: connections that are reused or closed."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from redis.connection import Connection

from clusterpass.store.drivers.pool import Pool
from clusterpass.store.outcomes import Fault, Replies
from tests.ports import free_port


class Peer:
    """A listener on loopback: it answers with the last argument, or as the first one says."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepted = 0
        self.open: list[socket.socket] = []
        self.may_answer = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        parser = hiredis.Reader()
        with client, contextlib.suppress(OSError):  # the other end has gone
            while data := client.recv(65_536):
                parser.feed(data)
                while (request := parser.gets()) is not False:
                    if request[0] == b"HELLO":
                        client.sendall(b"%1\r\n$5\r\nproto\r\n:3\r\n")
                        continue
                    if request[0] == b"LATE":
                        assert self.may_answer.wait(60)
                    client.sendall(b"$%d\r\n%b\r\n" % (len(request[-1]), request[-1]))

    def hang_up(self) -> None:
        """Close every connection."""
        while self.open:
            with contextlib.suppress(OSError):  # it is closed already
                self.open.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.may_answer.set()
        self.listener.close()
        self.hang_up()


@pytest.fixture
def peer() -> Iterator[Peer]:
    running = Peer()
    yield running
    running.close()


def pool_of(port: int, *, most: int = 2, timeout: float = 30.0) -> Pool:
    return Pool(
        lambda: Connection(host="127.0.0.1", port=port, socket_timeout=timeout, driver_info=None),
        most,
        patience=0,
    )


def test_a_connection_is_used_again(peer: Peer) -> None:
    pool = pool_of(peer.port)
    for number in range(5):
        assert pool.send((("ECHO", f"{number}"), ("ECHO", "b"))) == Replies([b"%d" % number, b"b"])
    assert peer.accepted == 1


def test_nobody_there_is_a_fault_of_the_node_each_time() -> None:
    """A stale fault would say that the node is there and has only closed an idle connection."""
    pool = pool_of(free_port())
    for _ in range(3):
        assert pool.send((("ECHO", "a"),)) == Fault("connection", stale=False)


def test_a_connection_that_was_closed_while_idle_is_stale_and_so_are_the_others(peer: Peer) -> None:
    pool, begun = pool_of(peer.port), threading.Barrier(2)

    def use() -> None:
        begun.wait(30)
        pool.send((("LATE", "a"),))

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    while peer.accepted < 2:
        threading.Event().wait(0.01)
    peer.may_answer.set()
    for user in users:
        user.join(30)
    peer.hang_up()
    assert pool.send((("ECHO", "a"),)) == Fault("connection", stale=True)
    assert pool.send((("ECHO", "b"),)) == Replies([b"b"]), "on a new connection"
    assert peer.accepted == 3


def test_a_late_reply_is_not_taken_for_that_of_another_call(peer: Peer) -> None:
    pool = pool_of(peer.port, timeout=0.2)
    assert pool.send((("LATE", "late"),)) == Fault("timeout")
    peer.may_answer.set()
    assert pool.send((("ECHO", "own"),)) == Replies([b"own"])
    assert peer.accepted == 2


def test_the_limit_is_for_all_replies_together(peer: Peer) -> None:
    pool = pool_of(peer.port)
    assert pool.send((("ECHO", "a"), ("LATE", "b")), 0.2) == Fault("timeout")
    assert pool.send((("ECHO", "own"),), 30.0) == Replies([b"own"])


def test_no_reply_is_waited_for_beyond_the_limit(peer: Peer) -> None:
    limits: list[float] = []

    class Noting(Connection):
        def read_response(self, *given: Any, **options: Any) -> Any:
            if "timeout" in options:
                limits.append(options["timeout"])
            return super().read_response(*given, **options)

    made = {"host": "127.0.0.1", "port": peer.port, "socket_timeout": 30.0, "driver_info": None}
    pool = Pool(lambda: Noting(**made), 1, patience=0)
    assert pool.send((("ECHO", "a"), ("LATE", "b")), 0.2) == Fault("timeout")
    assert 0.2 >= limits[0] >= limits[-1] > 0.0


def test_who_finds_no_connection_free_is_told_unless_it_is_urgent(peer: Peer) -> None:
    pool = pool_of(peer.port, most=1)
    user = threading.Thread(target=pool.send, args=((("LATE", "a"),),))
    user.start()
    while peer.accepted < 1:
        threading.Event().wait(0.01)
    assert pool.send((("ECHO", "b"),)) == Fault("busy")
    assert pool.send((("ECHO", "b"),), urgent=True) == Replies([b"b"])
    peer.may_answer.set()
    user.join(30)
    assert pool.send((("ECHO", "b"),)) == Replies([b"b"])


def test_after_a_close_no_connection_stays_open(peer: Peer) -> None:
    pool = pool_of(peer.port)
    pool.send((("ECHO", "a"),))
    pool.close()
    assert pool.send((("ECHO", "b"),)) == Replies([b"b"]), "a call that was under way"
    assert not pool._idle


def test_no_reply_over_an_idle_connection_closes_those_that_have_idled_as_long(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(peer.port, most=3, timeout=0.2)
    monkeypatch.setattr("clusterpass.store.drivers.pool.LONGEST_IDLE", 1e12)
    for age in (0.0, 1.0, 2.0):
        connection = pool._connect()
        connection.connect()
        pool._idle.append((connection, age))
    fault = pool.send((("LATE", "a"),))
    assert fault == Fault("timeout")
    assert isinstance(fault, Fault)
    assert fault.idle_since == 2.0
    assert not pool._idle


def test_a_new_connection_is_opened_where_one_is_asked_for(peer: Peer) -> None:
    pool = pool_of(peer.port)
    pool.send((("ECHO", "a"),))
    assert pool.send((("ECHO", "b"),), fresh=True) == Replies([b"b"])
    assert peer.accepted == 2


def test_what_has_idled_for_long_is_closed(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of(peer.port)
    for age in (0.0, 1.0):  # of the monotonic clock: long ago
        pool._idle.append((pool._connect(), age))
    monkeypatch.setattr("clusterpass.store.drivers.pool.LONGEST_IDLE", 1.0)
    pool.send((("ECHO", "a"),))
    assert [since > 1.0 for _, since in pool._idle] == [True]
    assert peer.accepted == 1
