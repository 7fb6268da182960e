"""A host with several addresses, the first of which is silent or refuses connections."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.store.address import Address
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.wire.tcp_dial import dial, dial_in_loop
from tests.ports import free_port

from .conftest import Opener

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]
_SILENT = "127.0.0.9"
_NAME = "store.example"


@pytest.fixture
def address(server: EmbeddedCluster) -> Address:
    return parse_store_url(server.url).seeds[0]


@pytest.fixture
def silence(address: Address) -> Iterator[None]:
    """At the port of the server, but another address, nobody answers a SYN."""
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.create_server((_SILENT, address.port), backlog=0))
        for _ in range(3):  # the queue of the listener is full then
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(hole.getsockname())
        yield


@pytest.fixture
def name_leads_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    real = socket.getaddrinfo

    def lead_to(*hosts: str) -> None:
        def look_up(host: Any, *args: Any, **options: Any) -> Any:
            if host != _NAME:
                return real(host, *args, **options)
            return [info for each in hosts for info in real(each, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return lead_to


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("hosts", [(_SILENT, "127.0.0.1"), (_SILENT, _SILENT, "127.0.0.1")])
def test_a_silent_first_address_is_no_obstacle(
    address: Address,
    name_leads_to: Callable[..., None],
    opened: Opener,
    subject: str,
    hosts: tuple[str, ...],
):
    name_leads_to(*hosts)
    manager = opened(f"redis://{_NAME}:{address.port}")
    assert manager.verify(manager.login(subject).access_token, verification="strict")


def test_an_address_that_refuses_is_no_obstacle(
    address: Address, name_leads_to: Callable[..., None], opened: Opener, subject: str
):
    name_leads_to("127.0.0.8", "127.0.0.1")
    assert opened(f"redis://{_NAME}:{address.port}").login(subject)


def dialled(host: str, port: int, *, in_loop: bool) -> socket.socket:
    if not in_loop:
        return dial(host, port, 0.5)

    async def within_limit() -> socket.socket:
        async with asyncio.timeout(0.5):
            return await dial_in_loop(host, port, 0.5)

    return asyncio.run(within_limit())


@pytest.mark.parametrize("in_loop", [False, True])
def test_all_that_refuse_are_a_refusal(name_leads_to: Callable[..., None], in_loop: bool):
    name_leads_to("127.0.0.7", "127.0.0.8")
    with pytest.raises(ConnectionRefusedError):
        dialled(_NAME, free_port(), in_loop=in_loop)


@pytest.mark.parametrize("in_loop", [False, True])
def test_of_different_failures_the_last_one_is_told(
    name_leads_to: Callable[..., None], in_loop: bool
):
    name_leads_to("127.0.0.7", "255.255.255.255")
    with pytest.raises(OSError) as last:
        dialled(_NAME, free_port(), in_loop=in_loop)
    # A socket needs SO_BROADCAST for that address, and the machine a route.
    assert last.value.errno in {errno.EACCES, errno.ENETUNREACH}


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("in_loop", [False, True])
def test_silence_alone_is_a_timeout(
    address: Address, name_leads_to: Callable[..., None], in_loop: bool
):
    name_leads_to(_SILENT, _SILENT)
    with pytest.raises(TimeoutError):
        dialled(_NAME, address.port, in_loop=in_loop)


@pytest.mark.parametrize("in_loop", [False, True])
def test_a_lost_peer_is_noticed_by_the_kernel(address: Address, in_loop: bool):
    with dialled("localhost", address.port, in_loop=in_loop) as connected:
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


def test_an_unknown_name_says_so():
    with pytest.raises(socket.gaierror) as unknown:
        dial("no-such-host.invalid", 6379, 0.5)
    assert unknown.value.errno != errno.ETIMEDOUT
