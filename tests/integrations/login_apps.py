"""A login in each framework, which counts attempts before the password is checked.

``POST /end`` ends the sessions of a user for whoever has a session.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from aiohttp import web
from fastapi import Depends, FastAPI
from flask import Flask, abort as abort_in_flask, request as flask_request
from litestar import Litestar, Request as LitestarRequest, post as litestar_post
from quart import Quart, abort as abort_in_quart, request as quart_request
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clusterpass.integrations import aiohttp, fastapi, flask, litestar, quart, starlette

from .conftest import aiohttp_server, asgi_server, wsgi_server

Server = Callable[[Any], AbstractContextManager[int]]


def check(username: str, password: str) -> str | None:
    return username if password == "pw" else None


def in_flask(settings: dict[str, Any]) -> tuple[Any, Server]:
    app = Flask("login")
    cp = flask.ClusterPass(app, **settings)

    @app.post("/login")
    def login() -> Any:
        form = flask_request.get_json()
        cp.count_attempt(form["username"])
        if check(**form) is None:
            cp.login_failed(form["username"])
            abort_in_flask(401)
        return cp.log_in(form["username"])

    @app.post("/end")
    @flask.session_required()
    def end() -> Any:
        with cp.acting():
            cp.sessions.revoke_all(flask_request.get_json()["username"])
        return {}

    return app, wsgi_server


def in_quart(settings: dict[str, Any]) -> tuple[Any, Server]:
    app = Quart("login")
    cp = quart.ClusterPass(app, **settings)

    @app.post("/login")
    async def login() -> Any:
        form = await quart_request.get_json()
        await cp.count_attempt(form["username"])
        if check(**form) is None:
            await cp.login_failed(form["username"])
            abort_in_quart(401)
        return await cp.log_in(form["username"])

    @app.post("/end")
    @quart.session_required()
    async def end() -> Any:
        with cp.acting():
            await cp.sessions.revoke_all((await quart_request.get_json())["username"])
        return {}

    return app, asgi_server


def in_starlette(settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = starlette.ClusterPass(**settings)

    async def login(request: Request) -> Response:
        form = await request.json()
        await cp.count_attempt(request, form["username"])
        if check(**form) is None:
            await cp.login_failed(request, form["username"])
            return Response(status_code=401)
        return await cp.log_in(request, form["username"])

    @cp.requires()
    async def end(request: Request) -> Response:
        with cp.acting(request):
            await cp.sessions.revoke_all((await request.json())["username"])
        return Response()

    routes = [Route("/login", login, methods=["POST"]), Route("/end", end, methods=["POST"])]
    app = Starlette(routes=routes, lifespan=cp.lifespan)
    cp.install(app)
    return app, asgi_server


def in_fastapi(settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = fastapi.ClusterPass(**settings)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)
    app.include_router(cp.router(authenticate=check))
    app.include_router(cp.router(authenticate=check, throttle=False), prefix="/unlimited")

    @app.post("/end", dependencies=[Depends(cp.session)])
    async def end(request: Request) -> None:
        with cp.acting(request):
            await cp.sessions.revoke_all((await request.json())["username"])

    return app, asgi_server


def in_litestar(settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = litestar.ClusterPass(**settings)
    unlimited = cp.router("/unlimited", authenticate=check, throttle=False)

    @litestar_post("/end", guards=[litestar.requires()], status_code=200)
    async def end(request: LitestarRequest[Any, Any, Any]) -> None:
        with cp.acting(request):
            await cp.sessions.revoke_all((await request.json())["username"])

    routers = [cp.router("/", authenticate=check), unlimited, end]
    return Litestar(routers, plugins=[cp]), asgi_server


def in_aiohttp(settings: dict[str, Any]) -> tuple[Any, Server]:
    cp, app = aiohttp.ClusterPass(**settings), web.Application()
    cp.install(app)

    async def login(request: web.Request) -> web.Response:
        form = await request.json()
        await cp.count_attempt(request, form["username"])
        if check(**form) is None:
            await cp.login_failed(request, form["username"])
            raise web.HTTPUnauthorized
        return await cp.log_in(request, form["username"])

    @aiohttp.session_required()
    async def end(request: web.Request) -> web.Response:
        with cp.acting(request):
            await cp.sessions.revoke_all((await request.json())["username"])
        return web.Response()

    app.add_routes([web.post("/login", login), web.post("/end", end)])
    return app, aiohttp_server


APPS: dict[str, Callable[[dict[str, Any]], tuple[Any, Server]]] = {
    "flask": in_flask,
    "quart": in_quart,
    "starlette": in_starlette,
    "fastapi": in_fastapi,
    "litestar": in_litestar,
    "aiohttp": in_aiohttp,
}
