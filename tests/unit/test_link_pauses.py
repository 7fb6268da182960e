"""Pauses between attempts to open a link, and the errors that callers get meanwhile."""

import asyncio
from typing import Any, cast

import pytest

from clusterpass.model.errors import ClusterPassError, StoreDenied
from clusterpass.store.address import Address
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault
from clusterpass.store.patience import Patience
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.resp import pack

from .fake_node import echo, fake_node
from .test_link import Listener, location

NODE = Address("127.0.0.1", 1)
PING = pack(((b"PING", b"x"),))


class Tried:
    """A try to open a link that has ended at a given time of the loop."""

    def __init__(self, at: float, result: Fault | None, error: Exception | None = None) -> None:
        self.at, self._result, self._error = at, result, error

    def get_loop(self) -> Any:
        return self

    def time(self) -> float:
        return self.at

    def cancelled(self) -> bool:
        return False

    def exception(self) -> Exception | None:
        return self._error

    def result(self) -> Fault | None:
        return self._result


def ended(link: Link, **values: Any) -> float:
    """Seconds for which nobody tries again."""
    values = {"at": 50.0, "result": Fault("timeout")} | values
    link._opened(cast("Any", Tried(**values)))
    return link._backoff.not_before - 50.0


def link_to(address: Address = NODE) -> Link:
    patience = Patience(timeout=2.0)
    return Link(StoreLocation(seeds=(address,), is_cluster=False, patience=patience), address, None)


async def test_pauses_double_up_to_a_second_and_begin_anew_after_a_success() -> None:
    link = link_to()
    for longest in (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0):
        assert 0 < ended(link) <= longest
    assert any(ended(link) > 0.6 for _ in range(50))
    ended(link, result=None)
    assert ended(link) <= 0.02


@pytest.mark.parametrize(
    ("result", "error", "told"),
    [
        (Fault("loading"), None, Fault("loading")),
        (None, OSError("another matter"), Fault("connection")),
    ],
)
async def test_who_comes_in_a_pause_is_told_what_was_wrong(
    result: Fault | None, error: Exception | None, told: Fault
) -> None:
    link = link_to()
    ended(link, at=asyncio.get_running_loop().time() + 60, result=result, error=error)
    assert await link.ask(PING, 1) == told


async def test_a_refusal_is_told_again_in_a_pause_as_an_error() -> None:
    link, refusal = link_to(), StoreDenied(reason="authentication")
    ended(link, at=asyncio.get_running_loop().time() + 60, result=None, error=refusal)
    for _ in range(2):
        with pytest.raises(ClusterPassError) as caught:
            await link.open()
        assert caught.value is refusal


async def test_a_connection_that_was_refused_is_closed_before_the_next() -> None:
    async def old(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request[0] == b"HELLO":
            writer.write(b"-ERR unknown command 'HELLO'\r\n")
        else:
            await echo(request, writer)

    async with fake_node(old) as (node, address):
        link = Link(location(address), address, None)
        assert await link.open() is None
        assert node.connections == 2
        refused, used = node.writers
        async with asyncio.timeout(5):
            await refused.wait_closed()
        assert not used.is_closing()
        link.close("closed")


async def test_who_may_not_subscribe_is_pushed_to_all_the_same() -> None:
    async def no_channels(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request[0] == b"SUBSCRIBE":
            writer.write(b"-NOPERM no channel for you\r\n")
        else:
            await echo(request, writer)

    async with fake_node(no_channels) as (_, address):
        listener = Listener(b"a")
        link = Link(location(address), address, None, listener)
        assert await link.open() is None
        assert listener.told == [("connected", address, "all")]
        link.close("closed")
