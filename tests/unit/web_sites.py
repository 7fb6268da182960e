"""A site in each framework, asked in this process; its sessions are those of a script."""

from types import SimpleNamespace
from typing import Any

from aiohttp import web
from fastapi import Depends, FastAPI
from flask import Flask
from litestar import Litestar, Request as LitestarRequest, get, post
from litestar.response import Response as LitestarResponse
from quart import Quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from clusterpass import Config, KeyRing, Session, TokenMalformed, TokenPair
from clusterpass.integrations import aiohttp, fastapi, flask, litestar, quart, starlette

from .web_asked import Ask, asked_by_aiohttp, asked_by_asgi, asked_by_wsgi

CONFIG = Config(issuer="https://shop.example", keys=KeyRing.generate())
SESSION_ID = "A" * 22
PAIR = TokenPair("new", "new-refresh", 900, SESSION_ID, "alice", durable=True,
                 session_expires_in=600)  # fmt: skip
OWNERS = {"good": "alice", "mine": "mallory"}
"""Whose session an access token is of."""


class Sessions:
    """A session manager that knows :data:`OWNERS`, and notes whom it opens sessions of."""

    config = CONFIG
    store = SimpleNamespace(location=None)

    def __init__(self) -> None:
        self.opened: list[str] = []

    def verify(self, token: str, **_: Any) -> Session:
        if token not in OWNERS:
            raise TokenMalformed
        return Session(OWNERS[token], SESSION_ID, None, 1, 2, 3)

    def login(self, subject: str, **_: Any) -> TokenPair:
        self.opened.append(subject)
        return PAIR

    def refresh(self, _: str, **__: Any) -> TokenPair:
        return PAIR

    def recall(self, _: str) -> None:
        return None


class AsyncSessions(Sessions):
    """Sessions of a script, for event loops."""

    async def verify(self, token: str, **options: Any) -> Session:  # type: ignore[override]
        return super().verify(token, **options)

    async def login(self, subject: str, **options: Any) -> TokenPair:  # type: ignore[override]
        return super().login(subject, **options)


def in_flask(sessions: Any, settings: dict[str, Any]) -> Ask:
    app, cp = Flask("site"), flask.ClusterPass(**settings)
    cp.init_app(app, sessions)
    who = flask.session_required()(lambda: flask.current_session.subject)
    app.add_url_rule("/page", "page", who)
    app.add_url_rule("/change", "change", who, methods=["POST"])
    app.add_url_rule("/socket", "socket", who, websocket=True)
    app.add_url_rule("/login", "login", lambda: cp.log_in("mallory"), methods=["POST"])
    app.add_url_rule("/again", "again", lambda: cp.respond(PAIR), methods=["POST"])
    sso: Any = lambda: cp.log_in("alice", target="/", allow_cross_site=True)  # noqa: E731
    app.add_url_rule("/sso", "sso", sso, methods=["POST"])
    app.add_url_rule("/callback", "callback", lambda: cp.log_in("alice", target="/orders"))
    return asked_by_wsgi(app)


def in_quart(sessions: Any, settings: dict[str, Any]) -> Ask:
    ours = {"store_url": "redis://x", "issuer": CONFIG.issuer, "keys": CONFIG.keys}
    app, cp = Quart("site"), quart.ClusterPass(**ours, **settings)
    cp.init_app(app, sessions)

    @quart.session_required()
    async def who() -> str:
        return quart.current_session.subject

    async def login() -> Any:
        return await cp.log_in("mallory")

    async def again() -> Any:
        return cp.respond(PAIR)

    async def sso() -> Any:
        return await cp.log_in("alice", target="/", allow_cross_site=True)

    async def callback() -> Any:
        return await cp.log_in("alice", target="/orders")

    app.add_url_rule("/page", "page", who)
    app.add_url_rule("/change", "change", who, methods=["POST"])
    for view in (login, again, sso):
        app.add_url_rule(f"/{view.__name__}", view.__name__, view, methods=["POST"])
    app.add_url_rule("/callback", "callback", callback)
    return asked_by_asgi(app)


