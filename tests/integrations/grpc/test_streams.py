"""Streams of gRPC, on threads and on an event loop, last as long as their session."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from clusterpass import (
    Config,
    EmbeddedCluster,
    SessionManager,
)
from clusterpass.integrations.grpc import (
    AsyncSessionInterceptor,
)

from ...cluster.store_faults.test_tls import write_authority
from .servers import (
    HANGING,
    LARGE,
    REVOKE,
    SERVERS,
    AsyncServicer,
    Requests,
    bearer,
    call,
    comes_true,
    handlers_of,
    has_no_threads,
    refused,
    stream,
    trailing,
    whose,
)


def with_levels(config: Config) -> Config:
    """The configuration with the levels that the methods of the servers require."""
    return replace(config, levels=("1", "mfa"))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("in_outage", ["stay", "close"])
def test_a_stream_stays_open_in_an_outage_unless_it_is_to_be_closed(
    server, in_outage, config, subject
) -> None:
    with EmbeddedCluster(nodes=1) as lonely, SessionManager.from_url(lonely.url, config) as own:
        pair = own.login(subject, claims={"role": "reader"})
        with SERVERS[server](lonely.url, with_levels(config), in_outage=in_outage) as running:
            requests = Requests()
            chat = running.channel.stream_stream("/shop.Orders/Chat")(
                iter(requests), metadata=bearer(pair.access_token), timeout=HANGING
            )
            requests.send(b"before")
            assert next(chat) == b"before " + subject.encode()
            lonely.kill(lonely.nodes[0])
            refusal = refused(lambda: call(running, "Post", *bearer(pair.access_token)))
            assert refusal.code() is grpc.StatusCode.UNAVAILABLE
            if in_outage == "stay":
                requests.send(b"within")
                assert next(chat) == b"within " + subject.encode()
            else:
                ended = refused(lambda: next(chat))
                assert ended.code() is grpc.StatusCode.UNAVAILABLE
                assert trailing(ended)["clusterpass-error"] == "store_unavailable"
            requests.send(None)


def test_a_stream_of_responses_ends_with_its_session(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice", claims={"scope": "orders:read"})
    found = stream(running, "Feed", *bearer(pair.access_token))
    assert next(found) == b"alice"
    cp_sessions.revoke("alice", pair.session_id, reason="stolen")
    refusal = refused(lambda: next(found))  # while the handler waits
    assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "stolen" in refusal.details()
    assert trailing(refusal)["clusterpass-reason"] == "revoked"
    running.servicer.released.set()
    assert running.servicer.closed.wait(HANGING), "the handler is left"
    assert comes_true(lambda: running.watched == 0)


@pytest.mark.parametrize("server", SERVERS)
def test_a_stream_ends_when_another_process_ends_its_session(
    server, cluster_url, config, sessions, subject
) -> None:
    pair = sessions.login(subject, claims={"scope": "orders:read"})
    with SERVERS[server](cluster_url, with_levels(config)) as running:
        found = stream(running, "Feed", *bearer(pair.access_token))
        assert next(found) == subject.encode()
        subprocess.run(
            [sys.executable, "-c", REVOKE, cluster_url, subject, pair.session_id], check=True
        )
        refusal = refused(lambda: next(found))
        assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "by another process" in refusal.details()


def test_a_client_that_does_not_read_is_sent_little_after_the_end(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    found = stream(running, "Flood", *bearer(pair.access_token))
    assert next(found) == LARGE
    seen: list[int] = []

    def is_held_up() -> bool:
        seen.append(running.servicer.sent)
        return len(seen) > 30 and seen[-30] == seen[-1]

    assert comes_true(is_held_up)
    cp_sessions.revoke("alice", pair.session_id)
    assert comes_true(lambda: running.watched == 0)
    refusal = refused(lambda: sum(map(len, found)))
    assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
    assert running.servicer.sent <= seen[-1] + 1


@pytest.mark.parametrize("server", SERVERS)
def test_call_credentials_bring_the_token_over_tls(
    server, cp_url, cp_config, cp_sessions, tmp_path
) -> None:
    files = write_authority(tmp_path / "tls", "test authority")
    ca, cert, key = (
        Path(each).read_bytes() for each in (files.ca_file, files.cert_file, files.key_file)
    )
    token = cp_sessions.login("alice").access_token
    both = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(ca), grpc.access_token_call_credentials(token)
    )
    with (
        SERVERS[server](cp_url, cp_config, tls=grpc.ssl_server_credentials([(key, cert)])) as found,
        grpc.secure_channel(f"127.0.0.1:{found.port}", both) as channel,
    ):
        assert channel.unary_unary("/shop.Orders/List")(b"-", timeout=HANGING) == b"alice"


def test_streams_of_requests_end_with_their_session(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    options = {"metadata": bearer(pair.access_token), "timeout": HANGING}
    requests, others = Requests(), Requests()
    chat = running.channel.stream_stream("/shop.Orders/Chat")(iter(requests), **options)
    requests.send(b"hello")
    assert next(chat) == b"hello alice"
    collecting = running.channel.stream_unary("/shop.Orders/Collect").future(
        iter(others), **options
    )
    assert comes_true(lambda: running.watched == 2)
    cp_sessions.logout(pair.refresh_token)
    for refusal in (refused(lambda: next(chat)), refused(collecting.result)):
        assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
        assert trailing(refusal)["clusterpass-reason"] == "logged_out"
    assert comes_true(lambda: running.watched == 0)
    assert comes_true(has_no_threads), "functions that wait for requests are left"
    requests.send(None)
    others.send(None)


def test_a_stream_outlives_its_token_and_knows_live_claims(running, cp_sessions, cp_clock) -> None:
    pair = cp_sessions.login("alice", claims={"role": "reader"})
    requests = Requests()
    chat = running.channel.stream_stream("/shop.Orders/Roles")(
        iter(requests), metadata=bearer(pair.access_token), timeout=HANGING
    )
    requests.send(b"-")
    assert next(chat) == b"reader"
    cp_clock.advance(minutes=16)
    cp_sessions.claims.set("alice", {"role": "editor"})

    def is_editor() -> bool:
        requests.send(b"-")
        return next(chat) == b"editor"

    assert comes_true(is_editor)
    requests.send(None)
    assert list(chat) == []


def test_a_stream_ends_when_its_session_loses_a_scope(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice", claims={"scope": "orders:read"})
    found = stream(running, "Feed", *bearer(pair.access_token))
    assert next(found) == b"alice"
    cp_sessions.claims.set("alice", {"scope": "profile"})
    refusal = refused(lambda: next(found))
    assert refusal.code() is grpc.StatusCode.PERMISSION_DENIED
    assert trailing(refusal)["clusterpass-error"] == "scope_missing"


def test_a_client_that_leaves_leaves_nothing_behind(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice", claims={"scope": "orders:read"})
    found = stream(running, "Feed", *bearer(pair.access_token))
    assert next(found) == b"alice"
    assert running.watched == 1
    found.cancel()
    assert comes_true(lambda: running.watched == 0)
    running.servicer.released.set()
    assert running.servicer.closed.wait(HANGING)
    assert comes_true(has_no_threads)


def test_a_stream_ends_when_nobody_watches_any_more(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice", claims={"scope": "orders:read"})
    found = stream(running, "Feed", *bearer(pair.access_token))
    assert next(found) == b"alice"
    running.close_sessions()
    refusal = refused(lambda: next(found))
    assert refusal.code() is grpc.StatusCode.UNAVAILABLE
    assert trailing(refusal)["clusterpass-reason"] == "closed"


class Synchronous(AsyncServicer):
    def one(self, request: bytes, context: Any) -> bytes:  # type: ignore[override]
        return b"public"


async def test_a_method_of_a_loop_that_needs_a_session_is_a_coroutine(cp_async_sessions) -> None:
    pair = await cp_async_sessions.login("alice")
    guard = AsyncSessionInterceptor(cp_async_sessions, public=["/shop.Orders/Hello"])
    server = grpc.aio.server(interceptors=[guard])
    server.add_generic_rpc_handlers(handlers_of(Synchronous()))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/shop.Orders/Hello")(b"-") == b"public"
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await channel.unary_unary("/shop.Orders/List")(
                    b"-", metadata=bearer(pair.access_token)
                )
            assert refusal.value.code() is grpc.StatusCode.INTERNAL
    finally:
        await server.stop(None)


class Stubborn(AsyncServicer):
    """A function that does not leave when it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.may_leave = asyncio.Event()
        self.left = asyncio.Event()

    async def feed(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield whose()
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_leave.wait()
            self.left.set()


async def test_a_function_that_takes_its_time_holds_up_no_end(cp_async_sessions) -> None:
    pair = await cp_async_sessions.login("alice")
    stubborn = Stubborn()
    server = grpc.aio.server(interceptors=[AsyncSessionInterceptor(cp_async_sessions)])
    server.add_generic_rpc_handlers(handlers_of(stubborn))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            found = channel.unary_stream("/shop.Orders/Feed")(
                b"-", metadata=bearer(pair.access_token)
            )
            assert await found.read() == b"alice"
            await cp_async_sessions.revoke_all("alice")
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await found.read()
            assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert not stubborn.left.is_set()
            stubborn.may_leave.set()
            await asyncio.wait_for(stubborn.left.wait(), HANGING)
    finally:
        await server.stop(None)


class Flooding(AsyncServicer):
    """A function that writes more than its clients read."""

    def __init__(self) -> None:
        super().__init__()
        self.open = 0

    async def feed(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            while True:
                yield LARGE
        finally:
            self.open -= 1


async def test_clients_that_leave_amid_a_response_are_no_error(cp_async_sessions) -> None:
    pair = await cp_async_sessions.login("alice")
    reported: list[Any] = []
    loop, flooding = asyncio.get_running_loop(), Flooding()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    server = grpc.aio.server(interceptors=[AsyncSessionInterceptor(cp_async_sessions)])
    server.add_generic_rpc_handlers(handlers_of(flooding))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            feed = channel.unary_stream("/shop.Orders/Feed")
            for _ in range(20):
                calls = [feed(b"-", metadata=bearer(pair.access_token)) for _ in range(5)]
                for each in calls:
                    assert await each.read() == LARGE
                for each in calls:
                    each.cancel()
                async with asyncio.timeout(HANGING):
                    while flooding.open:
                        await asyncio.sleep(0.01)
    finally:
        await server.stop(None)
    gc.collect()  # by which a task tells of an error that nobody has looked at
    await asyncio.sleep(0)
    assert reported == []
