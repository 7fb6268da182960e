"""The Starlette and FastAPI integration: middleware, mounted applications, the backend."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Security
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from clusterpass import (
    Config,
    ConfigurationError,
    EmbeddedCluster,
    Session,
    SessionManager,
    StoreUnavailable,
    TokenPair,
)
from clusterpass.integrations import fastapi, starlette

NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def settings(cluster: EmbeddedCluster, config: Config) -> dict[str, Any]:
    return {
        "store_url": cluster.url,
        "issuer": config.issuer,
        "audience": config.audience,
        "keys": config.keys,
        "cookie_secure": False,
    }


@pytest.fixture
def cp(settings: dict[str, Any]) -> starlette.ClusterPass:
    return starlette.ClusterPass(**settings)


@pytest.fixture
def pair(sessions: SessionManager, subject: str) -> TokenPair:
    return sessions.login(subject)


async def who(request: Request) -> Response:
    return PlainTextResponse(f"{request.user.is_authenticated}")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"{websocket.user.is_authenticated}")


def with_backend(cp: starlette.ClusterPass, order: str) -> Starlette:
    routes = [Route("/who", who, methods=["GET", "POST"]), WebSocketRoute("/echo", echo)]
    app = Starlette(routes=routes, lifespan=cp.lifespan)
    if order == "before":
        app.add_middleware(AuthenticationMiddleware, backend=cp.backend())
    cp.install(app)
    if order == "after":
        app.add_middleware(AuthenticationMiddleware, backend=cp.backend())
    return app


ORDERS = pytest.mark.parametrize("order", ["before", "after"])


@ORDERS
def test_what_the_backend_refuses_is_answered(cp, pair, order) -> None:
    with TestClient(with_backend(cp, order)) as client:
        assert client.get("/who").text == "False"
        malformed = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
        twice = client.get("/who", headers=malformed)
        assert (twice.status_code, twice.json()["error"]) == (400, "invalid_input")
        client.cookies.set("clusterpass-access", pair.access_token)
        assert client.get("/who").text == "True"
        forged = client.post("/who")
        assert (forged.status_code, forged.json()["error"]) == (403, "request_refused")
        assert forged.headers["content-type"] == "application/problem+json"


@ORDERS
def test_the_backend_renews_tokens(cp, pair, order) -> None:
    with TestClient(with_backend(cp, order)) as client:
        client.cookies.set("clusterpass-refresh", pair.refresh_token)
        answer = client.get("/who")
        assert (answer.text, answer.headers["cache-control"]) == ("True", "no-store")
        assert "clusterpass-access" in answer.cookies


@ORDERS
def test_a_store_outage_is_no_fault_of_the_application(settings, pair, order) -> None:
    cp = starlette.ClusterPass(**settings | {"store_url": NOWHERE})
    with TestClient(with_backend(cp, order)) as client:
        client.cookies.set("clusterpass-refresh", pair.refresh_token)
        answer = client.get("/who")
        assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
        assert "retry-after" in answer.headers


def test_a_handshake_that_the_backend_refuses_is_answered(cp, pair) -> None:
    with TestClient(with_backend(cp, "after")) as client:
        client.cookies.set("clusterpass-access", pair.access_token)
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            client.websocket_connect("/echo", headers={"Origin": "https://evil.example"}),
        ):
            pytest.fail("the handshake was accepted")
        assert refused.value.status_code == 403
        own = {"Origin": "http://testserver"}
        with client.websocket_connect("/echo", headers=own) as websocket:
            assert websocket.receive_text() == "True"


class Admitting:
    """Middleware of the application that needs a session."""

    def __init__(self, app: ASGIApp, cp: starlette.ClusterPass) -> None:
        self.app, self.cp = app, cp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.cp.admit(HTTPConnection(scope))
        await self.app(scope, receive, send)


@ORDERS
def test_what_middleware_refuses_is_answered(cp, pair, subject, order) -> None:
    async def home(request: Request) -> Response:
        return PlainTextResponse(starlette.visit_of(request).session.subject)

    app = Starlette(routes=[Route("/", home)], lifespan=cp.lifespan)
    if order == "before":
        app.add_middleware(Admitting, cp=cp)
    cp.install(app)
    if order == "after":
        app.add_middleware(Admitting, cp=cp)
    with TestClient(app) as client:
        refused = client.get("/")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        client.cookies.set("clusterpass-refresh", pair.refresh_token)
        assert client.get("/").text == subject


class Failing:
    """Applications that fail after a session was renewed, each with its answer."""

    def __init__(self, cp: starlette.ClusterPass) -> None:
        @cp.requires()
        async def broken(request: Request) -> Response:
            raise LookupError("of the application")

        @cp.requires()
        async def replaced(request: Request) -> Response:
            raise RuntimeError("of the application") from StoreUnavailable(reason="timeout")

        @cp.requires()
        async def answered(request: Request) -> Response:
            async def parts():
                yield b"own "
                yield b"words"

            return StreamingResponse(parts(), status_code=500)

        @cp.requires()
        async def begun(request: Request) -> Response:
            async def parts():
                yield b"begun"
                raise StoreUnavailable(reason="timeout")

            return StreamingResponse(parts())

        paths = {"broken": broken, "replaced": replaced, "answered": answered, "begun": begun}
        routes = [Route(f"/{path}", endpoint) for path, endpoint in paths.items()]
        self.app = Starlette(routes=routes, lifespan=cp.lifespan)
        cp.install(self.app)


@pytest.fixture
def failing(cp: starlette.ClusterPass, pair: TokenPair) -> Iterator[TestClient]:
    with TestClient(Failing(cp).app, raise_server_exceptions=False) as client:
        client.cookies.set("clusterpass-refresh", pair.refresh_token)
        yield client


@pytest.mark.parametrize("path", ["broken", "replaced"])
def test_an_error_of_a_view_is_answered_by_starlette_with_renewed_tokens(failing, path) -> None:
    answer = failing.get(f"/{path}")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert len(answer.headers.get_list("set-cookie")) == 3


@pytest.mark.parametrize(("path", "error"), [("broken", LookupError), ("replaced", RuntimeError)])
def test_an_error_of_a_view_reaches_the_server(cp, pair, path, error) -> None:
    with TestClient(Failing(cp).app) as client:
        client.cookies.set("clusterpass-refresh", pair.refresh_token)
        with pytest.raises(error, match="of the application"):
            client.get(f"/{path}")


def test_a_response_of_the_application_with_status_500_is_left_alone(failing) -> None:
    answer = failing.get("/answered")
    assert (answer.status_code, answer.text) == (500, "own words")
    assert len(answer.headers.get_list("set-cookie")) == 3


async def exchange(app: Starlette, pair: TokenPair, path: str, messages: list[Message]) -> None:
    """Visit ``path``; ``messages``: takes what is sent, which no test client reads."""

    sent: list[Message] = [{"type": "http.request"}]

    async def receive() -> Message:
        if not sent:
            await asyncio.Event().wait()  # the client stays
        return sent.pop()

    async def send(message: Message) -> None:
        messages.append(message)

    token = ("authorization", f"Bearer {pair.access_token}")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [tuple(each.encode() for each in token)],
    }
    await app(scope, receive, send)


async def test_a_response_that_has_begun_is_not_replaced(cp, pair) -> None:
    messages: list[Message] = []
    with pytest.raises((StoreUnavailable, RuntimeError)):
        await exchange(Failing(cp).app, pair, "/begun", messages)
    await cp.close()
    start, *bodies = messages
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert [body["body"] for body in bodies] == [b"begun"]


async def test_a_response_of_the_application_with_status_500_is_sent_at_once(cp, pair) -> None:
    messages: list[Message] = []
    seen: list[str] = []

    async def notify() -> None:
        seen.extend(message["type"] for message in messages)

    @cp.requires()
    async def failed(request: Request) -> Response:
        return Response(status_code=500, background=BackgroundTask(notify))

    app = Starlette(routes=[Route("/", failed)])
    cp.install(app)
    await exchange(app, pair, "/", messages)
    await cp.close()
    assert seen == ["http.response.start", "http.response.body"]


async def through(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


@pytest.mark.parametrize("installed", ["in the outer one", "in both", "around middleware"])
def test_a_mounted_application_is_served_too(settings, pair, subject, installed) -> None:
    cp = fastapi.ClusterPass(**settings)
    main, inner = FastAPI(lifespan=cp.lifespan), FastAPI()
    cp.install(main)
    if installed == "around middleware":
        main.add_middleware(BaseHTTPMiddleware, dispatch=through)
    if installed == "in both":
        cp.install(inner)

    @inner.get("/who")
    async def who(session: Annotated[Session, Security(cp.session)]) -> str:
        return session.subject

    main.mount("/inner", inner)
    with TestClient(main) as client:
        refused = client.get("/inner/who")
        assert (refused.status_code, refused.json()["error"]) == (401, "token_missing")
        client.cookies.set("clusterpass-refresh", pair.refresh_token)
        answer = client.get("/inner/who")
        assert answer.json() == subject
        assert len(answer.headers.get_list("set-cookie")) == 3


def test_what_a_view_of_a_mounted_application_refuses_is_answered(settings, pair) -> None:
    cp = fastapi.ClusterPass(**settings)
    main, inner = FastAPI(lifespan=cp.lifespan), FastAPI()
    cp.install(main)

    @inner.get("/report")
    async def report(session: Annotated[Session, Security(cp.session)]) -> None:
        session.require_scope("report")

    main.mount("/inner", inner)
    with TestClient(main) as client:
        bearer = {"Authorization": f"Bearer {pair.access_token}"}
        refused = client.get("/inner/report", headers=bearer)
        assert (refused.status_code, refused.json()["error"]) == (403, "scope_missing")


def test_an_application_around_ours_sees_what_it_has_mounted(cp) -> None:
    @cp.requires()
    async def home(request: Request) -> Response:
        return PlainTextResponse("home")

    inner = Starlette(routes=[Route("/", home)])
    cp.install(inner)
    with TestClient(Starlette(routes=[Mount("/inner", inner)], lifespan=cp.lifespan)) as client:
        assert client.get("/inner/").status_code == 401


async def test_an_application_that_has_started_is_refused(cp) -> None:
    app = Starlette()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        assert (await client.get("/")).status_code == 404
    with pytest.raises(ConfigurationError, match="before the application starts"):
        cp.install(app)
