"""What only Flask has: applications that are mounted, coroutines as views."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from clusterpass import ConfigurationError, SessionManager
from clusterpass.integrations.flask import ClusterPass, current_session, session_required


@pytest.fixture
def app(cp_settings: dict[str, Any], cp_sessions: SessionManager) -> Flask:
    app = Flask(__name__)
    app.config["CLUSTERPASS_LOGIN_URL"] = "/login"
    ClusterPass().init_app(app, cp_sessions)

    @app.get("/orders")
    @session_required()
    def orders() -> dict[str, str]:
        return {"of": current_session.subject}

    @app.get("/anybody")
    def anybody() -> dict[str, bool]:
        return {"known": bool(current_session)}

    return app


def test_a_browser_comes_back_to_where_the_application_is_mounted(app: Flask) -> None:
    mounted = Client(DispatcherMiddleware(Flask("front"), {"/shop": app.wsgi_app}))
    page = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    led = mounted.get("/shop/orders?page=2", headers=page)
    assert (led.status_code, led.headers["location"]) == (
        303,
        "/login?next=%2Fshop%2Forders%3Fpage%3D2",
    )


def test_there_is_no_session_where_none_was_required(app: Flask) -> None:
    assert app.test_client().get("/anybody").json == {"known": False}


def test_an_application_without_the_extension_is_told_so() -> None:
    with (
        Flask(__name__).test_request_context(),
        pytest.raises(ConfigurationError, match="init_app"),
    ):
        bool(current_session.subject)
