"""The doctor's connection to one node: commands, replies and failures."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import hiredis
import pytest

from clusterpass import StoreDenied, StoreUnavailable
from clusterpass.doctor.node_connection import NodeConnection
from clusterpass.store.address import Address
from clusterpass.store.complete_location import located
from clusterpass.store.outcomes import ServerError
from clusterpass.store.store_url import parse_store_url

GREETED = b"%1\r\n+server\r\n+fake\r\n"
PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
NO_HELLO = b"-ERR unknown command 'HELLO'\r\n"


class Node:
    """A node on loopback that answers each command as it is told; empty: it hangs up."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.asked: list[Any] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address(*self._listener.getsockname()[:2])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        parser = hiredis.Reader()
        with client, suppress(ConnectionError):
            while data := client.recv(65_536):
                parser.feed(data)
                while (command := parser.gets()) is not False:
                    self.asked.append(command)
                    answer = self.answer(command)
                    if not answer:
                        return
                    client.sendall(answer)

    def answer(self, command: list[bytes]) -> bytes:
        """What is answered; the next of ``answers``, whatever the command is."""
        return self.answers.pop(0)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.close()


def connection(node: Node, *answers: bytes, user: str = "") -> NodeConnection:
    node.answers = list(answers)
    url = f"redis://{user}127.0.0.1:{node.address.port}?timeout=5&deadline=5"
    return NodeConnection(located(parse_store_url(url)), node.address, None)


@pytest.mark.parametrize(("more", "seconds"), [({}, 2), ({"more_time": 3.0}, 5)])
def test_a_node_has_the_timeout_of_the_url_to_reply_and_more_where_it_is_given(
    node: Node, more: dict[str, float], seconds: int
) -> None:
    location = located(parse_store_url(f"redis://127.0.0.1:{node.address.port}?timeout=2"))
    node.answers = [GREETED]
    with NodeConnection(location, node.address, None, **more) as opened:
        assert opened._socket is not None
        assert opened._socket.gettimeout() == seconds


def test_it_greets_with_the_user_and_asks(node: Node) -> None:
    answers = (GREETED, b"$4\r\na: \xff\r\n", b":7\r\n", b"-ERR no\r\n", b"+OK\r\n", b"-ERR no\r\n")
    with connection(node, *answers, user="app:secret@") as opened:
        assert opened.text("INFO", "server") == "a: \ufffd"
        assert opened.text("DBSIZE") == "7"
        assert opened.text("CONFIG", "GET", "x") is None
        ok, refused = opened.ask_together(("SET", "k", 1), ("DEL", "k"))
        assert (ok, isinstance(refused, ServerError)) == (b"OK", True)
        assert opened.tls is None
    hello, *asked = node.asked
    assert hello[:5] == [b"HELLO", b"3", b"AUTH", b"app", b"secret"]
    assert asked[-2:] == [[b"SET", b"k", b"1"], [b"DEL", b"k"]]


def test_a_push_is_waited_for_until_it_comes_or_for_the_timeout(node: Node) -> None:
    with connection(node, GREETED, b"+OK\r\n", PUSH + b"+OK\r\n") as opened:
        assert opened.track(b"app:") is None
        assert node.asked[1] == [b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", b"app:"]
        assert opened.pushes == []
        assert opened.ask("SET", "k", "1") == b"OK", "a push is no answer"
        assert len(opened.pushes) == 1
        assert opened.wait_for_push() is True


def test_a_push_that_comes_alone_ends_the_wait(node: Node) -> None:
    with connection(node, GREETED, b"+OK\r\n" + PUSH[:9]) as opened:
        opened.ask("SET", "k", "1")
        opened._socket.settimeout(0.05)  # type: ignore[union-attr]
        assert opened.wait_for_push() is False
        node.answers = [PUSH[9:]]
        opened._socket.sendall(b"*1\r\n$4\r\nPING\r\n")  # type: ignore[union-attr]
        opened._socket.settimeout(5)  # type: ignore[union-attr]
        assert opened.wait_for_push() is True


def test_a_node_that_refuses_resp3_pushes_nothing(node: Node) -> None:
    with connection(node, NO_HELLO, b"+OK\r\n", b"+PONG\r\n") as opened:
        refusal = opened.track(b"app:")
        assert refusal is not None
        assert "unknown command" in refusal.message
        assert opened.ask("PING") == b"PONG"
    assert len(node.asked) == 3, "not asked to track"


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (b"-WRONGPASS invalid\r\n", StoreDenied, "authentication"),
        (b"-LOADING in memory\r\n", StoreUnavailable, "loading"),
        (b"-ERR max number of clients reached\r\n", StoreUnavailable, "busy"),
    ],
)
def test_a_node_that_takes_nobody(node: Node, answer: bytes, error: Any, reason: str) -> None:
    with pytest.raises(error) as refused, connection(node, answer):
        pass
    assert refused.value.reason == reason


def test_a_node_that_hangs_up_or_says_nothing(node: Node) -> None:
    with connection(node, GREETED, b"") as opened, pytest.raises(ConnectionResetError):
        opened.ask("PING")
