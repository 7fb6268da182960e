"""Connections to a host: made, kept alive by the kernel, or refused."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from clusterpass.store.wire.dial import dial, dial_in_loop
from tests.ports import free_port


def in_loop(host: str, port: int, seconds: float) -> socket.socket:
    return asyncio.run(dial_in_loop(host, port, seconds))


@pytest.mark.parametrize("connect", [dial, in_loop])
def test_a_lost_peer_is_noticed_by_the_kernel(connect: Callable[..., socket.socket]) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connect(*server.getsockname(), 5.0) as connected,
    ):
        assert connected.getpeername() == server.getsockname()
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert not connected.getblocking()


@pytest.mark.parametrize("connect", [dial, in_loop])
def test_a_refusal_is_told_at_once(connect: Callable[..., socket.socket]) -> None:
    with pytest.raises(ConnectionRefusedError):
        connect("127.0.0.1", free_port(), 5.0)
