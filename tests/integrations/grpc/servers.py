"""A gRPC server on threads and one on an event loop, with all kinds of methods, and clients."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest

from clusterpass import (
    AsyncSessionManager,
    Config,
    InvalidCredentials,
    LoginOvertaken,
    ScopeMissing,
    SessionManager,
    StoreFailed,
    TooManyAttempts,
    TooManyBans,
    TooManySessions,
    UserExists,
    UserNotFound,
)
from clusterpass.integrations.grpc import (
    AsyncSessionInterceptor,
    SessionInterceptor,
    current_session,
    requires,
)

HANGING = 30.0
LARGE = b"x" * 100_000
REVOKE = """
import sys
from clusterpass import Config, KeyRing, SessionManager

config = Config(issuer="https://auth.example", audience="api", keys=KeyRing.generate())
with SessionManager.from_url(sys.argv[1], config) as sessions:
    sessions.revoke(sys.argv[2], sys.argv[3], reason="by another process")
"""
NEEDS = {
    "/shop.Orders/Write": requires("orders:write"),
    "/shop.Orders/Feed": requires("orders:read"),
    "/shop.Orders/Pay": requires(level="mfa", max_auth_age=300),
    "/shop.Orders/Post": requires(not_banned="posting", strict=True),
}
PUBLIC = ("/shop.Orders/Hello", "/shop.Orders/Greetings", "/shop.Public/*")
ERRORS = {
    "not_found": UserNotFound(),
    "exists": UserExists(),
    "overtaken": LoginOvertaken(),
    "bans": TooManyBans(),
    "sessions": TooManySessions(sessions=()),
    "attempts": TooManyAttempts(retry_after=7),
    "failed": StoreFailed("what only the log may say"),
    "password": InvalidCredentials(),
    "café": ScopeMissing("Où est le café? \udc80", scope="cafe"),
}


def whose() -> bytes:
    return current_session().subject.encode()


class Servicer:
    """The methods of a server on threads."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.closed = threading.Event()
        self.sent = 0

    def one(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return whose()

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("of-handler", "kept"),))
        raise ERRORS[request.decode()]

    def abort(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "of the handler")

    def feed(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        try:
            yield whose()
            self.released.wait(HANGING)
            yield whose()
        finally:
            self.closed.set()

    def count(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(3):
            yield b"%d %s" % (number, whose())

    def flood(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        while True:
            self.sent += 1
            yield LARGE

    def fail_late(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"first"
        raise ERRORS[request.decode()]

    def abort_late(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"first"
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "of the handler")

    def collect(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"+".join([*requests, whose()])

    def chat(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield request + b" " + whose()

    def roles(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield str(current_session().claims.get("role")).encode()


class AsyncServicer:
    """The methods of the service, on an event loop."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.closed = threading.Event()
        self.sent = 0

    async def one(self, request: bytes, context: Any) -> bytes:
        return whose()

    async def fail(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("of-handler", "kept"),))
        raise ERRORS[request.decode()]

    async def abort(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "of the handler")
        return b""

    async def feed(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            yield whose()
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def count(self, request: bytes, context: Any) -> None:
        for number in range(3):  # the other way to write a stream
            await context.write(b"%d %s" % (number, whose()))

    async def flood(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        while True:
            self.sent += 1
            yield LARGE

    async def fail_late(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        raise ERRORS[request.decode()]

    async def abort_late(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "of the handler")

    async def collect(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"+".join([*[each async for each in requests], whose()])

    async def chat(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request + b" " + whose()

    async def roles(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield str(current_session().claims.get("role")).encode()


def handlers_of(servicer: Any) -> list[Any]:
    single, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    both = grpc.stream_stream_rpc_method_handler
    one = single(servicer.one)
    methods = {
        **dict.fromkeys(("List", "Write", "Pay", "Post", "Hello"), one),
        "Fail": single(servicer.fail),
        "Abort": single(servicer.abort),
        "Feed": stream(servicer.feed),
        "Count": stream(servicer.count),
        "Flood": stream(servicer.flood),
        "FailLate": stream(servicer.fail_late),
        "AbortLate": stream(servicer.abort_late),
        "Greetings": stream(servicer.count),
        "Collect": grpc.stream_unary_rpc_method_handler(servicer.collect),
        "Chat": both(servicer.chat),
        "Roles": both(servicer.roles),
    }
    public = {"Fail": methods["Fail"], "FailLate": methods["FailLate"]}
    return [
        grpc.method_handlers_generic_handler("shop.Orders", methods),
        grpc.method_handlers_generic_handler("shop.Public", public),
    ]


@dataclass
class Running:
    """A running server."""

    channel: grpc.Channel
    port: int
    servicer: Any
    sessions: Any
    close_sessions: Callable[[], None]

    @property
    def watched(self) -> int:
        return len(self.sessions._flows.memory.near.followers)


def listen(server: Any, tls: Any) -> int:
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, tls) if tls else server.add_insecure_port(address)
    assert isinstance(port, int)
    return port


@contextlib.contextmanager
def on_threads(url: str, config: Config, *, tls: Any = None, **options: Any) -> Iterator[Running]:
    servicer = Servicer()
    with SessionManager.from_url(url, config) as sessions:
        guard = SessionInterceptor(sessions, needs=NEEDS, public=PUBLIC, **options)
        with ThreadPoolExecutor(8) as pool:
            server = grpc.server(pool, interceptors=[guard])
            server.add_generic_rpc_handlers(handlers_of(servicer))
            port = listen(server, tls)
            server.start()
            try:
                with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                    yield Running(channel, port, servicer, sessions, sessions.close)
            finally:
                servicer.released.set()
                server.stop(None).wait(HANGING)


@contextlib.contextmanager
def on_loop(url: str, config: Config, *, tls: Any = None, **options: Any) -> Iterator[Running]:
    servicer = AsyncServicer()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(HANGING)

    async def start() -> tuple[AsyncSessionManager, grpc.aio.Server, int]:
        sessions = AsyncSessionManager.from_url(url, config)
        guard = AsyncSessionInterceptor(sessions, needs=NEEDS, public=PUBLIC, **options)
        server = grpc.aio.server(interceptors=[guard])
        server.add_generic_rpc_handlers(handlers_of(servicer))
        port = listen(server, tls)
        await server.start()
        return sessions, server, port

    sessions, server, port = run(start())
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Running(channel, port, servicer, sessions, lambda: run(sessions.close()))
    finally:
        run(server.stop(None))
        run(sessions.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(HANGING)
        loop.close()


SERVERS = {"threads": on_threads, "loop": on_loop}


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def call(running: Running, method: str, *metadata: tuple[str, str], request: bytes = b"-") -> bytes:
    name = method if method.startswith("/") else f"/shop.Orders/{method}"
    found = running.channel.unary_unary(name)(request, metadata=metadata, timeout=HANGING)
    assert isinstance(found, bytes)
    return found


def stream(running: Running, method: str, *metadata: tuple[str, str], request: bytes = b"-") -> Any:
    name = method if method.startswith("/") else f"/shop.Orders/{method}"
    return running.channel.unary_stream(name)(request, metadata=metadata, timeout=HANGING)


def trailing(error: Any) -> dict[str, str]:
    return dict(error.trailing_metadata())


def refused(function: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as refusal:
        function()
    return refusal.value


def comes_true(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + HANGING
    while not condition():
        if time.monotonic() > until:
            return False
        threading.Event().wait(0.01)
    return True


def has_no_threads() -> bool:
    return not any(each.name.startswith("clusterpass-grpc") for each in threading.enumerate())


class Requests:
    """Requests that a client sends one by one."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[bytes | None] = []

    def send(self, request: bytes | None) -> None:
        with self._condition:
            self._waiting.append(request)
            self._condition.notify()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._condition:
                assert self._condition.wait_for(lambda: self._waiting, HANGING)
                request = self._waiting.pop(0)
            if request is None:
                return
            yield request