def logins_of_starlette(cp: starlette.ClusterPass) -> list[Route]:
    async def login(request: Request) -> Response:
        return await cp.log_in(request, "mallory")

    async def again(request: Request) -> Response:
        return cp.deliver(request, PAIR)

    async def sso(request: Request) -> Response:
        return await cp.log_in(request, "alice", target="/", allow_cross_site=True)

    async def callback(request: Request) -> Response:
        return await cp.log_in(request, "alice", target="/orders")

    return [
        Route("/login", login, methods=["POST"]),
        Route("/again", again, methods=["POST"]),
        Route("/sso", sso, methods=["POST"]),
        Route("/callback", callback),
    ]


def in_starlette(sessions: Any, settings: dict[str, Any]) -> Ask:
    cp = starlette.ClusterPass(sessions, **settings)

    @cp.requires()
    async def who(request: Request) -> Response:
        return PlainTextResponse(request.state.session.subject)

    pages = [Route("/page", who), Route("/change", who, methods=["POST"])]
    app = Starlette(routes=[*pages, *logins_of_starlette(cp)])
    cp.install(app)
    return asked_by_asgi(app)


def in_fastapi(sessions: Any, settings: dict[str, Any]) -> Ask:
    cp = fastapi.ClusterPass(sessions, **settings)
    app = FastAPI(routes=logins_of_starlette(cp))
    cp.install(app)

    @app.get("/page")
    @app.post("/change")
    async def who(session: Session = Depends(cp.session)) -> Response:  # noqa: B008
        return PlainTextResponse(session.subject)

    app.include_router(cp.router(authenticate=lambda name, _: name, throttle=False), prefix="/auth")
    return asked_by_asgi(app)


def in_litestar(sessions: Any, settings: dict[str, Any]) -> Ask:
    cp = litestar.ClusterPass(sessions, **settings)
    Visitor = LitestarRequest[Any, Any, Any]

    @get("/page", guards=[litestar.requires()])
    async def page(request: Visitor) -> str:
        session = litestar.visit_of(request).session
        assert session is not None
        return session.subject

    @post("/change", guards=[litestar.requires()])
    async def change() -> str:
        return "changed"

    @post("/login", status_code=200)
    async def login(request: Visitor) -> LitestarResponse[Any]:
        return await cp.log_in(request, "mallory")

    @post("/again", status_code=200)
    async def again(request: Visitor) -> LitestarResponse[Any]:
        return cp.deliver(request, PAIR)

    @post("/sso", status_code=200)
    async def sso(request: Visitor) -> LitestarResponse[Any]:
        return await cp.log_in(request, "alice", target="/", allow_cross_site=True)

    @get("/callback")
    async def callback(request: Visitor) -> LitestarResponse[Any]:
        return await cp.log_in(request, "alice", target="/orders")

    routes = [page, change, login, again, sso, callback]
    ours = cp.router("/auth", authenticate=lambda name, _: name, throttle=False)
    return asked_by_asgi(Litestar([*routes, ours], plugins=[cp], openapi_config=None))


def in_aiohttp(sessions: Any, settings: dict[str, Any]) -> Ask:
    def make() -> web.Application:
        cp, app = aiohttp.ClusterPass(sessions, **settings), web.Application()
        cp.install(app)

        @aiohttp.session_required()
        async def who(request: web.Request) -> web.Response:
            return web.Response(text=aiohttp.current_session(request).subject)

        async def login(request: web.Request) -> web.Response:
            return await cp.log_in(request, "mallory")

        async def again(request: web.Request) -> web.Response:
            return cp.deliver(request, PAIR)

        async def sso(request: web.Request) -> web.Response:
            return await cp.log_in(request, "alice", target="/", allow_cross_site=True)

        async def callback(request: web.Request) -> web.Response:
            return await cp.log_in(request, "alice", target="/orders")

        app.add_routes([web.get("/page", who), web.post("/change", who), web.get("/socket", who)])
        app.add_routes([web.post("/login", login), web.post("/again", again)])
        app.add_routes([web.post("/sso", sso), web.get("/callback", callback)])
        return app

    return asked_by_aiohttp(make)


SITES = {
    "flask": in_flask,
    "quart": in_quart,
    "starlette": in_starlette,
    "fastapi": in_fastapi,
    "litestar": in_litestar,
    "aiohttp": in_aiohttp,
}
