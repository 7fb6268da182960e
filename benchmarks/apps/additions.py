"""Routes that the checks add to the shops: ``POST /pay``, and a WebSocket at ``/echo``.

``/pay`` requires a recent login by the means of the library: a login within the last ``RECENT``
seconds, or a fresh token. ``/echo`` is a WebSocket that only logged-in users can open. A library
that cannot require a recent login gets no ``/pay``, and a framework over WSGI gets no ``/echo``.
"""

from collections.abc import Callable
from typing import Any, Final

RECENT: Final = 2
PAID: Final = "paid"


def to_flask(names: dict[str, Any]) -> None:
    """ClusterPass on Flask."""
    from clusterpass.integrations.flask import session_required

    names["app"].post("/pay")(session_required(max_auth_age=RECENT)(lambda: PAID))


def to_flask_jwt_extended(names: dict[str, Any]) -> None:
    """Flask-JWT-Extended has fresh tokens."""
    from flask_jwt_extended import jwt_required

    names["app"].post("/pay")(jwt_required(fresh=True)(lambda: PAID))


def to_django(names: dict[str, Any]) -> None:
    """ClusterPass on Django."""
    from django.http import HttpResponse
    from django.urls import path

    from clusterpass.integrations.django import session_required

    pay = session_required(max_auth_age=RECENT)(lambda _: HttpResponse(PAID))
    names["urlpatterns"].append(path("pay", pay))


def to_fastapi(names: dict[str, Any]) -> None:
    """ClusterPass on FastAPI."""
    from fastapi import FastAPI, Security, WebSocket

    app: FastAPI = names["app"]
    cp = names["cp"]

    @app.post("/pay", dependencies=[Security(cp.session_with(max_auth_age=RECENT))])
    async def pay() -> str:
        return PAID

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        session = await cp.admit(websocket)
        await websocket.accept()
        async with cp.attached(websocket, session):
            while True:
                await websocket.send_text(await websocket.receive_text())


def to_fastapi_users(names: dict[str, Any]) -> None:
    """Nothing in fastapi-users knows sockets: the token is read when one opens."""
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    app: FastAPI = names["app"]

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        token = websocket.headers["authorization"].removeprefix("Bearer ")
        async with names["make_db"]() as db:
            manager = names["UserManager"](names["Users"]())
            user = await names["get_strategy"](db).read_token(token, manager)
        if user is None:
            await websocket.close(1008)
            return
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect:
            return


def to_aiohttp(names: dict[str, Any]) -> None:
    """ClusterPass on aiohttp."""
    from aiohttp import web

    from clusterpass.integrations.aiohttp import current_session, session_required

    @session_required(max_auth_age=RECENT)
    async def pay(_: web.Request) -> web.Response:
        return web.Response(text=PAID)

    @session_required()
    async def echo(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async with names["cp"].attached(websocket, current_session(request)):
            async for message in websocket:
                await websocket.send_str(message.data)
        return websocket

    names["app"].add_routes([web.post("/pay", pay), web.get("/echo", echo)])


def to_litestar(names: dict[str, Any]) -> None:
    """ClusterPass on Litestar."""
    from litestar import WebSocket, post, websocket
    from litestar.di import NamedDependency

    from clusterpass import Session
    from clusterpass.integrations.litestar import requires

    @post("/pay", guards=[requires(max_auth_age=RECENT)], status_code=200)
    async def pay() -> str:
        return PAID

    @websocket("/echo", guards=[requires()])
    async def echo(socket: WebSocket[Any, Any, Any], session: NamedDependency[Session]) -> None:
        await socket.accept()
        async with names["cp"].attached(socket, session):
            while True:
                await socket.send_text(await socket.receive_text())

    names["app"].register(pay)
    names["app"].register(echo)


def to_quart(names: dict[str, Any]) -> None:
    """ClusterPass on Quart."""
    from quart import Quart, websocket

    from clusterpass.integrations.quart import session_required

    app: Quart = names["app"]
    cp = names["cp"]

    @app.post("/pay")
    @session_required(max_auth_age=RECENT)
    async def pay() -> str:
        return PAID

    @app.websocket("/echo")
    @session_required()
    async def echo() -> None:
        await websocket.accept()
        async with cp.attached():
            while True:
                await websocket.send(await websocket.receive())


ADDITIONS: dict[str, Callable[[dict[str, Any]], None]] = {
    "flask_shop": to_flask,
    "flask_jwt_extended_shop": to_flask_jwt_extended,
    "django_shop": to_django,
    "fastapi_shop": to_fastapi,
    "fastapi_users_shop": to_fastapi_users,
    "aiohttp_shop": to_aiohttp,
    "litestar_shop": to_litestar,
    "quart_shop": to_quart,
}
