"""The same WebSocket and the same stream in each framework."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any

from aiohttp import web
from fastapi import FastAPI, Security, WebSocket
from litestar import Litestar, WebSocket as LitestarSocket, get, websocket
from litestar.di import NamedDependency
from litestar.response import Stream
from quart import Quart, Response, websocket as quart_websocket
from starlette.responses import StreamingResponse

from clusterpass import Session
from clusterpass.integrations import aiohttp, fastapi, litestar, quart

from .conftest import aiohttp_server, asgi_server

Server = Callable[[Any], AbstractContextManager[int]]
STREAM = "text/event-stream"


async def numbers(sessions: Any) -> AsyncIterator[str]:
    yield "data: begun\n\n"
    await sessions.ping()
    await asyncio.Event().wait()
    yield "data: never\n\n"


def in_fastapi(left: list[str], settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = fastapi.ClusterPass(**settings)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        session = await cp.admit(websocket)
        await websocket.accept()
        async with cp.attached(websocket, session, scopes=["chat"]) as attached:
            while True:
                text = await websocket.receive_text()
                await websocket.send_text(f"{text} {attached.session.claims['role']}")
        left.append(session.subject)

    @app.get("/stream")
    async def stream(session: Annotated[Session, Security(cp.session)]) -> StreamingResponse:
        return StreamingResponse(cp.while_live(session, numbers(cp.sessions)), media_type=STREAM)

    return app, asgi_server


def in_aiohttp(left: list[str], settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = aiohttp.ClusterPass(**settings)
    app = web.Application()
    cp.install(app)

    @aiohttp.session_required()
    async def echo(request: web.Request) -> web.WebSocketResponse:
        session = aiohttp.current_session(request)
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async with cp.attached(websocket, session, scopes=["chat"]) as attached:
            async for message in websocket:
                await websocket.send_str(f"{message.data} {attached.session.claims['role']}")
        left.append(session.subject)
        return websocket

    @aiohttp.session_required()
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": STREAM})
        await response.prepare(request)
        async for event in cp.while_live(aiohttp.current_session(request), numbers(cp.sessions)):
            await response.write(event.encode())
        return response

    app.add_routes([web.get("/echo", echo), web.get("/stream", stream)])
    return app, aiohttp_server


def in_litestar(left: list[str], settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = litestar.ClusterPass(**settings)

    @websocket("/echo", guards=[litestar.requires()])
    async def echo(socket: LitestarSocket, session: NamedDependency[Session]) -> None:
        await socket.accept()
        async with cp.attached(socket, session, scopes=["chat"]) as attached:
            while True:
                text = await socket.receive_text()
                await socket.send_text(f"{text} {attached.session.claims['role']}")
        left.append(session.subject)

    @get("/stream")
    async def stream(session: NamedDependency[Session]) -> Stream:
        return Stream(cp.while_live(session, numbers(cp.sessions)), media_type=STREAM)

    return Litestar([echo, stream], plugins=[cp]), asgi_server


def in_quart(left: list[str], settings: dict[str, Any]) -> tuple[Any, Server]:
    app = Quart("sockets")
    cp = quart.ClusterPass(app, **settings)

    @app.websocket("/echo")
    @quart.session_required()
    async def echo() -> None:
        await quart_websocket.accept()
        async with cp.attached(scopes=["chat"]) as attached:
            while True:
                text = await quart_websocket.receive()
                await quart_websocket.send(f"{text} {attached.session.claims['role']}")
        left.append(quart.current_session.subject)

    @app.get("/stream")
    @quart.session_required()
    async def stream() -> Response:
        response = Response(cp.while_live(numbers(cp.sessions)), mimetype=STREAM)
        response.timeout = None
        return response

    return app, asgi_server


APPS = {
    "fastapi": in_fastapi,
    "aiohttp": in_aiohttp,
    "litestar": in_litestar,
    "quart": in_quart,
}
