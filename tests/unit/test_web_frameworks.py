"""Applications in each framework over a scripted session manager: guards, refresh, routes."""

import asyncio
import json
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from flask import Flask
from litestar import Litestar, WebSocket, get, websocket
from litestar.di import NamedDependency
from quart import Quart

from clusterpass import ConfigurationError, InvalidCredentials, Session, TokenMissing
from clusterpass.integrations import aiohttp, flask, litestar, quart, starlette
from clusterpass.integrations.grants import ask_application

from .gate_scene import CONFIG, CSRF, REFRESH, SESSION_TEXT
from .web_apps import (
    FORM,
    JSON,
    MAKERS,
    OWN,
    WITH_CSRF,
    WITH_ROUTES,
    AsyncSessions,
    Sessions,
    cookies,
    running,
)

EVERY = pytest.mark.parametrize("name", MAKERS)
ROUTED = pytest.mark.parametrize("name", WITH_ROUTES)


@EVERY
async def test_a_request_exchanges_a_refresh_token_once(name: str) -> None:
    paths = ["/page"]
    if name in WITH_ROUTES:
        paths.append("/auth/devices")
    if name in {"fastapi", "litestar"}:  # what is judged for the router, and for the route
        paths.append("/twice")
    async with running(name) as app:
        for path in paths:
            app.sessions.asked.clear()
            reply = await app("GET", path, cookies("over"))
            assert reply.status == 200
            assert app.sessions.of("refresh") == [REFRESH]
            assert sum(header == "set-cookie" for header, _ in reply.headers) == 3


