"""A small application in every framework but Django, over session managers that answer as
they are told, and clients that ask them in this process."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from clusterpass import Ended, Session, TokenExpired, TokenMalformed, TokenPair
from clusterpass.web.settings import WebSettings

from .gate_scene import CONFIG, CSRF, PAIR, REFRESH, SESSION

COOKIES = WebSettings(cookie_secure=False).cookies
FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}
OWN = {"sec-fetch-site": "same-origin"}
WITH_CSRF = {**OWN, "x-csrf-token": CSRF}


def cookies(access: str = "good") -> dict[str, str]:
    """The header that a browser sends whose access token is ``good`` or ``over``."""
    return {"cookie": f"{COOKIES.access.name}={access}; {COOKIES.refresh.name}={REFRESH}"}


class Sessions:
    """A SessionManager that knows one session, and notes what it was asked."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.asked: list[tuple[str, Any]] = []

    def verify(self, token: str, **_: Any) -> Session:
        self.asked.append(("verify", token))
        if token == "over":
            raise TokenExpired
        if token not in {"good", PAIR.access_token}:
            raise TokenMalformed
        return SESSION

    def refresh(self, token: str, **_: Any) -> TokenPair:
        self.asked.append(("refresh", token))
        return PAIR

    def login(self, subject: str, **_: Any) -> TokenPair:
        self.asked.append(("login", subject))
        return PAIR

    def login_failed(self, subject: str, **_: Any) -> None:
        self.asked.append(("login_failed", subject))

    def logout(self, token: str, **_: Any) -> Ended:
        self.asked.append(("logout", token))
        return Ended(1, True)

    def revoke(self, subject: str, session_id: str) -> Ended:
        self.asked.append(("revoke", session_id))
        return Ended(1, True)

    def revoke_all(self, subject: str) -> Ended:
        self.asked.append(("revoke_all", subject))
        return Ended(1, True)

    def sessions(self, _: str) -> list[Session]:
        return [SESSION]

    def recall(self, _: str) -> None:
        return None

    def of(self, verb: str) -> list[Any]:
        """Return the calls by ``verb``."""
        return [asked for found, asked in self.asked if found == verb]


class AsyncSessions:
    """An AsyncSessionManager over the same."""

    def __init__(self, inner: Sessions) -> None:
        self.config, self.recall = inner.config, inner.recall
        self._inner = inner

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def ask(*arguments: Any, **options: Any) -> Any:
            return getattr(self._inner, verb)(*arguments, **options)

        return ask

    async def close(self) -> None:
        """Nothing is open."""


class Reply(NamedTuple):
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Awaitable[Reply]]


