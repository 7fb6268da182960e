"""A test logs the client of its framework in, without a request."""

import gc
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Security
from fastapi.testclient import TestClient
from flask import Flask

from clusterpass import Session, SessionManager, StoreUnavailable
from clusterpass.integrations.fastapi import ClusterPass as FastApiSessions
from clusterpass.integrations.flask import ClusterPass, current_session, session_required
from clusterpass.testing import LoginAs, SimulatedClock


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


@pytest.fixture(params=["flask", "fastapi"])
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
    assert client.get("/orders").status_code == 401


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
    if "Authorization" in getattr(client, "headers", {}):
        del client.headers["Authorization"]
    getattr(client, "environ_base", {}).pop("HTTP_AUTHORIZATION", None)
    assert client.get("/orders").status_code == 200, "a browser's token is renewed"


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
