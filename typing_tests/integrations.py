"""The integrations as their users write them: read by the type checkers, never run."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, assert_type

from aiohttp import web
from fastapi import FastAPI, Security, WebSocket
from fastapi.responses import StreamingResponse
from flask import Flask, Response as FlaskResponse
from litestar import Litestar, get
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent as LitestarEvents
from quart import Quart, Response as QuartResponse

from clusterpass import AsyncSessionManager, Session, SessionManager, TokenPair
from clusterpass.integrations import aiohttp, fastapi, flask, litestar, quart
from clusterpass.integrations.fastapi import ServerSentEvent
from clusterpass.testing import LoginAs, SimulatedClock


def in_flask() -> Flask:
    app = Flask(__name__)
    cp = flask.ClusterPass(app)
    app.register_blueprint(cp.blueprint(), url_prefix="/auth")

    @cp.user_loader
    def load(session: Session) -> str:
        return session.subject

    @app.post("/login")
    def log_in() -> FlaskResponse:
        return cp.log_in("alice", claims={"scope": "orders:read"}, target="/")

    @app.get("/orders/<int:number>")
    @flask.session_required(scope=["orders:read"], max_auth_age=300)
    def order(number: int) -> dict[str, str | int]:
        assert_type(flask.current_session, Session)
        assert_type(flask.current_session.subject, str)
        return {"of": flask.current_session.subject, "number": number}

    assert_type(order(1), dict[str, str | int])
    assert_type(cp.sessions, SessionManager)
    return app


async def source() -> AsyncIterator[str | ServerSentEvent]:
    yield "one order"
    yield ServerSentEvent("2", event="count")


def in_fastapi() -> FastAPI:
    cp = fastapi.ClusterPass.from_env(cookie_secure=False)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)

    def check(username: str, password: str) -> dict[str, Any] | None:
        return {"subject": username} if len(password) > 7 else None

    app.include_router(cp.router(authenticate=check), prefix="/auth")

    @app.get("/orders")
    async def orders(
        session: Annotated[Session, Security(cp.session, scopes=["orders:read"])],
    ) -> str:
        return session.subject

    @app.websocket("/ws")
    async def socket(
        websocket: WebSocket, session: Annotated[Session, Security(cp.session)]
    ) -> None:
        async with cp.attached(websocket, session):
            await websocket.receive_text()

    @app.get("/news")
    async def news(session: Annotated[Session, Security(cp.session)]) -> StreamingResponse:
        return cp.event_stream(session, source(), scopes=["orders:read"])

    assert_type(cp.sessions, AsyncSessionManager)
    return app


def in_litestar() -> Litestar:
    cp = litestar.ClusterPass(store_url="embedded://")

    @get("/orders", guards=[litestar.requires("orders:read")])
    async def orders(session: NamedDependency[Session]) -> dict[str, str]:
        return {"of": session.subject}

    async def texts() -> AsyncIterator[str]:
        yield "one order"

    @get("/news")
    async def news(session: NamedDependency[Session]) -> LitestarEvents:
        return cp.event_stream(session, texts())

    return Litestar([orders, news], plugins=[cp])


def in_aiohttp() -> web.Application:
    cp = aiohttp.ClusterPass(store_url="embedded://")
    app = web.Application()
    cp.install(app)

    @aiohttp.session_required(scope="orders:read")
    async def orders(request: web.Request) -> web.Response:
        assert_type(aiohttp.current_session(request), Session)
        return web.json_response({"of": aiohttp.current_session(request).subject})

    @aiohttp.session_required()
    async def news(request: web.Request) -> web.StreamResponse:
        return await cp.event_stream(request, aiohttp.current_session(request), source())

    app.router.add_get("/orders", orders)
    app.router.add_get("/news", news)
    return app


def in_quart() -> Quart:
    app = Quart(__name__)
    cp = quart.ClusterPass(app)

    @app.post("/login")
    async def log_in() -> QuartResponse:
        return await cp.log_in("alice")

    @app.get("/orders")
    @quart.session_required(scope="orders:read")
    async def orders() -> dict[str, str]:
        return {"of": quart.current_session.subject}

    @app.get("/news")
    @quart.session_required()
    async def news() -> QuartResponse:
        return cp.event_stream(source())

    assert_type(cp.sessions, AsyncSessionManager)
    return app


def in_tests(cp_login_as: LoginAs, cp_clock: SimulatedClock, client: object) -> None:
    assert_type(cp_login_as(client, "alice", cookies=True, claims={"scope": "x"}), TokenPair)
    cp_clock.advance(60, minutes=5)
    assert_type(cp_clock.now.timestamp(), float)