def made(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Reply:
    return Reply(status, [(name.lower(), value) for name, value in headers], body)


class App:
    """A running application."""

    def __init__(self, sessions: Sessions, ask: Ask) -> None:
        self.sessions = sessions
        self._ask = ask

    async def __call__(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        return await self._ask(method, path, headers or {}, body)


def asgi(app: Any) -> Ask:
    """Ask an ASGI application."""

    async def ask(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
            reply = await client.request(method, path, headers=headers, content=body)
            return made(reply.status_code, reply.headers.multi_items(), reply.content)

    return ask


def check(username: str, password: str) -> str | None:
    return username if password == "pw" else None


def flask_app(sessions: Sessions, settings: dict[str, Any]) -> Ask:
    from flask import Flask, request

    from clusterpass.integrations.flask import ClusterPass, session_required

    app, cp = Flask("shop"), ClusterPass(**settings)
    cp.init_app(app, sessions)  # type: ignore[arg-type]
    app.register_blueprint(cp.blueprint(), url_prefix="/auth")

    @app.get("/page")
    @session_required()
    def page() -> str:
        return "page"

    @app.post("/form")
    @session_required()
    def form() -> dict[str, str]:
        return dict(request.form)

    async def ask(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        with app.test_client(use_cookies=False) as client:
            reply = client.open(
                path,
                method=method,
                headers=headers,
                data=body,
                base_url="http://shop.example",
            )
            return made(reply.status_code, reply.headers.items(), reply.data)

    return ask


def quart_app(sessions: Sessions, settings: dict[str, Any]) -> Ask:
    from quart import Quart, request

    from clusterpass.integrations.quart import ClusterPass, session_required

    app, cp = Quart("shop"), ClusterPass(**settings)
    cp.init_app(app, AsyncSessions(sessions))  # type: ignore[arg-type]
    app.register_blueprint(cp.blueprint(), url_prefix="/auth")

    @app.get("/page")
    @session_required()
    async def page() -> str:
        return "page"

    @app.post("/form")
    @session_required()
    async def form() -> dict[str, str]:
        return dict(await request.form)

    return asgi(app)


def starlette_app(sessions: Sessions, settings: dict[str, Any]) -> Ask:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    from clusterpass.integrations.starlette import ClusterPass

    cp = ClusterPass(AsyncSessions(sessions), **settings)  # type: ignore[arg-type]

    @cp.requires()
    async def page(_: Request) -> Response:
        return Response("page")

    @cp.requires()
    async def form(request: Request) -> Response:
        async with request.form() as sent:
            return JSONResponse({name: str(value) for name, value in sent.items()})

    @cp.requires()
    async def raw(request: Request) -> Response:
        return Response(b"".join([chunk async for chunk in request.stream()]))

    app = Starlette(
        routes=[
            Route("/page", page),
            Route("/form", form, methods=["POST"]),
            Route("/raw", raw, methods=["POST"]),
        ]
    )
    cp.install(app)
    return asgi(app)


def fastapi_app(sessions: Sessions, settings: dict[str, Any]) -> Ask:
    from typing import Annotated

    from fastapi import Depends, FastAPI, Form, Request, Response, Security

    from clusterpass.integrations.fastapi import ClusterPass

    authenticate = settings.pop("authenticate", check)
    cp = ClusterPass(AsyncSessions(sessions), **settings)  # type: ignore[arg-type]
    app = FastAPI()
    cp.install(app)
    app.include_router(cp.router(authenticate=authenticate, throttle=False), prefix="/auth")
    dependencies = [Depends(cp.session)]

    @app.get("/page", dependencies=dependencies)
    async def page() -> str:
        return "page"

    @app.get("/twice", dependencies=[*dependencies, Security(cp.session, scopes=["orders:read"])])
    async def twice() -> str:
        return "page"

    @app.post("/form", dependencies=dependencies)
    async def form(request: Request) -> dict[str, str]:
        async with request.form() as sent:
            return {name: str(value) for name, value in sent.items()}

    @app.post("/fields", dependencies=dependencies)
    async def fields(text: Annotated[str, Form()]) -> dict[str, str]:
        return {"text": text}

    @app.post("/raw", dependencies=dependencies)
    async def raw(request: Request) -> Response:
        return Response(b"".join([chunk async for chunk in request.stream()]))

    return asgi(app)


def litestar_app(sessions: Sessions, settings: dict[str, Any]) -> Ask:
    from litestar import Litestar, Request, Router, get, post

    from clusterpass.integrations.litestar import ClusterPass, requires

    authenticate = settings.pop("authenticate", check)
    cp = ClusterPass(AsyncSessions(sessions), **settings)  # type: ignore[arg-type]

    @get("/page", guards=[requires()])
    async def page() -> str:
        return "page"

    @get("/twice", guards=[requires("orders:read")])
    async def twice() -> str:
        return "page"

    @post("/form", guards=[requires()], status_code=200)
    async def form(request: Request[Any, Any, Any]) -> dict[str, str]:
        return {name: str(value) for name, value in (await request.form()).items()}

    layer = Router("/", guards=[requires()], route_handlers=[twice])
    router = cp.router("/auth", authenticate=authenticate, throttle=False)
    return asgi(Litestar([page, layer, form, router], plugins=[cp]))


def aiohttp_app(sessions: Sessions, settings: dict[str, Any]) -> web.Application:
    from clusterpass.integrations.aiohttp import ClusterPass, session_required

    cp = ClusterPass(AsyncSessions(sessions), **settings)  # type: ignore[arg-type]
    app = web.Application()
    cp.install(app)

    @session_required()
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="page")

    @session_required()
    async def form(request: web.Request) -> web.Response:
        return web.json_response({name: str(each) for name, each in (await request.post()).items()})

    app.add_routes([web.get("/page", page), web.post("/form", form), *cp.routes("/auth")])
    return app


MAKERS: dict[str, Callable[[Sessions, dict[str, Any]], Any]] = {
    "flask": flask_app,
    "quart": quart_app,
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "aiohttp": aiohttp_app,
}
WITH_ROUTES = tuple(name for name in MAKERS if name != "starlette")
"""Those that have the routes of a session: Starlette has none of its own."""


_made: dict[str, App] = {}
"""The applications with the usual settings: to build one takes longer than most tests of it."""


@asynccontextmanager
async def running(name: str, **settings: Any) -> AsyncIterator[App]:
    """The application in the framework of a name; nothing was asked of its sessions yet."""
    if not settings and (app := _made.get(name)):
        app.sessions.asked.clear()
        yield app
        return
    sessions = Sessions()
    app = MAKERS[name](sessions, {"cookie_secure": False, **settings})
    if not isinstance(app, web.Application):
        made_one = App(sessions, app)
        if not settings:
            _made[name] = made_one
        yield made_one
        return
    async with TestClient(TestServer(app), cookie_jar=DummyCookieJar()) as client:

        async def ask(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
            sent = {"host": "shop.example", **headers}
            async with client.request(
                method, path, headers=sent, data=body or None, allow_redirects=False
            ) as reply:
                return made(reply.status, reply.headers.items(), await reply.read())

        yield App(sessions, ask)
