"""Clients that replicate without being cluster members: durability ignores them."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from clusterpass import EmbeddedCluster, SessionManager


@contextlib.contextmanager
def copying(
    cluster: EmbeddedCluster, subject: str, sessions: SessionManager, port: int
) -> Iterator[None]:
    """A connection that the owner of ``subject`` takes for a replica; it acknowledges nothing."""
    node = cluster.primary_of(sessions.store.keyspace.sessions(subject))
    with socket.create_connection((node.host, node.port)) as link:
        if port:
            link.sendall(b"REPLCONF listening-port %d\r\n" % port)
            assert link.recv(100).startswith(b"+OK")
        link.sendall(b"SYNC\r\n")
        reader = threading.Thread(target=_discard, args=(link,), daemon=True)
        reader.start()
        with cluster.client(node) as client:
            until = time.monotonic() + 20
            while len(client.execute_command("ROLE")[2]) < 2:
                assert time.monotonic() < until, "it is not attached"
                time.sleep(0.05)
        yield
        link.shutdown(socket.SHUT_RDWR)
        reader.join(20)


def _discard(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while link.recv(65_536):
            continue


def test_a_tool_that_tells_no_port_is_no_replica(
    cluster: EmbeddedCluster, sessions: SessionManager, subject: str
) -> None:
    assert sessions.login(subject).durable
    with copying(cluster, subject, sessions, port=0):
        assert sessions.login(subject).durable
        assert sessions.revoke_all(subject).durable


def test_a_tool_that_passes_for_a_replica_is_found_out(
    cluster: EmbeddedCluster, sessions: SessionManager, new_subject: Callable[[], str]
) -> None:
    """The look-up of the slots does not know it."""
    subject = new_subject()
    with copying(cluster, subject, sessions, port=7):
        until = time.monotonic() + 40
        while not sessions.login(subject).durable:
            assert time.monotonic() < until, "nothing is durable any more"
            time.sleep(0.05)
        ended = sessions.revoke_all(subject)
        assert ended.durable
        assert not ended.journaled


@pytest.mark.parametrize("port", [0, 7])
def test_what_came_and_went_is_forgotten(
    cluster: EmbeddedCluster, sessions: SessionManager, subject: str, port: int
) -> None:
    with copying(cluster, subject, sessions, port):
        sessions.login(subject)
    until = time.monotonic() + 20
    while not sessions.login(subject).durable:
        assert time.monotonic() < until
        time.sleep(0.05)
