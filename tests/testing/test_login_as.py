"""A test logs the client of its framework in, without a request."""

import gc
from typing import Annotated, Any

import pytest
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient as AiohttpClient, TestServer as AiohttpServer
from fastapi import FastAPI, Security
from fastapi.testclient import TestClient
from flask import Flask
from litestar import Litestar
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler as litestar_route
from litestar.testing import TestClient as LitestarClient
from quart import Quart

from clusterpass import Config, KeyRing, Session, SessionManager, StoreUnavailable
from clusterpass.integrations.aiohttp import (
    ClusterPass as AiohttpSessions,
    current_session as aiohttp_session,
    session_required as aiohttp_session_required,
)
from clusterpass.integrations.fastapi import ClusterPass as FastApiSessions
from clusterpass.integrations.flask import ClusterPass, current_session, session_required
from clusterpass.integrations.litestar import ClusterPass as LitestarSessions, requires
from clusterpass.integrations.quart import (
    ClusterPass as QuartSessions,
    current_session as quart_session,
    session_required as quart_session_required,
)
from clusterpass.integrations.settings import set_up
from clusterpass.testing import LoginAs, SimulatedClock
from clusterpass.testing.clients import settings_of
from tests.cluster.stored import eventually


@pytest.fixture
def flask_client(cp_settings: dict[str, Any]) -> Any:
    app = Flask(__name__)
    app.config.update({f"CLUSTERPASS_{name}": value for name, value in cp_settings.items()})
    ClusterPass(app)

    @app.route("/orders", methods=["GET", "POST"])
    @session_required(scope="orders:read")
    def orders() -> dict[str, str]:
        return {"of": current_session.subject}

    return app.test_client()


@pytest.fixture
def fastapi_client(cp_settings: dict[str, Any]) -> Any:
    cp = FastApiSessions(**cp_settings)
    app = FastAPI(lifespan=cp.lifespan)
    cp.install(app)

    @app.api_route("/orders", methods=["GET", "POST"])
    async def orders(
        session: Annotated[Session, Security(cp.session, scopes=["orders:read"])],
    ) -> dict[str, str]:
        return {"of": session.subject}

    with TestClient(app) as client:
        yield client


@pytest.fixture
def litestar_client(cp_settings: dict[str, Any]) -> Any:
    cp = LitestarSessions(**cp_settings)

    @litestar_route(
        "/orders", http_method=["GET", "POST"], status_code=200, guards=[requires("orders:read")]
    )
    async def orders(session: NamedDependency[Session]) -> dict[str, str]:
        return {"of": session.subject}

    with LitestarClient(Litestar([orders], plugins=[cp])) as client:
        yield client