@EVERY
async def test_the_history_is_told_the_address_of_the_client(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    async with running(name) as app:
        plain = app.sessions.refresh

        def refresh(token: str, **about: Any) -> Any:
            told.append(about)
            return plain(token)

        monkeypatch.setattr(app.sessions, "refresh", refresh)
        assert (await app("GET", "/page", cookies("over"))).status == 200
    assert told == [{"address": "127.0.0.1"}]


@EVERY
async def test_a_guard_that_says_no_more_needs_a_live_session_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    async with running(name) as app:
        plain = app.sessions.verify

        def verify(token: str, **needs: Any) -> Session:
            told.append(needs)
            return plain(token)

        monkeypatch.setattr(app.sessions, "verify", verify)
        assert (await app("GET", "/page", cookies())).status == 200
    assert told == [{}]


@ROUTED
async def test_a_request_that_changes_something_exchanges_it_once(name: str) -> None:
    path = f"/auth/devices/{SESSION_TEXT}"
    async with running(name) as app:
        reply = await app("DELETE", path, {**cookies("over"), **WITH_CSRF})
        assert reply.status == 200
        assert app.sessions.of("refresh") == [REFRESH]
        assert app.sessions.of("revoke") == [SESSION_TEXT]
        app.sessions.asked.clear()
        assert (await app("DELETE", path, {**cookies("over"), **OWN})).status == 403
        assert app.sessions.of("refresh") == []


@ROUTED
async def test_each_route_answers_alike(name: str) -> None:
    async with running(name) as app:
        answers = [
            await app(method, f"/auth{path}", {**cookies(), **WITH_CSRF})
            for method, path in (
                ("POST", "/refresh"),
                ("POST", "/logout"),
                ("POST", "/logout-all"),
                ("GET", "/devices"),
                ("DELETE", f"/devices/{SESSION_TEXT}"),
            )
        ]
        assert [answer.status for answer in answers] == [200, 204, 200, 200, 200]
        assert [bool(answer.body) for answer in answers] == [True, False, True, True, True]
        app.sessions.asked.clear()
        for path in ("/auth/logout", "/auth/logout-all"):
            for token, status in ((CSRF, 303), ("wrong", 403), ("", 403)):
                body = f"csrf_token={token}".encode()
                answer = await app("POST", path, {**cookies(), **OWN, **FORM}, body)
                assert (path, answer.status) == (path, status)
        assert len(app.sessions.of("logout")) == len(app.sessions.of("revoke_all")) == 1


@pytest.mark.parametrize("framework", ["flask", "quart"])
async def test_an_application_without_the_extension_is_told_what_to_call(framework: str) -> None:
    with pytest.raises(ConfigurationError, match="init_app"):
        if framework == "flask":
            with Flask("shop").test_request_context():
                bool(flask.current_session)
        else:
            async with Quart("shop").test_request_context("/"):
                bool(quart.current_session)


@pytest.mark.parametrize("framework", ["flask", "quart"])
async def test_an_application_that_the_extension_is_given_at_once_is_initialised(
    framework: str,
) -> None:
    settings: Any = {"store_url": "redis://x", "issuer": "https://a.example", "keys": CONFIG.keys}
    if framework == "flask":
        app = Flask("shop")
        flask.ClusterPass(app, **settings)
        with app.test_request_context():
            assert not flask.current_session
        return
    shop = Quart("shop")
    quart.ClusterPass(shop, **settings)
    async with shop.test_request_context("/"):
        await shop.preprocess_request()
        assert not quart.current_session


def decorated_by_flask(view: Any) -> Any:
    return flask.session_required(scope=view)(view)


def decorated_by_quart(view: Any) -> Any:
    return quart.session_required(scope=view)(view)


def decorated_by_aiohttp(view: Any) -> Any:
    return aiohttp.session_required(scope=view)(view)


def decorated_by_starlette(view: Any) -> Any:
    return starlette.ClusterPass(AsyncSessions(Sessions()), cookie_secure=False).requires(view)


def guarded_by_litestar(view: Any) -> Any:
    return litestar.requires(view, view)


@pytest.mark.parametrize(
    "decorate",
    [
        decorated_by_flask,
        decorated_by_quart,
        decorated_by_aiohttp,
        decorated_by_starlette,
        guarded_by_litestar,
    ],
)
def test_a_decorator_that_is_given_a_view_for_a_scope_refuses_it(decorate: Any) -> None:
    async def view(_: Any) -> str:
        return "secret"

    with pytest.raises(ConfigurationError, match="with parentheses"):
        decorate(view)


@pytest.mark.parametrize("kind", ["request", "socket"])
def test_litestar_does_not_start_with_a_guard_without_parentheses(kind: str) -> None:
    @get("/secret", guards=[litestar.requires])
    async def secret() -> str:
        return "secret"

    @websocket("/socket", guards=[litestar.requires])
    async def secrets(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()

    cp = litestar.ClusterPass(AsyncSessions(Sessions()), cookie_secure=False)
    with pytest.raises(ConfigurationError, match="parentheses"):
        Litestar([{"request": secret, "socket": secrets}[kind]], plugins=[cp])


class Checker:
    """Checks passwords, and notes whether an event loop ran around it and what its context was."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, str]] = []

    def plainly(self, username: str, password: str) -> str | None:
        self.note()
        return username if password == "pw" else None

    def by_a_coroutine_of_a_function(self, username: str, password: str) -> Awaitable[str | None]:
        self.note()
        return self.check(username, password)

    async def check(self, username: str, password: str) -> str | None:
        self.note()
        return username if password == "pw" else None

    async def __call__(self, username: str, password: str) -> str | None:
        return await self.check(username, password)

    def note(self) -> None:
        try:
            asyncio.get_running_loop()
            self.seen.append((True, CONTEXT.get()))
        except RuntimeError:
            self.seen.append((False, CONTEXT.get()))


CONTEXT = ContextVar("CONTEXT", default="none")


@pytest.mark.parametrize(
    ("function", "on_the_loop"),
    [
        ("plainly", [False]),
        ("check", [True]),
        ("__call__", [True]),
        ("partial", [True]),
        ("by_a_coroutine_of_a_function", [False, True]),
    ],
)
async def test_a_plain_function_checks_passwords_beside_the_event_loop(
    function: str, on_the_loop: list[bool]
) -> None:
    checker = Checker()
    asked: Any = {"__call__": checker, "partial": partial(checker.check)}.get(function)
    CONTEXT.set("of the request")
    noted: list[str] = []

    async def note(code: str) -> None:
        noted.append(code)

    check = asked or getattr(checker, function)
    assert await ask_application(check, "alice", "pw", note) == {"subject": "alice"}
    assert checker.seen == [(each, "of the request") for each in on_the_loop]
    assert noted == []
    with pytest.raises(InvalidCredentials):
        await ask_application(check, "alice", "wrong", note)
    assert noted == ["invalid_credentials"]


@pytest.mark.parametrize(
    "granted", [True, 5, ["alice"], {"claims": {"scope": "a"}}, {"subject": None}]
)
async def test_what_a_check_of_passwords_returns_by_mistake_is_named(granted: Any) -> None:
    async def note(code: str) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match="authenticate must return None, a subject, or options"):
        await ask_application(lambda username, password: granted, "alice", "pw", note)


@pytest.mark.parametrize("name", ["fastapi", "litestar"])
async def test_a_login_stalls_no_other_request(name: str) -> None:
    checker = Checker()
    async with running(name, authenticate=checker.plainly) as app:
        for password, status in (("pw", 200), ("wrong", 401)):
            body = json.dumps({"username": "alice", "password": password}).encode()
            reply = await app("POST", "/auth/login", JSON, body)
            assert reply.status == status
        assert [on_the_loop for on_the_loop, _ in checker.seen] == [False, False]
        assert app.sessions.of("login") == app.sessions.of("login_failed") == ["alice"]


async def test_a_socket_of_litestar_that_was_accepted_all_the_same_is_closed_as_usual() -> None:
    cp = litestar.ClusterPass(AsyncSessions(Sessions()), cookie_secure=False)

    @websocket("/socket")
    async def anyone(socket: WebSocket[Any, Any, Any]) -> None:
        with suppress(TokenMissing):
            await cp.admit(socket)
        if socket.query_params.get("accept"):
            await socket.accept()
        await socket.close(4000, "bye")

    app = Litestar([anyone], plugins=[cp])
    accepted = await types_sent_to_a_socket(app, b"accept=1")
    assert accepted == ["websocket.accept", "websocket.close"]
    refused = await types_sent_to_a_socket(app, b"")
    assert refused == ["websocket.http.response.start", "websocket.http.response.body"]


async def types_sent_to_a_socket(app: Any, query: bytes) -> list[str]:
    """What a server that can refuse a handshake with a response is told to send."""
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/socket",
        "raw_path": b"/socket",
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"shop.example")],
        "client": ("192.0.2.7", 1),
        "server": ("shop.example", 80),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    types: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        types.append(message["type"])

    await app(scope, receive, send)
    return types


def test_litestar_describes_which_scopes_a_handler_needs() -> None:
    @get("/orders", guards=[litestar.requires("orders:read", "orders:write")])
    async def orders() -> str:
        return "orders"

    @get(["/account", "/me"])
    async def account(session: NamedDependency[Session]) -> str:
        return session.subject

    @get("/")
    async def home() -> str:
        return "home"

    cp = litestar.ClusterPass(AsyncSessions(Sessions()), cookie_secure=False)
    schema = Litestar([orders, account, home], plugins=[cp]).openapi_schema.to_schema()
    (scheme,) = schema["components"]["securitySchemes"]
    told = {path: item["get"].get("security") for path, item in schema["paths"].items()}
    assert told == {
        "/orders": [{scheme: ["orders:read", "orders:write"]}],
        "/account": [{scheme: []}],
        "/me": [{scheme: []}],
        "/": None,
    }
