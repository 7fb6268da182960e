"""Responses of server-sent events: HEAD requests, clients that leave, errors of the source."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from litestar import Litestar, Request as LitestarRequest, route
from litestar.response import ServerSentEvent
from quart import Quart, Response as QuartResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clusterpass import AsyncSessionManager
from clusterpass.integrations import aiohttp, litestar, quart, starlette, streams
from clusterpass.integrations.quart_requests import current_visit

from .manager_scene import CONFIG
from .test_watch_iteration import SESSION, Reading, readings

HANGING = 30.0


class Source:
    """Events that begin and never end."""

    def __init__(self) -> None:
        self.begun = 0
        self.closed = asyncio.Event()

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> str:
        self.begun += 1
        if self.begun > 1:
            await asyncio.Event().wait()
        return "news"

    async def aclose(self) -> None:
        self.closed.set()


@pytest.fixture
async def sessions() -> AsyncIterator[AsyncSessionManager]:
    async with AsyncSessionManager(Reading(), CONFIG) as manager:
        readings(manager, [SESSION])
        yield manager


@pytest.fixture
def source() -> Source:
    return Source()


def starlette_app(sessions: AsyncSessionManager, source: Source) -> Any:
    cp = starlette.ClusterPass(sessions)

    async def news(_: Request) -> Response:
        return cp.event_stream(SESSION, source)

    return Starlette(routes=[Route("/", news)])


def litestar_app(sessions: AsyncSessionManager, source: Source) -> Any:
    cp = litestar.ClusterPass(sessions)

    @route("/", http_method=["GET", "HEAD"])
    async def news(request: LitestarRequest[Any, Any, Any]) -> ServerSentEvent:
        return cp.event_stream(SESSION, source)

    return Litestar([news], openapi_config=None)


def quart_app(sessions: AsyncSessionManager, source: Source) -> Any:
    app, cp = Quart("news"), quart.ClusterPass(store_url="redis://x", issuer="i", keys=CONFIG.keys)
    cp.init_app(app, sessions)

    @app.get("/")
    async def news() -> QuartResponse:
        current_visit().session = SESSION
        return cp.event_stream(source)

    @app.get("/bytes")
    async def as_bytes() -> QuartResponse:
        current_visit().session = SESSION
        return QuartResponse(cp.while_live(source), mimetype="text/event-stream")

    return app


async def answer_of(app: Any, method: str, path: str, most: int) -> tuple[dict[str, str], bytes]:
    """The headers and the body; the client leaves when it has ``most`` bytes."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"news.example")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    request, left = [{"type": "http.request", "body": b"", "more_body": False}], asyncio.Event()
    headers: dict[str, str] = {}
    body = b""

    async def receive() -> dict[str, Any]:
        if request:
            return request.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal body
        for name, value in message.get("headers", ()):
            headers[name.decode().lower()] = value.decode()
        body += message.get("body", b"")
        if len(body) >= most or message.get("more_body") is False:
            left.set()

    async with asyncio.timeout(HANGING):
        await app(scope, receive, send)
    return headers, body


APPS = [
    (starlette_app, "/"),
    (litestar_app, "/"),
    (quart_app, "/"),
    (quart_app, "/bytes"),
]


@pytest.mark.parametrize(("make", "path"), APPS)
async def test_a_head_request_is_answered_by_headers_and_ends(sessions, source, make, path):
    headers, body = await answer_of(make(sessions, source), "HEAD", path, 1)
    assert headers["content-type"].startswith("text/event-stream")
    if path == "/":
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
    assert "content-length" not in headers
    assert (body, source.begun) == (b"", 0)
    assert source.closed.is_set()


@pytest.mark.parametrize(("make", "path"), APPS)
async def test_a_get_request_is_answered_by_events_until_it_is_left(sessions, source, make, path):
    most = len("news") if path == "/bytes" else len(": keep-alive\n\ndata: news\n\n")
    headers, body = await answer_of(make(sessions, source), "GET", path, most)
    assert b"news" in body
    if path == "/":
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
    async with asyncio.timeout(HANGING):
        await source.closed.wait()


class Served:
    """An aiohttp application whose one resource is a stream, and a connection to it."""

    def __init__(self) -> None:
        self.failures: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def ask(self, method: str) -> bytes:
        """The head of the answer."""
        self.writer.write(f"{method} / HTTP/1.1\r\nHost: news.example\r\n\r\n".encode())
        async with asyncio.timeout(HANGING):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def failure(self) -> BaseException | None:
        """Return the exception of the next handler that ends."""
        async with asyncio.timeout(HANGING):
            return await self.failures.get()


@asynccontextmanager
async def served(
    sessions: AsyncSessionManager, events: AsyncIterator[str]
) -> AsyncIterator[Served]:
    cp, found = aiohttp.ClusterPass(sessions), Served()

    async def news(request: web.Request) -> web.StreamResponse:
        try:
            response = await cp.event_stream(request, SESSION, events, keep_alive=0.01)
        except Exception as error:
            found.failures.put_nowait(error)
            raise
        found.failures.put_nowait(None)
        return response

    app = web.Application()
    app.router.add_get("/", news)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.reader, found.writer = await asyncio.open_connection(*runner.addresses[0][:2])
        yield found
        found.writer.close()
    finally:
        await runner.cleanup()


async def test_aiohttp_answers_a_head_request_by_headers_and_ends(sessions, source):
    async with served(sessions, source) as server:
        for _ in range(2):  # bytes of a body would be read as the beginning of the second answer
            head = await server.ask("HEAD")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"text/event-stream" in head
            assert b"Cache-Control: no-store\r\n" in head
            assert b"X-Accel-Buffering: no\r\n" in head
            assert await server.failure() is None
        assert source.begun == 0
        assert source.closed.is_set()


async def test_aiohttp_ends_the_stream_of_a_client_that_has_left(sessions, source):
    async with served(sessions, source) as server:
        await server.ask("GET")
        server.writer.close()
        assert await server.failure() is None
        assert source.closed.is_set()


@pytest.mark.parametrize("kind", [ConnectionResetError, BrokenPipeError, LookupError])
async def test_an_error_of_the_source_is_not_taken_for_the_clients_leaving(sessions, kind):
    async def failing() -> AsyncIterator[str]:
        yield "news"
        raise kind("of the application")

    async with served(sessions, failing()) as server:
        await server.ask("GET")
        assert repr(await server.failure()) == repr(kind("of the application"))


async def test_a_source_whose_session_has_ended_may_clean_up(monkeypatch):
    did, is_read = [], asyncio.Event()

    async def news() -> AsyncIterator[str]:
        try:
            yield "news"
            is_read.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            did.append("cleaned up")

    @asynccontextmanager
    async def attached(_: Any, __: Any, end: Any, **___: Any) -> AsyncIterator[Any]:
        reading, found = asyncio.current_task(), SimpleNamespace(closed_with=None)

        async def revoke() -> None:
            await is_read.wait()
            found.closed_with = 4401
            await end(4401, "revoked")
            reading.cancel()

        async with asyncio.TaskGroup() as group:
            group.create_task(revoke())
            yield found

    monkeypatch.setattr(streams, "attached", attached)
    live = streams.while_live(None, SESSION, news(), last=lambda end: end.reason)
    async with asyncio.timeout(HANGING):
        async for event in live:
            did.append(event)
            await asyncio.sleep(0.01)  # sending takes a while
    assert did == ["news", "revoked", "cleaned up"]
