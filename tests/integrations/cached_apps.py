"""Two pages in each framework: one that says it may be cached, and one that needs nobody."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any

from aiohttp import web
from fastapi import FastAPI, Security
from flask import Flask, Response as FlaskResponse
from litestar import Litestar, Response as LitestarResponse, get
from quart import Quart, Response as QuartResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clusterpass import Session
from clusterpass.integrations import aiohttp, fastapi, flask, litestar, quart, starlette

from .conftest import aiohttp_server, asgi_server, wsgi_server

PUBLIC = {"Cache-Control": "public, max-age=300", "CDN-Cache-Control": "max-age=300"}
HEADERS = {**PUBLIC, "Vary": "Accept, cookie"}
"""What the application says about caches."""
Server = Callable[[Any], AbstractContextManager[int]]


def in_flask(settings: dict[str, Any]) -> tuple[Any, Server]:
    app = Flask("pages")
    flask.ClusterPass(app, **settings)

    @app.get("/page")
    @flask.session_required()
    def page() -> FlaskResponse:
        return FlaskResponse("page", headers=HEADERS)

    @app.get("/broken")
    @flask.session_required()
    def broken() -> FlaskResponse:
        raise LookupError

    @app.get("/open")
    def anyone() -> FlaskResponse:
        return FlaskResponse("open", headers=HEADERS)

    @app.after_request
    def may_be_cached(response: FlaskResponse) -> FlaskResponse:
        response.headers.update(PUBLIC)
        return response

    return app, wsgi_server


def in_quart(settings: dict[str, Any]) -> tuple[Any, Server]:
    app = Quart("pages")
    quart.ClusterPass(app, **settings)

    @app.get("/page")
    @quart.session_required()
    async def page() -> QuartResponse:
        return QuartResponse("page", headers=HEADERS)

    @app.get("/broken")
    @quart.session_required()
    async def broken() -> QuartResponse:
        raise LookupError

    @app.get("/open")
    async def anyone() -> QuartResponse:
        return QuartResponse("open", headers=HEADERS)

    @app.after_request
    async def may_be_cached(response: Any) -> Any:
        response.headers.update(PUBLIC)
        return response

    return app, asgi_server


def in_starlette(settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = starlette.ClusterPass(**settings)

    @cp.requires()
    async def page(request: Request) -> Response:
        return Response("page", headers=HEADERS)

    @cp.requires()
    async def broken(request: Request) -> Response:
        raise LookupError

    async def anyone(request: Request) -> Response:
        return Response("open", headers=HEADERS)

    paths = {"/page": page, "/broken": broken, "/open": anyone}
    app = Starlette(routes=[Route(*each) for each in paths.items()], lifespan=cp.lifespan)
    cp.install(app)
    return app, asgi_server


def in_fastapi(settings: dict[str, Any]) -> tuple[Any, Server]:
    cp = fastapi.ClusterPass(**settings)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)

    @app.get("/page")
    async def page(session: Annotated[Session, Security(cp.session)]) -> Response:
        return Response("page", headers=HEADERS)

    @app.get("/broken")
    async def broken(session: Annotated[Session, Security(cp.session)]) -> Response:
        raise LookupError

    @app.get("/open")
    async def anyone() -> Response:
        return Response("open", headers=HEADERS)

    return app, asgi_server


def in_litestar(settings: dict[str, Any]) -> tuple[Any, Server]:
    @get("/page", guards=[litestar.requires()])
    async def page() -> LitestarResponse[str]:
        return LitestarResponse("page", headers=HEADERS)

    @get("/broken", guards=[litestar.requires()])
    async def broken() -> None:
        raise LookupError

    @get("/open")
    async def anyone() -> LitestarResponse[str]:
        return LitestarResponse("open", headers=HEADERS)

    cp = litestar.ClusterPass(**settings)
    return Litestar([page, broken, anyone], plugins=[cp]), asgi_server


def in_aiohttp(settings: dict[str, Any]) -> tuple[Any, Server]:
    @aiohttp.session_required()
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="page", headers=HEADERS)

    @aiohttp.session_required()
    async def broken(request: web.Request) -> web.Response:
        raise LookupError

    async def anyone(request: web.Request) -> web.Response:
        return web.Response(text="open", headers=HEADERS)

    app = web.Application()
    aiohttp.ClusterPass(**settings).install(app)
    paths = {"/page": page, "/broken": broken, "/open": anyone}
    app.add_routes([web.get(*each) for each in paths.items()])
    return app, aiohttp_server


APPS: dict[str, Callable[[dict[str, Any]], tuple[Any, Server]]] = {
    "flask": in_flask,
    "quart": in_quart,
    "starlette": in_starlette,
    "fastapi": in_fastapi,
    "litestar": in_litestar,
    "aiohttp": in_aiohttp,
}
