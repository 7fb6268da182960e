"""A link to a node: handshake, tracking, TLS, idle connections and calls of its listener."""

import asyncio
from typing import Any

import pytest

from clusterpass.model.errors import StoreDenied, StoreFailed
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.address import Address
from clusterpass.store.credentials import Credentials
from clusterpass.store.location import StoreLocation
from clusterpass.store.outcomes import Fault, Replies, ServerError
from clusterpass.store.patience import Patience
from clusterpass.store.wire.background import BackgroundTasks
from clusterpass.store.wire.handshake import (
    Pushes,
    following,
    greeting,
    plain_greeting,
    switching,
    tracking,
    widening,
)
from clusterpass.store.wire.link import Link
from clusterpass.store.wire.resp import pack
from clusterpass.store.wire.tls import tls_context

from .fake_node import echo, fake_node

NODE = Address("h", 1)
PING = pack(((b"PING", b"x"),))
NAMED = [b"CLIENT", b"SETNAME", b"clusterpass"]
TRACKING = [*(b"CLIENT", b"TRACKING", b"ON", b"BCAST"), *(b"PREFIX", b"a", b"PREFIX", b"b")]


class Listener:
    """Notes what it is told."""

    def __init__(self, *prefixes: bytes) -> None:
        self.prefixes = prefixes
        self.pushes: Pushes = "all" if prefixes else "nothing"
        self.told: list[tuple[Any, ...]] = []

    def connected(self, address: Address, pushes: Pushes) -> None:
        self.told.append(("connected", address, pushes))

    def refused(self, address: Address, error: ServerError) -> None:
        self.told.append(("refused", address, error.code))

    def pushed(self, address: Address, message: list[Any]) -> None:
        self.told.append(("pushed", address, message))

    def lost(self, address: Address) -> None:
        self.told.append(("lost", address))


def location(address: Address = NODE, **values: Any) -> StoreLocation:
    patience = Patience(timeout=2.0)
    return StoreLocation(seeds=(address,), is_cluster=False, patience=patience, **values)


@pytest.mark.parametrize(
    ("values", "command", "plain"),
    [
        ({}, (b"HELLO", 3, b"SETNAME", b"clusterpass"), None),
        (
            {"password": "p"},
            (b"HELLO", 3, b"AUTH", b"default", b"p", b"SETNAME", b"clusterpass"),
            (b"AUTH", b"default", b"p"),
        ),
        (
            {"username": "u", "password": "p"},
            (b"HELLO", 3, b"AUTH", b"u", b"p", b"SETNAME", b"clusterpass"),
            (b"AUTH", b"u", b"p"),
        ),
    ],
)
def test_what_a_node_is_greeted_with(values: Any, command: Any, plain: Any) -> None:
    assert greeting(location(**values).fixed_credentials) == command
    expected = (tuple(NAMED),) if plain is None else (plain, tuple(NAMED))
    assert plain_greeting(location(**values).fixed_credentials) == expected


def test_what_makes_a_node_push() -> None:
    subscribe = (b"SUBSCRIBE", b"n:tracking")
    assert following("all", (b"a", b"b"), Keyspace("n")) == (tuple(TRACKING), subscribe)
    plain = (b"CLIENT", b"TRACKING", b"ON")
    assert following("read", (b"a", b"b"), Keyspace("n")) == (plain, subscribe)
    assert following("nothing", (b"a", b"b"), Keyspace("n")) == ()
    off = (b"CLIENT", b"TRACKING", b"OFF")
    assert switching("read", (b"a",), Keyspace("n")) == (off, plain, subscribe)
    assert switching("nothing", (b"a",), Keyspace("n")) == (off,)
    all_at_once = ((b"MULTI",), off, tracking("all", (b"a", b"b")), (b"EXEC",))
    assert widening((b"a", b"b")) == all_at_once


