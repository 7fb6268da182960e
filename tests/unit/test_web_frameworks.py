"""What an application in any framework does with a request, over a session manager that answers as
it is told."""

from typing import Any

import pytest
from litestar import Litestar, WebSocket, get, websocket

from clusterpass import ConfigurationError
from clusterpass.integrations import aiohttp, flask, litestar, quart, starlette

from .test_web_gate import REFRESH, SESSION_TEXT
from .web_apps import MAKERS, OWN, WITH_CSRF, WITH_ROUTES, AsyncSessions, Sessions, cookies, running

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
            assert sum(header.lower() == "set-cookie" for header, _ in reply.headers) == 3


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
