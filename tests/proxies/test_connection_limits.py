"""The limit on connections per client address: one address cannot use up all connections.

Only some proxies have such a limit.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from .conftest import VISITOR
from .programs import HOST, Proxy

COUNTS = {"nginx", "traefik", "haproxy"}
LIMIT = 100
ANOTHER = "127.0.0.3"
LONGEST = 30.0
REFUSED_WITHIN = 5.0
MOST_TRIES = 6


@contextmanager
def unfinished(proxy: Proxy, count: int) -> Iterator[None]:
    """Requests of one address whose bodies do not come."""
    head = f"POST /public/slow HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(count):
            address = ("127.0.0.1", proxy.port)
            opened = socket.create_connection(address, 10, source_address=(VISITOR, 0))
            with suppress(OSError):  # it is refused already
                stack.enter_context(opened).sendall(head)
        yield


def is_served(proxy: Proxy, address: str) -> bool:
    """Whether another request of ``address`` passes; otherwise the proxy refuses it."""
    transport = httpx.HTTPTransport(local_address=address)
    try:
        with httpx.Client(base_url=proxy.url, transport=transport, timeout=10) as client:
            answer = client.get("/public/page", headers={"Host": HOST})
    except httpx.TransportError:  # the connection was closed
        return False
    assert answer.status_code in {200, 429}
    return answer.status_code == 200


def becomes_served(proxy: Proxy, address: str, *, wanted: bool, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_served(proxy, address) != wanted:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def takes_all_it_may(proxy: Proxy) -> bool:
    """Whether an address that has many unfinished requests is refused another, alone.

    Requests whose bodies do not come are ended after some seconds, by which time a busy machine may
    not have opened them all; so there are more of them.
    """
    with unfinished(proxy, 2 * LIMIT):
        if not becomes_served(proxy, VISITOR, wanted=False, seconds=REFUSED_WITHIN):
            return False
        assert is_served(proxy, ANOTHER)
        return True


def test_one_address_cannot_take_all_connections(proxy):
    if proxy.name not in COUNTS:
        pytest.skip(f"{proxy.name} does not count connections of an address")
    with unfinished(proxy, LIMIT // 2):
        assert is_served(proxy, VISITOR)
    assert any(takes_all_it_may(proxy) for _ in range(MOST_TRIES))
    assert becomes_served(proxy, VISITOR, wanted=True, seconds=LONGEST)