async def answer(request: list[bytes], writer: asyncio.StreamWriter) -> None:
    if request[0] == b"SUBSCRIBE":
        writer.write(b">3\r\n$9\r\nsubscribe\r\n$1\r\nn\r\n:1\r\n")
    elif request[-1] == b"push":
        writer.write(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$2\r\nok\r\n")
    else:
        await echo(request, writer)


async def test_a_node_that_pushes_is_told_of() -> None:
    async with fake_node(answer) as (node, address):
        listener = Listener(b"a", b"b")
        link = Link(location(address), address, None, listener)
        assert await link.ask(PING, 1) == Replies([b"x"])
        assert node.requests[1:3] == [TRACKING, [b"SUBSCRIBE", b"cp:tracking"]]
        assert ("connected", address, "all") in listener.told
        assert await link.ask(pack(((b"GET", b"push"),)), 1) == Replies([b"ok"])
        assert listener.told[-1] == ("pushed", address, [b"invalidate", [b"k"]])
        link.close("closed")
        await asyncio.sleep(0)
        assert listener.told[-1] == ("lost", address)
        assert await link.open() == Fault("closed")


async def test_without_prefixes_nothing_is_asked_to_be_pushed() -> None:
    async with fake_node(answer) as (node, address):
        listener = Listener()
        link = Link(location(address), address, None, listener)
        assert await link.open() is None
        assert await link.open() is None
        assert listener.told == [("connected", address, "nothing")]
        assert [request[0] for request in node.requests] == [b"HELLO"]
        link.close("closed")


async def test_a_node_that_refuses_to_push_serves_requests() -> None:
    async def refuse(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request[:2] == [b"CLIENT", b"TRACKING"]:
            writer.write(b"-NOPERM no\r\n")
        else:
            await answer(request, writer)

    async with fake_node(refuse) as (_, address):
        listener = Listener(b"a")
        link = Link(location(address), address, None, listener)
        assert await link.ask(PING, 1) == Replies([b"x"])
        assert ("refused", address, "NOPERM") in listener.told
        assert "connected" not in {told[0] for told in listener.told}
        link.close("closed")


@pytest.mark.parametrize("prefixes", [(), (b"a",)])
async def test_a_node_without_resp3_is_greeted_anew(prefixes: tuple[bytes, ...]) -> None:
    async def old(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request[0] == b"HELLO":
            writer.write(b"-ERR unknown command 'HELLO'\r\n")
        elif request[0] in {b"AUTH", b"SUBSCRIBE"}:
            writer.write(b"+OK\r\n")
        else:
            await echo(request, writer)

    async with fake_node(old) as (node, address):
        listener = Listener(*prefixes)
        own = location(address, password="p")
        link = Link(own, address, None, listener)
        assert await link.ask(PING, 1) == Replies([b"x"])
        assert node.connections == 2
        assert node.requests[-3:] == [[b"AUTH", b"default", b"p"], NAMED, [b"PING", b"x"]]
        assert link.connection is not None
        assert link.connection.is_plain
        told = ("refused", address, "ERR") if prefixes else ("connected", address, "nothing")
        assert listener.told[-1] == told
        link.close("closed")


@pytest.mark.parametrize(
    ("refusal", "error"),
    [(b"-NOAUTH no\r\n", StoreDenied), (b"-DENIED protected mode\r\n", StoreFailed)],
)
async def test_a_node_that_refuses_both_greetings(refusal: bytes, error: Any) -> None:
    async def old(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR unknown command\r\n" if request[0] == b"HELLO" else refusal)

    async with fake_node(old) as (_, address):
        link = Link(location(address), address, None)
        with pytest.raises(error):
            await link.open()
        link.close("closed")


async def test_a_node_is_reached_where_the_client_was_told() -> None:
    async with fake_node(answer) as (_, address):
        named = Address("unknown.invalid", 9)
        link = Link(location(named, reached_at={named: address}), named, None)
        assert await link.ask(PING, 1) == Replies([b"x"])
        assert link.address == named
        link.close("closed")


async def test_an_end_during_the_opening_is_told_to_all_who_wait() -> None:
    async def silent(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        asked.set()

    asked = asyncio.Event()
    async with fake_node(silent) as (_, address):
        link = Link(location(address), address, None)
        waiting = [asyncio.ensure_future(link.ask(PING, 1)) for _ in range(3)]
        await asked.wait()
        link.close("closed")
        assert await asyncio.gather(*waiting) == [Fault("closed")] * 3


async def test_a_node_that_is_reached_and_greets_nobody_is_no_fault_of_tls() -> None:
    async def silent(_: list[bytes], __: asyncio.StreamWriter) -> None:
        """Nothing is answered."""

    async with fake_node(silent) as (_, address):
        patience = Patience(timeout=0.05)
        there = StoreLocation(seeds=(address,), is_cluster=False, patience=patience)
        fault = await Link(there, address, None).open()
    assert fault is not None
    assert (fault.kind, fault.cause) == ("timeout", "timed_out")


async def test_a_node_that_hangs_up_is_a_fault_and_told_as_lost() -> None:
    async def hang_up(request: list[bytes], writer: asyncio.StreamWriter) -> None:
        if request[-1] == b"x":
            writer.transport.abort()
        else:
            await answer(request, writer)

    async with fake_node(hang_up) as (node, address):
        listener = Listener()
        link = Link(location(address), address, None, listener)
        assert await link.ask(PING, 1) == Fault("connection")
        assert listener.told == [("connected", address, "nothing"), ("lost", address)]
        assert await link.ask(pack(((b"PING", b"y"),)), 1) == Replies([b"y"])
        assert node.connections == 2, "the next request has opened another one"
        link.close("closed")


def test_tls_needs_files_that_hold_something(tmp_path: Any) -> None:
    assert tls_context(location()) is None
    context = tls_context(location(tls_files={}))
    assert context is not None
    assert context.check_hostname
    empty = tmp_path / "empty"
    empty.touch()
    for files in ({"ca_file": str(empty)}, {"cert_file": str(empty), "key_file": str(empty)}):
        with pytest.raises(StoreDenied, match="hold no certificate or key") as caught:
            tls_context(location(tls_files=files))
        assert caught.value.reason == "certificate"


class Idle:
    """An open connection over which nothing was asked or heard since then."""

    is_open = True

    def __init__(self, since: float) -> None:
        self.since = since

    def has_idled(self, since: float) -> bool:
        return self.since <= since

    def end(self) -> None:
        self.is_open = False


@pytest.mark.parametrize(("seconds", "is_used"), [(59.0, True), (60.5, False)])
async def test_a_connection_that_has_idled_for_a_minute_is_not_used(
    seconds: float, is_used: bool
) -> None:
    link = Link(location(), NODE, None)
    connection: Any = Idle(asyncio.get_running_loop().time() - seconds)
    link.connection = connection
    assert (link.open_connection is connection) is is_used
    assert connection.is_open is is_used


async def test_only_the_latest_connection_of_a_link_is_kept_authenticated() -> None:
    background = BackgroundTasks()
    used = Credentials(password="p", expires_in=1000)
    link = Link(location(credential_source=lambda: used), NODE, None, background=background)
    link._login = used
    first, second = object(), object()
    for connection in (first, second):
        link._keep_authenticated(connection)  # type: ignore[arg-type]
    for _ in range(3):
        await asyncio.sleep(0)
    (left,) = background._tasks
    link._ended(first)  # type: ignore[arg-type]
    assert not left.cancelling(), "the other one goes on"
    link._ended(second)  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await background.ended()
