"""The aiohttp integration: views, methods, mounted applications, middlewares, responses."""

from collections.abc import Iterator

import httpx
import pytest
from aiohttp import web

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.integrations.aiohttp import (
    ClusterPass,
    current_session,
    owner_of,
    session_required,
)

from .conftest import aiohttp_server


class View(web.View):
    @session_required()
    async def get(self) -> web.Response:
        return web.Response(text=current_session(self.request).subject)


@session_required(scope="orders:write")
class Guarded(web.View):
    async def get(self) -> web.Response:
        return web.Response(text=current_session(self.request).subject)


class Handlers:
    @session_required()
    async def who(self, request: web.Request) -> web.Response:
        return web.Response(text=current_session(request).subject)

    @session_required()
    async def missing(self, request: web.Request) -> web.Response:
        raise web.HTTPNotFound

    @session_required()
    async def upload(self, request: web.Request) -> web.Response:
        reader = await request.multipart()
        part = await reader.next()
        assert part is not None
        return web.Response(body=await part.read())

    async def anonymous(self, request: web.Request) -> web.Response:
        return web.Response(text=current_session(request).subject)


@web.middleware
async def members_only(request: web.Request, handler: object) -> web.StreamResponse:
    if request.path.startswith("/members/"):
        await owner_of(request).admit(request)
    return await handler(request)  # type: ignore[operator, no-any-return]


@web.middleware
async def catch_all(request: web.Request, handler: object) -> web.StreamResponse:
    try:
        return await handler(request)  # type: ignore[operator, no-any-return]
    except web.HTTPException:
        raise
    except Exception:
        return web.Response(status=500, text="caught")


@pytest.fixture(scope="module")
def client(cluster: EmbeddedCluster, config: Config) -> Iterator[httpx.Client]:
    cp = ClusterPass(
        store_url=cluster.url,
        issuer=config.issuer,
        audience=config.audience,
        keys=config.keys,
        cookie_secure=False,
    )
    handlers = Handlers()
    inner = web.Application()
    inner.router.add_get("/who", handlers.who)
    app = web.Application(middlewares=[members_only, catch_all])
    cp.install(app)
    app.router.add_get("/view", View)
    app.router.add_get("/guarded", Guarded)
    app.router.add_get("/missing", handlers.missing)
    app.router.add_get("/members/who", handlers.anonymous)
    app.router.add_get("/anonymous", handlers.anonymous)
    app.router.add_post("/upload", handlers.upload)
    app.add_routes(cp.routes("/auth"))
    app.add_subapp("/inner", inner)
    with aiohttp_server(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as made:
        yield made


@pytest.fixture
def bearer(cluster: EmbeddedCluster, config: Config, subject: str) -> Iterator[dict[str, str]]:
    with SessionManager.from_url(cluster.url, config) as manager:
        pair = manager.login(subject, claims={"scope": "orders:*"})
        yield {"Authorization": f"Bearer {pair.access_token}", "refresh": pair.refresh_token}


@pytest.mark.parametrize("path", ["/view", "/guarded", "/inner/who"])
def test_every_kind_of_handler_can_need_a_session(client, bearer, subject, path) -> None:
    assert client.get(path, headers=bearer).text == subject
    refused = client.get(path)
    assert (refused.status_code, refused.json()["error"]) == (401, "token_missing")


def test_what_middleware_refuses_is_answered(client, bearer, subject) -> None:
    assert client.get("/members/who", headers=bearer).text == subject
    refused = client.get("/members/who")
    assert (refused.status_code, refused.json()["error"]) == (401, "token_missing")


def test_the_session_of_a_handler_that_needs_none_is_missing(client, bearer) -> None:
    assert client.get("/anonymous", headers=bearer).json()["error"] == "token_missing"


def test_an_error_of_the_application_carries_renewed_cookies(client, bearer) -> None:
    client.cookies.set("clusterpass-refresh", bearer["refresh"])
    try:
        answer = client.get("/missing")
        assert answer.status_code == 404
        assert "clusterpass-access" in client.cookies
    finally:
        client.cookies.clear()


def test_a_body_that_is_sent_with_the_token_in_a_header_is_left_to_the_handler(
    client, bearer
) -> None:
    files = {"file": ("a.txt", b"content")}
    assert client.post("/upload", headers=bearer, files=files).content == b"content"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"refresh_token": 1}'])
def test_a_refresh_with_a_body_that_is_of_no_use(client, body) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/auth/refresh", content=body, headers=headers)
    assert answer.status_code in {400, 401, 422}
    assert answer.headers["content-type"] == "application/problem+json"
