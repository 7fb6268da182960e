"""Connections to a host: made, kept alive by the kernel, or refused."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass.store.wire import tcp_dial as module
from clusterpass.store.wire.tcp_dial import dial, dial_in_loop
from tests.ports import free_port


def in_loop(host: str, port: int, seconds: float) -> socket.socket:
    async def within_limit() -> socket.socket:
        async with asyncio.timeout(seconds):
            return await dial_in_loop(host, port, seconds)

    return asyncio.run(within_limit())


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


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where nobody answers a SYN."""
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # the queue of the listener is full then
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(hole.getsockname())
        yield hole.getsockname()[1]


@pytest.fixture
def name_leads_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def lead_to(*ports: int) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in ports]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return lead_to


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """All sockets that were made."""
    sockets: list[socket.socket] = []
    make = module._socket_for

    def kept(info: Any) -> socket.socket:
        sockets.append(make(info))
        return sockets[-1]

    monkeypatch.setattr(module, "_socket_for", kept)
    return sockets


def test_those_who_lose_a_race_are_closed(
    silent: int, name_leads_to: Callable[..., None], made: list[socket.socket]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name_leads_to(silent, silent, server.getsockname()[1])
        with dial("store.example", 6379, 0.2) as winner:
            assert winner.getpeername() == server.getsockname()
            assert len(made) == 3
            assert [each for each in made if each.fileno() != -1] == [winner]


async def test_those_who_lose_a_race_in_a_loop_are_closed(
    silent: int, name_leads_to: Callable[..., None], made: list[socket.socket]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        name_leads_to(silent, silent, server.getsockname()[1])
        with await dial_in_loop("store.example", 6379, 0.2) as winner:
            assert winner.getpeername() == server.getsockname()
            assert len(made) == 3
            await asyncio.sleep(0.01)
            assert [each for each in made if each.fileno() != -1] == [winner]


async def test_of_two_who_win_at_once_one_is_closed(
    name_leads_to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    both: asyncio.Event = asyncio.Event()
    made: list[socket.socket] = []

    async def connect(*_: object) -> socket.socket:
        mine = socket.socket()
        made.append(mine)
        if len(made) == 2:
            both.set()
        await both.wait()
        return mine

    monkeypatch.setattr(module, "_connect", connect)
    name_leads_to(1, 2)
    with await dial_in_loop("store.example", 6379, 0.1) as winner:
        await asyncio.sleep(0.01)
        assert len(made) == 2
        assert [each for each in made if each.fileno() != -1] == [winner]


def test_nothing_is_left_open_where_nobody_answers(
    silent: int, name_leads_to: Callable[..., None], made: list[socket.socket]
) -> None:
    name_leads_to(silent, free_port())
    with pytest.raises(TimeoutError):
        dial("store.example", 6379, 0.1)
    assert [each.fileno() for each in made] == [-1, -1]


async def test_nothing_is_left_open_where_nobody_waits_any_more(
    silent: int, name_leads_to: Callable[..., None], made: list[socket.socket]
) -> None:
    name_leads_to(silent, free_port())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await dial_in_loop("store.example", 6379, 0.1)
    await asyncio.sleep(0.01)
    assert [each.fileno() for each in made] == [-1, -1]
