"""What only Flask has: applications that are mounted, coroutines as views."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from clusterpass import ConfigurationError, SessionManager
from clusterpass.cli.local_setup import write_keys
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


ENDING = """
import atexit, sys
from flask import Flask
from clusterpass import StoreUnavailable
from clusterpass.integrations.flask import ClusterPass

app = Flask("ending")
cp = ClusterPass(app, store_url=sys.argv[1], issuer="https://a", keys_file=sys.argv[2])

@atexit.register  # the one that was registered first comes last
def ask():
    try:
        sessions.ping()
    except StoreUnavailable as error:
        print(error.reason)

with app.app_context():
    sessions = cp.sessions
    sessions.ping()
"""


def test_the_manager_is_closed_with_the_process(cluster_url: str, tmp_path: Path) -> None:
    keys_file = tmp_path / "keys.json"
    write_keys(keys_file)
    done = subprocess.run(
        [sys.executable, "-c", ENDING, cluster_url, str(keys_file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("closed\n", 0), done.stderr