@pytest.fixture(params=["flask", "fastapi", "litestar"])
def client(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{request.param}_client")


def members(answer: Any) -> Any:
    return answer.json() if callable(answer.json) else answer.json


@pytest.mark.parametrize("cookies", [False, True])
def test_a_client_is_logged_in(
    client: Any, cookies: bool, cp_login_as: LoginAs, cp_sessions: SessionManager
) -> None:
    assert client.get("/orders").status_code == 401
    pair = cp_login_as(client, "alice", cookies=cookies, claims={"scope": "orders:*"})
    assert members(client.get("/orders")) == {"of": "alice"}
    assert members(client.post("/orders")) == {"of": "alice"}
    cp_sessions.revoke("alice", pair.session_id)
    # The application has a manager of its own, which hears of it.
    eventually(lambda: client.get("/orders").status_code == 401)


def test_a_client_without_the_scope_is_refused(client: Any, cp_login_as: LoginAs) -> None:
    cp_login_as(client, "bob")
    assert client.get("/orders").status_code == 403
    cp_login_as(client, "bob", claims={"scope": "orders:read"})
    assert client.get("/orders").status_code == 200, "the latest login counts"


def test_the_clock_moves_the_application(
    client: Any, cp_login_as: LoginAs, cp_clock: SimulatedClock
) -> None:
    cp_login_as(client, "alice", claims={"scope": "orders:read"})
    assert client.get("/orders").status_code == 200
    cp_clock.advance(minutes=16)
    assert client.get("/orders").status_code == 401
    cp_login_as(client, "alice", cookies=True, claims={"scope": "orders:read"})
    cp_clock.advance(minutes=16)
    assert client.get("/orders").status_code == 200, "a browser's token is renewed"
    cp_login_as(client, "bob", cookies=True, claims={"scope": "orders:read"})
    assert members(client.get("/orders")) == {"of": "bob"}, "and no former cookie counts"
    cp_login_as(client, "carol", claims={"scope": "orders:read"})
    assert members(client.get("/orders")) == {"of": "carol"}
    cp_login_as(client, "dave", cookies=True, claims={"scope": "orders:read"})
    assert members(client.get("/orders")) == {"of": "dave"}, "nor a former header"


@pytest.mark.parametrize("cookies", [False, True])
async def test_a_client_of_quart_is_logged_in(
    cp_settings: dict[str, Any], cookies: bool, cp_login_as: LoginAs, cp_clock: SimulatedClock
) -> None:
    app = Quart(__name__)
    app.config.update({f"CLUSTERPASS_{name}": value for name, value in cp_settings.items()})
    QuartSessions(app)

    @app.route("/orders", methods=["GET", "POST"])
    @quart_session_required(scope="orders:read")
    async def orders() -> dict[str, str]:
        return {"of": quart_session.subject}

    async with app.test_app():
        client = app.test_client()
        assert (await client.get("/orders")).status_code == 401
        cp_login_as(client, "alice", cookies=cookies, claims={"scope": "orders:*"})
        assert await (await client.get("/orders")).get_json() == {"of": "alice"}
        assert await (await client.post("/orders")).get_json() == {"of": "alice"}
        cp_login_as(client, "bob", cookies=not cookies, claims={"scope": "orders:read"})
        assert await (await client.get("/orders")).get_json() == {"of": "bob"}
        cp_login_as(client, "carol", cookies=cookies, claims={"scope": "orders:read"})
        assert await (await client.get("/orders")).get_json() == {"of": "carol"}
        cp_clock.advance(minutes=16)
        assert (await client.get("/orders")).status_code == (200 if cookies else 401)


@pytest.mark.parametrize("cookies", [False, True])
async def test_a_client_of_aiohttp_is_logged_in(
    cp_settings: dict[str, Any], cookies: bool, cp_login_as: LoginAs, cp_clock: SimulatedClock
) -> None:
    cp = AiohttpSessions(**cp_settings)
    app = web.Application()
    cp.install(app)

    @aiohttp_session_required(scope="orders:read")
    async def orders(request: web.Request) -> web.Response:
        return web.json_response({"of": aiohttp_session(request).subject})

    app.router.add_route("*", "/orders", orders)
    jar = CookieJar(unsafe=True)  # the server of the test has an address and no name
    async with AiohttpClient(AiohttpServer(app), cookie_jar=jar) as client:
        assert (await client.get("/orders")).status == 401
        cp_login_as(client, "alice", cookies=cookies, claims={"scope": "orders:*"})
        assert await (await client.get("/orders")).json() == {"of": "alice"}
        assert await (await client.post("/orders")).json() == {"of": "alice"}
        cp_clock.advance(minutes=16)
        assert (await client.get("/orders")).status == (200 if cookies else 401)


def test_an_unknown_client_is_refused(cp_login_as: LoginAs) -> None:
    with pytest.raises(TypeError, match="object is no test client that ClusterPass knows"):
        cp_login_as(object(), "alice")
    with pytest.raises(TypeError, match="object is no test client"):
        cp_login_as(object(), "alice", cookies=True)


@pytest.mark.parametrize("number", range(50))
def test_fifty_tests_have_fifty_namespaces(cp_sessions: SessionManager, number: int) -> None:
    assert cp_sessions.online.count().sessions == 0
    pair = cp_sessions.login("alice")
    assert cp_sessions.verify(pair.access_token).subject == "alice", number


def test_an_application_that_is_gone_leaves_no_manager(cp_settings: dict[str, Any]) -> None:
    app = Flask(__name__)
    app.config.update({f"CLUSTERPASS_{name}": value for name, value in cp_settings.items()})
    sessions = ClusterPass(app)
    with app.app_context():
        manager = sessions.sessions
        manager.login("alice")
    del app, sessions
    gc.collect()
    with pytest.raises(StoreUnavailable) as refusal:
        manager.login("alice")
    assert refusal.value.reason == "closed"


def test_the_application_is_configured_as_the_managers_are(
    cp_url: str, clusterpass_keys: KeyRing
) -> None:
    config = Config(issuer="https://x.test", keys=clusterpass_keys, access_lifetime=60)
    settings = settings_of(cp_url, config)
    assert set_up(settings, {}).config == config
