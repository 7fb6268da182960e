"""A WebSocket and streams in each framework, all alike."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any

from aiohttp import web
from fastapi import FastAPI, Security, WebSocket
from fastapi.sse import EventSourceResponse, ServerSentEvent
from litestar import Litestar, WebSocket as LitestarSocket, get, websocket
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent as ServerSentEvents, Stream
from quart import Quart, Response, websocket as quart_websocket
from starlette.responses import StreamingResponse

from clusterpass import Session
from clusterpass.integrations import aiohttp, fastapi, litestar, quart
from clusterpass.integrations.streams import StreamEnd

from .conftest import aiohttp_server, asgi_server

Server = Callable[[Any], AbstractContextManager[int]]
STREAM = "text/event-stream"
CHAT: Any = {"scopes": ["chat"], "not_banned": "chat"}
EVENTS: Any = {**CHAT, "in_outage": "close", "keep_alive": 0.1}


class Seen:
    """Events of the applications that no client sees."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.closed = 0
        self.watched: Callable[[], int] = lambda: 0

    async def letters(self, sessions: Any) -> AsyncIterator[str]:
        """The source of a stream of server-sent events."""
        self.watched = lambda: len(sessions._flows.memory.near.followers)
        try:
            yield "a\nb"
            await asyncio.Event().wait()
        finally:
            self.closed += 1


async def numbers(sessions: Any) -> AsyncIterator[str]:
    yield "data: begun\n\n"
    await sessions.ping()
    await asyncio.Event().wait()
    yield "data: never\n\n"


def last_of_fastapi(end: StreamEnd) -> ServerSentEvent:
    return ServerSentEvent(raw_data=end.data, event=end.event, retry=end.retry)


def in_fastapi(seen: Seen, settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = fastapi.ClusterPass(**settings)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        session = await cp.admit(websocket)
        await websocket.accept()
        async with cp.attached(websocket, session, **CHAT) as attached:
            while True:
                text = await websocket.receive_text()
                await websocket.send_text(f"{text} {attached.session.claims['role']}")
        seen.left.append(session.subject)

    @app.get("/stream")
    async def stream(session: Annotated[Session, Security(cp.session)]) -> StreamingResponse:
        return StreamingResponse(cp.while_live(session, numbers(cp.sessions)), media_type=STREAM)

    @app.get("/events")
    async def events(session: Annotated[Session, Security(cp.session)]) -> StreamingResponse:
        letters = seen.letters(cp.sessions)
        return cp.event_stream(session, letters, **EVENTS)

    @app.get("/yielded", response_class=EventSourceResponse)
    async def yielded(
        session: Annotated[Session, Security(cp.session)],
    ) -> AsyncIterator[ServerSentEvent]:
        made = (ServerSentEvent(raw_data=each) async for each in seen.letters(cp.sessions))
        async for event in cp.while_live(session, made, **CHAT, last=last_of_fastapi):
            yield event

    return app, asgi_server


def in_aiohttp(seen: Seen, settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = aiohttp.ClusterPass(**settings)
    app = web.Application()
    cp.install(app)

    @aiohttp.session_required()
    async def echo(request: web.Request) -> web.WebSocketResponse:
        session = aiohttp.current_session(request)
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async with cp.attached(websocket, session, **CHAT) as attached:
            async for message in websocket:
                await websocket.send_str(f"{message.data} {attached.session.claims['role']}")
        seen.left.append(session.subject)
        return websocket

    @aiohttp.session_required()
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": STREAM})
        await response.prepare(request)
        async for event in cp.while_live(aiohttp.current_session(request), numbers(cp.sessions)):
            await response.write(event.encode())
        return response

    @aiohttp.session_required()
    async def events(request: web.Request) -> web.StreamResponse:
        session, letters = aiohttp.current_session(request), seen.letters(cp.sessions)
        return await cp.event_stream(request, session, letters, **EVENTS)

    paths = {"/echo": echo, "/stream": stream, "/events": events}
    app.add_routes([web.get(path, handler) for path, handler in paths.items()])
    return app, aiohttp_server


def in_litestar(seen: Seen, settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = litestar.ClusterPass(**settings)

    @websocket("/echo", guards=[litestar.requires()])
    async def echo(socket: LitestarSocket, session: NamedDependency[Session]) -> None:
        await socket.accept()
        async with cp.attached(socket, session, **CHAT) as attached:
            while True:
                text = await socket.receive_text()
                await socket.send_text(f"{text} {attached.session.claims['role']}")
        seen.left.append(session.subject)

    @get("/stream")
    async def stream(session: NamedDependency[Session]) -> Stream:
        return Stream(cp.while_live(session, numbers(cp.sessions)), media_type=STREAM)

    @get("/events")
    async def events(session: NamedDependency[Session]) -> ServerSentEvents:
        return cp.event_stream(session, seen.letters(cp.sessions), **EVENTS)

    return Litestar([echo, stream, events], plugins=[cp]), asgi_server


def in_quart(seen: Seen, settings: dict[str, Any]) -> tuple[Any, Server]:
    app = Quart("sockets")
    cp = quart.ClusterPass(app, **settings)

    @app.websocket("/echo")
    @quart.session_required()
    async def echo() -> None:
        await quart_websocket.accept()
        async with cp.attached(**CHAT) as attached:
            while True:
                text = await quart_websocket.receive()
                await quart_websocket.send(f"{text} {attached.session.claims['role']}")
        seen.left.append(quart.current_session.subject)

    @app.get("/stream")
    @quart.session_required()
    async def stream() -> Response:
        response = Response(cp.while_live(numbers(cp.sessions)), mimetype=STREAM)
        response.timeout = None
        return response

    @app.get("/events")
    @quart.session_required()
    async def events() -> Response:
        return cp.event_stream(seen.letters(cp.sessions), **EVENTS)

    return app, asgi_server


APPS = {
    "fastapi": in_fastapi,
    "aiohttp": in_aiohttp,
    "litestar": in_litestar,
    "quart": in_quart,
}
