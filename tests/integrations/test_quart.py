"""The Quart integration: users loaded with await, request bodies, and own managers."""

from typing import Any

import pytest
from quart import Quart, request

from clusterpass import AsyncSessionManager, Config, EmbeddedCluster, Session
from clusterpass.integrations.quart import (
    ClusterPass,
    csrf_token,
    current_session,
    current_user,
    session_required,
)


@pytest.fixture
async def app(cluster: EmbeddedCluster, config: Config):
    app = Quart("shop")
    app.config["CLUSTERPASS_STORE_URL"] = cluster.url
    app.config["CLUSTERPASS_COOKIE_SECURE"] = False
    cp = ClusterPass(app, issuer=config.issuer, keys=config.keys)
    app.register_blueprint(cp.blueprint(), url_prefix="/auth")
    app.extensions["cp"] = cp

    @app.post("/login/<name>")
    async def log_in(name: str) -> Any:
        return await cp.log_in(name, claims={"scope": "orders:*"})

    @app.get("/sync")
    @session_required(scope=["orders:read", "orders:write"])
    def synchronous() -> str:
        return f"{current_session.subject} {current_user}"

    @app.get("/open")
    async def anyone() -> str:
        return f"{not current_session} {not current_user} {csrf_token()!r}"

    @app.post("/upload")
    @session_required()
    async def upload() -> bytes:
        return b"".join([part async for part in request.body])

    async with app.test_app():
        yield app


@pytest.fixture
async def bearer(app: Quart, subject: str) -> dict[str, str]:
    pair = await (await app.test_client().post(f"/login/{subject}")).get_json()
    return {"Authorization": f"Bearer {pair['access_token']}"}


@pytest.mark.parametrize("loads", ["with await", "without"])
async def test_users_are_loaded_once(app, bearer, subject, loads) -> None:
    calls: list[str] = []

    def load(session: Session) -> str:
        calls.append(session.subject)
        return f"user {len(calls)}"

    async def load_slowly(session: Session) -> str:
        return load(session)

    app.extensions["cp"].user_loader(load_slowly if loads == "with await" else load)
    answer = await app.test_client().get("/sync", headers=bearer)
    assert await answer.get_data(as_text=True) == f"{subject} user 1"
    assert calls == [subject]


async def test_without_a_session_there_is_nobody(app, bearer) -> None:
    answer = await app.test_client().get("/open", headers=bearer)
    assert await answer.get_data(as_text=True) == "True True ''"
    refused = await app.test_client().get("/sync")
    assert (refused.status_code, (await refused.get_json())["error"]) == (401, "token_missing")


async def test_a_body_that_is_sent_with_the_token_in_a_header_is_left_to_the_view(
    app, bearer
) -> None:
    headers = {**bearer, "Content-Type": "multipart/form-data; boundary=x"}
    answer = await app.test_client().post("/upload", headers=headers, data=b"--x--")
    assert await answer.get_data() == b"--x--"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"refresh_token": 1}'])
async def test_a_refresh_with_a_body_that_is_of_no_use(app, body) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await app.test_client().post("/auth/refresh", data=body, headers=headers)
    assert answer.status_code in {400, 401, 422}
    assert answer.content_type == "application/problem+json"


async def test_an_application_without_the_extension_admits_nobody(bearer) -> None:
    app = Quart("bare")

    @app.get("/")
    @session_required()
    async def home() -> str:
        return "admitted"

    assert (await app.test_client().get("/", headers=bearer)).status_code == 500


async def test_a_manager_of_the_application_is_used_and_not_closed(
    cluster: EmbeddedCluster, config: Config, subject: str
) -> None:
    app = Quart("own")
    async with AsyncSessionManager.from_url(cluster.url, config) as sessions:
        ClusterPass().init_app(app, sessions)

        @app.get("/")
        @session_required()
        async def home() -> str:
            return current_session.subject

        pair = await sessions.login(subject)
        async with app.test_app():
            headers = {"Authorization": f"Bearer {pair.access_token}"}
            answer = await app.test_client().get("/", headers=headers)
            assert await answer.get_data(as_text=True) == subject
        await sessions.ping()
    refused = app.test_cli_runner().invoke(args=["clusterpass", "kick", subject])
    assert "opens its session manager itself" in refused.output
