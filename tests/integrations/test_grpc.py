"""Real gRPC servers, on threads and on an event loop; clients call all kinds of methods."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from clusterpass import (
    AsyncSessionManager,
    Config,
    ConfigurationError,
    EmbeddedCluster,
    InvalidCredentials,
    LoginOvertaken,
    ScopeMissing,
    Session,
    SessionChange,
    SessionManager,
    SessionRevoked,
    StoreFailed,
    StoreUnavailable,
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
from clusterpass.integrations.grpc_calls import Call, Rules
from clusterpass.testing import SimulatedClock
from clusterpass.web.gate import NO_NEEDS

from ..cluster.store_faults.test_tls import write_authority
from ..ports import free_port

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
    """The same methods on an event loop."""

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


@pytest.fixture(params=SERVERS)
def running(
    request: pytest.FixtureRequest, cp_url: str, cp_config: Config, cp_clock: SimulatedClock
) -> Iterator[Running]:
    with SERVERS[request.param](cp_url, cp_config) as server:
        yield server


@pytest.fixture
def cp_config(cp_config: Config) -> Config:
    return Config(issuer=cp_config.issuer, keys=cp_config.keys, levels=("pwd", "mfa"))


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


def test_all_kinds_of_methods_know_their_session(running, cp_sessions) -> None:
    alice, bob = (bearer(cp_sessions.login(each).access_token) for each in ("alice", "bob"))
    assert call(running, "List", *alice) == b"alice"
    assert call(running, "List", *bob) == b"bob"
    assert list(stream(running, "Count", *alice)) == [b"0 alice", b"1 alice", b"2 alice"]
    collect = running.channel.stream_unary("/shop.Orders/Collect")
    assert collect(iter([b"a", b"b"]), metadata=bob, timeout=HANGING) == b"a+b+bob"
    chat = running.channel.stream_stream("/shop.Orders/Chat")
    assert list(chat(iter([b"a", b"b"]), metadata=alice, timeout=HANGING)) == [
        b"a alice",
        b"b alice",
    ]
    assert comes_true(lambda: running.watched == 0), "a stream that is over is not watched"


@pytest.mark.parametrize(
    ("metadata", "status", "error"),
    [
        ((), "UNAUTHENTICATED", "token_missing"),
        ((("authorization", "Basic x"),), "UNAUTHENTICATED", "token_missing"),
        ((("authorization", "Bearer "),), "UNAUTHENTICATED", "token_malformed"),
        (bearer("x.y.z"), "UNAUTHENTICATED", "token_malformed"),
        ((*bearer("a"), *bearer("b")), "INVALID_ARGUMENT", "invalid_input"),
    ],
)
def test_every_kind_of_method_refuses_a_call_without_a_token_of_use(
    running, metadata, status, error
) -> None:
    channel, options = running.channel, {"metadata": metadata, "timeout": HANGING}
    calls = [
        lambda: channel.unary_unary("/shop.Orders/List")(b"-", **options),
        lambda: list(channel.unary_stream("/shop.Orders/Count")(b"-", **options)),
        lambda: channel.stream_unary("/shop.Orders/Collect")(iter([b"-"]), **options),
        lambda: list(channel.stream_stream("/shop.Orders/Chat")(iter([b"-"]), **options)),
    ]
    for each in calls:
        refusal = refused(each)
        assert refusal.code().name == status
        found = trailing(refusal)
        assert found["clusterpass-error"] == error
        assert found.get("www-authenticate", "").startswith("Bearer") == (status[0] == "U")


def test_a_session_that_has_ended_is_refused_with_the_reason(running, cp_sessions) -> None:
    pair = cp_sessions.login("alice")
    cp_sessions.revoke("alice", pair.session_id, reason="stolen")
    refusal = refused(lambda: call(running, "List", *bearer(pair.access_token)))
    assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "stolen" in refusal.details()
    found = trailing(refusal)
    assert (found["clusterpass-error"], found["clusterpass-reason"]) == (
        "session_revoked",
        "revoked",
    )
    assert 'error="invalid_token"' in found["www-authenticate"]


def test_a_token_that_has_expired_is_refused(running, cp_sessions, cp_clock) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    assert call(running, "List", *metadata) == b"alice"
    cp_clock.advance(minutes=16)
    assert trailing(refused(lambda: call(running, "List", *metadata)))["clusterpass-error"] == (
        "token_expired"
    )


def test_what_a_method_requires(running, cp_sessions, cp_clock) -> None:
    pair = cp_sessions.login("alice", claims={"scope": "orders:read"})
    metadata = bearer(pair.access_token)
    no_scope = refused(lambda: call(running, "Write", *metadata))
    assert no_scope.code() is grpc.StatusCode.PERMISSION_DENIED
    assert 'scope="orders:write"' in trailing(no_scope)["www-authenticate"]
    cp_sessions.claims.set("alice", {"scope": "orders:*"})
    assert comes_true(lambda: granted(running, "Write", metadata)), "live claims count"

    step_up = refused(lambda: call(running, "Pay", *metadata))
    assert step_up.code() is grpc.StatusCode.UNAUTHENTICATED
    assert trailing(step_up)["clusterpass-error"] == "step_up_required"
    assert 'acr_values="mfa"' in trailing(step_up)["www-authenticate"]
    stronger = cp_sessions.login("alice", acr="mfa")
    assert call(running, "Pay", *bearer(stronger.access_token)) == b"alice"
    cp_clock.advance(minutes=6)
    old = refused(lambda: call(running, "Pay", *bearer(stronger.access_token)))
    assert "max_age=300" in trailing(old)["www-authenticate"]

    assert call(running, "Post", *metadata) == b"alice"
    cp_sessions.bans.add("alice", scope="posting")
    banned = refused(lambda: call(running, "Post", *metadata))
    assert banned.code() is grpc.StatusCode.PERMISSION_DENIED
    assert trailing(banned)["clusterpass-error"] == "subject_banned"


def granted(running: Running, method: str, metadata: tuple[tuple[str, str], ...]) -> bool:
    with contextlib.suppress(grpc.RpcError):
        call(running, method, *metadata)
        return True
    return False


def test_a_public_method_has_no_session(running, cp_sessions) -> None:
    """The method runs, and asks for a session that it does not have, even with a token."""
    metadata = bearer(cp_sessions.login("alice").access_token)
    assert call(running, "List", *metadata) == b"alice"
    for _ in range(10):  # whichever thread of the pool answers
        refusal = refused(lambda: call(running, "Hello", *metadata))
        assert trailing(refusal)["clusterpass-error"] == "token_missing"
    refusal = refused(lambda: list(stream(running, "Greetings")))
    assert trailing(refusal)["clusterpass-error"] == "token_missing"


def test_a_method_that_does_not_exist_is_unimplemented(running) -> None:
    assert refused(lambda: call(running, "Nothing")).code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["shop.Orders", "shop.Public"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_error_in_a_handler_becomes_a_status(running, cp_sessions, service, is_stream) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    expected = {
        "not_found": "NOT_FOUND",
        "exists": "ALREADY_EXISTS",
        "overtaken": "ABORTED",
        "bans": "RESOURCE_EXHAUSTED",
        "sessions": "RESOURCE_EXHAUSTED",
        "attempts": "RESOURCE_EXHAUSTED",
        "failed": "INTERNAL",
        "password": "UNAUTHENTICATED",
        "café": "PERMISSION_DENIED",
    }
    assert expected.keys() == ERRORS.keys()
    for name, status in expected.items():
        if is_stream:
            found = stream(running, f"/{service}/FailLate", *metadata, request=name.encode())
            assert next(found) == b"first"
            refusal = refused(lambda: next(found))  # noqa: B023 - called at once
        else:
            method, request = f"/{service}/Fail", name.encode()
            refusal = refused(lambda: call(running, method, *metadata, request=request))  # noqa: B023
        assert refusal.code().name == status, name
        assert trailing(refusal)["clusterpass-error"] == ERRORS[name].code
        assert "only the log" not in refusal.details()
        if name == "attempts":
            assert trailing(refusal)["retry-after"] == "7"
        if not is_stream:
            assert trailing(refusal)["of-handler"] == "kept"


def test_a_handler_may_abort_by_itself(running, cp_sessions) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    refusal = refused(lambda: call(running, "Abort", *metadata))
    assert (refusal.code().name, refusal.details()) == ("OUT_OF_RANGE", "of the handler")
    found = stream(running, "AbortLate", *metadata)
    assert next(found) == b"first"
    refusal = refused(lambda: next(found))
    assert (refusal.code().name, refusal.details()) == ("OUT_OF_RANGE", "of the handler")


@pytest.mark.parametrize("server", SERVERS)
def test_an_outage_is_no_failure_to_authenticate(server, cp_sessions, cp_config) -> None:
    metadata = bearer(cp_sessions.login("alice").access_token)
    nowhere = f"redis://127.0.0.1:{free_port()}?namespace=cp-test-nowhere"
    with SERVERS[server](nowhere, cp_config) as running:
        refusal = refused(lambda: call(running, "List", *metadata))
        assert refusal.code() is grpc.StatusCode.UNAVAILABLE
        assert trailing(refusal)["clusterpass-error"] == "store_unavailable"
        assert "www-authenticate" not in trailing(refusal)
        assert trailing(refusal)["retry-after"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("in_outage", ["stay", "close"])
def test_a_stream_stays_open_in_an_outage_unless_it_is_to_be_closed(
    server, in_outage, config, subject
) -> None:
    with EmbeddedCluster(nodes=1) as lonely, SessionManager.from_url(lonely.url, config) as own:
        pair = own.login(subject, claims={"role": "reader"})
        with SERVERS[server](lonely.url, config, in_outage=in_outage) as running:
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
    with SERVERS[server](cluster_url, config) as running:
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


SESSION = Session("alice", "s" * 22, None, 1, 1, 2, claims={"scope": "orders:read"}, acr="mfa")


def test_a_stream_is_judged_by_what_becomes_of_its_session() -> None:
    call, needs = Call(SESSION), requires("orders:read")
    outage, end = StoreUnavailable(), SessionRevoked(reason="revoked", ended_at=1)
    silent = SessionChange("unavailable", SESSION, outage)
    assert call.judge(silent, needs, "stay") is None
    assert call.judge(silent, needs, "close") is outage
    assert call.judge(SessionChange("available", SESSION), needs, "close") is None
    assert call.judge(SessionChange("ended", SESSION, end), needs, "stay") is end
    poorer = Session("alice", "s" * 22, None, 1, 0, 0, claims={"role": "guest"})
    assert call.judge(SessionChange("changed", poorer), NO_NEEDS, "stay") is None
    assert (call.session.claims, call.session.acr) == ({"role": "guest"}, "mfa")
    assert isinstance(call.judge(SessionChange("changed", poorer), needs, "stay"), ScopeMissing)


def test_the_most_specific_rule_counts() -> None:
    every, service, method = requires("a"), requires("b"), requires("c")
    rules = Rules(
        {"/*": every, "/shop.Orders/*": service, "/shop.Orders/Pay": method},
        ["/shop.Orders/Hello", "/grpc.health.v1.Health/*"],
        "stay",
    )
    assert rules.of("/shop.Orders/Pay") is method
    assert rules.of("/shop.Orders/List") is service
    assert rules.of("/shop.Orders/Hello") is None
    assert rules.of("/grpc.health.v1.Health/Check") is None
    assert rules.of("/grpc.health.v1.Healthy/Check") is every
    assert Rules({}, (), "stay").of("/shop.Orders/List") is NO_NEEDS


@pytest.mark.parametrize(
    ("needs", "public", "in_outage"),
    [
        ({"shop.Orders/List": NO_NEEDS}, (), "stay"),
        ({"/shop.Orders": NO_NEEDS}, (), "stay"),
        ({"/shop.Orders/Li*": NO_NEEDS}, (), "stay"),
        ({"/shop.Orders/List": NO_NEEDS}, ("/shop.Orders/List",), "stay"),
        ({}, ("/*",), "stay"),
        ({}, ("Health",), "stay"),
        ({}, "/grpc.health.v1.Health/*", "stay"),
        ({}, (), "leave"),
    ],
)
def test_a_list_that_may_not_mean_what_it_says_is_rejected(needs, public, in_outage) -> None:
    with pytest.raises(ConfigurationError):
        Rules(needs, public, in_outage)
