"""A test logs a stub or a channel of gRPC in, with threads and on an event loop."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest

from clusterpass import SessionManager
from clusterpass.integrations.grpc import SessionInterceptor, current_session
from clusterpass.testing import LoginAs

HANGING = 30.0


def subject() -> bytes:
    return current_session().subject.encode()


def single(request: bytes, context: grpc.ServicerContext) -> bytes:
    return subject()


def collect(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
    return b"+".join([*requests, subject()])


def count(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    yield subject()


def chat(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    for request in requests:
        yield request + b" " + subject()


METHODS = {
    "Single": grpc.unary_unary_rpc_method_handler(single),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


class Stub:
    """As it is generated."""

    def __init__(self, channel: Any) -> None:
        self.Single = channel.unary_unary("/shop.Orders/Single")
        self.Collect = channel.stream_unary("/shop.Orders/Collect")
        self.Count = channel.unary_stream("/shop.Orders/Count")
        self.Chat = channel.stream_stream("/shop.Orders/Chat")


@pytest.fixture
def address(cp_sessions: SessionManager) -> Iterator[str]:
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, interceptors=[SessionInterceptor(cp_sessions)])
        handler = grpc.method_handlers_generic_handler("shop.Orders", METHODS)
        server.add_generic_rpc_handlers([handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait(HANGING)


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as opened:
        yield opened


@pytest.fixture
async def aio_channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened


def test_every_kind_of_call_of_a_stub_is_of_its_user(channel: Any, cp_login_as: LoginAs) -> None:
    stub, other = Stub(channel), Stub(channel)
    cp_login_as(stub, "alice")
    cp_login_as(other, "bob")
    assert (stub.Single(b"-"), other.Single(b"-")) == (b"alice", b"bob")
    assert stub.Single(b"-", HANGING, (("of-test", "kept"),)) == b"alice"
    assert stub.Single.with_call(b"-", timeout=HANGING)[0] == b"alice"
    assert stub.Single.future(b"-").result(HANGING) == b"alice"
    assert stub.Collect(iter([b"a"])) == b"a+alice"
    assert stub.Collect.with_call(iter([b"a"]))[0] == b"a+alice"
    assert list(stub.Count(b"-")) == [b"alice"]
    assert list(stub.Chat(iter([b"a"]))) == [b"a alice"]


async def test_on_an_event_loop_too(aio_channel: Any, cp_login_as: LoginAs) -> None:
    stub = Stub(aio_channel)
    cp_login_as(stub, "alice")
    assert await stub.Single(b"-", timeout=HANGING) == b"alice"
    assert await stub.Single(b"-", metadata=grpc.aio.Metadata(("of-test", "kept"))) == b"alice"
    assert await stub.Collect(iter([b"a"])) == b"a+alice"
    assert [each async for each in stub.Count(b"-")] == [b"alice"]
    assert [each async for each in stub.Chat(iter([b"a"]))] == [b"a alice"]


@pytest.mark.parametrize("kind", ["stub", "channel"])
def test_the_latest_login_counts(channel: Any, cp_login_as: LoginAs, kind: str) -> None:
    cp_login_as(channel, "alice")
    stub = Stub(channel)
    assert stub.Single(b"-") == b"alice"
    cp_login_as(stub if kind == "stub" else channel, "bob")
    assert stub.Single(b"-") == b"bob"


def test_the_metadata_of_a_call_come_first(
    channel: Any, cp_login_as: LoginAs, cp_sessions: SessionManager
) -> None:
    stub = Stub(channel)
    cp_login_as(stub, "alice")
    token = cp_sessions.login("bob").access_token
    assert stub.Single(b"-", metadata=(("authorization", f"Bearer {token}"),)) == b"bob"


def test_a_stub_that_nobody_has_logged_in_is_refused(channel: Any, cp_login_as: LoginAs) -> None:
    cp_login_as(Stub(channel), "alice")
    with pytest.raises(grpc.RpcError) as refusal:
        Stub(channel).Single(b"-")
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_there_are_no_cookies(channel: Any, cp_login_as: LoginAs) -> None:
    for client in (channel, Stub(channel)):
        with pytest.raises(TypeError, match="gRPC has no cookies"):
            cp_login_as(client, "alice", cookies=True)
