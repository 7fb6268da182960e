"""The Flask integration: mounted applications, managed keys, and the manager at exit."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from clusterpass import Config, ConfigurationError, KeyRing, SessionManager
from clusterpass.cli.local_setup import write_keys
from clusterpass.integrations.flask import (
    ClusterPass,
    csrf_token,
    current_session,
    session_required,
)
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh_secrets import new_refresh_secret
from clusterpass.web.settings import WebSettings


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


def test_a_browser_comes_back_after_the_answer_that_renewed_it_was_lost(
    app: Flask, cp_sessions: SessionManager, cp_clock: Any
) -> None:
    pair, client = cp_sessions.login("alice"), app.test_client(use_cookies=False)
    cookies = WebSettings().cookies

    def ask(refresh_token: str, access_token: str = "") -> tuple[Any, dict[str, str]]:
        sent = f"{cookies.refresh.name}={refresh_token}; {cookies.access.name}={access_token}"
        answer = client.get("/orders", headers={"Cookie": sent})
        kept = [each.partition(";")[0] for each in answer.headers.getlist("Set-Cookie")]
        return answer, dict(each.split("=", 1) for each in kept)

    for _ in range(3):
        answer, renewed = ask(pair.refresh_token)
        assert (answer.status_code, answer.json) == (200, {"of": "alice"})
        cp_clock.advance(hours=1)  # nothing of the answer arrived
    answer, renewed = ask(pair.refresh_token)
    assert ask(renewed[cookies.refresh.name], renewed[cookies.access.name])[0].status_code == 200
    cp_clock.advance(hours=1)
    answer, kept = ask(pair.refresh_token)
    assert (answer.status_code, answer.json["reason"]) == (401, "recent")
    assert kept[cookies.refresh.name] == ""
    assert cp_sessions.sessions("alice") == []


@pytest.mark.parametrize("secrets", [(), (new_refresh_secret(),)], ids=["wrapping", "own"])
def test_a_manager_whose_keys_are_in_the_store(
    cp_url: str, cp_config: Config, secrets: tuple[str, ...]
) -> None:
    """Settings name no secret, as the manager has them."""
    config = replace(
        cp_config,
        keys=KeyRing.in_store(),
        key_encryption_keys=(new_encryption_key(),),
        refresh_secrets=secrets,
    )
    app, cp = Flask(__name__), ClusterPass(cookie_secure=False)
    headers = {"Sec-Fetch-Site": "same-origin"}
    with SessionManager.from_url(cp_url, config) as manager:
        cp.init_app(app, manager)
        app.add_url_rule("/in", "in", lambda: cp.log_in("alice"), methods=["POST"])
        app.register_blueprint(cp.blueprint(), url_prefix="/auth")
        browser = app.test_client()
        answer = browser.post("/in", headers=headers)
        token = {"X-CSRF-Token": answer.json["csrf_token"]}
        assert browser.post("/auth/logout-all", headers=headers).status_code == 403
        assert browser.post("/auth/refresh", headers=headers | token).status_code == 200
        assert browser.post("/auth/logout-all", headers=headers | token).json == {"ended": 1}


@pytest.mark.parametrize(
    "use",
    [
        lambda: current_session.subject,
        lambda: ClusterPass().sessions,
        lambda: ClusterPass().log_in("alice"),
        lambda: ClusterPass().count_attempt("alice"),
        session_required()(lambda: ""),
        csrf_token,
    ],
)
def test_an_application_without_the_extension_is_told_so(use: Callable[[], Any]) -> None:
    with (
        Flask(__name__).test_request_context(),
        pytest.raises(ConfigurationError, match="init_app"),
    ):
        use()


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
