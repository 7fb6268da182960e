"""Unreachable servers, and servers that are no cluster: the error of each, in time."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.model.errors import StoreDenied, StoreFailed, StoreUnavailable
from tests.ports import free_port

from .conftest import HANGING, Opener


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "rediss", "rediss+cluster"])
def test_nobody_listens(open_url: Opener, scheme: str, subject: str) -> None:
    manager = open_url(f"{scheme}://127.0.0.1:{free_port()}?timeout=0.3&deadline=0.5")
    begin = time.monotonic()
    for verb in (lambda: manager.login(subject), manager.ping, lambda: manager.sessions(subject)):
        with pytest.raises(StoreUnavailable) as refusal:
            verb()
        # Once it has been silent for a whole deadline, nobody waits for it any more.
        assert refusal.value.reason in {"connection", "circuit_open"}
        assert refusal.value.retry_after >= 1
        assert not isinstance(refusal.value, StoreDenied)
    assert time.monotonic() - begin < HANGING / 3


def test_many_seeds_that_are_silent_keep_to_the_deadline(open_url: Opener, subject: str) -> None:
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(60)
        ]
        seeds = ",".join(f"127.0.0.1:{port}" for port in silent)
        manager = open_url(f"redis+cluster://{seeds}?timeout=0.5&deadline=1")

        def one(number: int) -> None:
            with pytest.raises(StoreUnavailable):
                manager.login(f"{subject}-{number}")

        begin = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(one, range(8)))
        with pytest.raises(StoreUnavailable):
            manager.ping()
        assert time.monotonic() - begin < HANGING / 2


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        # Of a server that has no room, when the greeting reaches it before it has said so.
        b"-ERR max number of clients reached\r\n",
    ],
    ids=["another protocol", "no room"],
)
def test_whoever_does_not_let_us_in_is_no_store(
    open_url: Opener, listener: socket.socket, scheme: str, answer: bytes, subject: str
) -> None:
    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

    server = threading.Thread(target=serve)
    server.start()
    try:
        port = listener.getsockname()[1]
        url = f"{scheme}://127.0.0.1:{port}?timeout=0.3&deadline=0.5"
        # Who verifies from memory asks for more at once, and hears of the connection's end instead.
        for mode in ("cached", "strict"):
            manager = open_url(url, verification=mode)
            with pytest.raises(StoreUnavailable):
                manager.login(subject)
            with pytest.raises(StoreUnavailable):
                manager.ping()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        server.join()


def test_a_single_server_is_no_cluster(
    open_url: Opener, single_server: EmbeddedCluster, subject: str
) -> None:
    manager = open_url(single_server.url.replace("redis://", "redis+cluster://"))
    for verb in (lambda: manager.login(subject), manager.ping):
        with pytest.raises(StoreFailed, match=r"is a single server: use redis://"):
            verb()


def test_a_server_without_room_for_connections_is_a_passing_fault(open_url, subject):
    with EmbeddedCluster(nodes=1) as full, contextlib.ExitStack() as stack:
        node = full.nodes[0]
        operator = stack.enter_context(full.client(node))
        before = operator.config_get("maxclients")["maxclients"]
        operator.config_set("maxclients", operator.info("clients")["connected_clients"])
        manager = open_url(f"{full.url}?timeout=0.2&deadline=0.4&replica_wait=0.1")
        with pytest.raises(StoreUnavailable) as refused:
            manager.login(subject)
        assert refused.value.status == 503
        assert refused.value.reason in {"busy", "connection", "circuit_open"}
        operator.config_set("maxclients", before)
        assert eventually_logs_in(manager, subject)


def eventually_logs_in(manager: Any, subject: str) -> bool:
    deadline = time.monotonic() + HANGING
    while time.monotonic() < deadline:
        with contextlib.suppress(StoreUnavailable):
            return bool(manager.login(subject))
        time.sleep(0.02)
    return False
