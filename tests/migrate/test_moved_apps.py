"""Applications that have moved: the browsers and apps of their users bring what they have."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, jsonify

from clusterpass import Config, ConfigurationError
from clusterpass.integrations.flask import ClusterPass, current_session, session_required
from clusterpass.migrate import MigratingSessionManager
from clusterpass.web.settings import WebSettings
from tests.migrate.old_apps import OldApp, fastapi_users, flask_jwt_extended, pyjwt

ACCESS, REFRESH = "access_token_cookie", "refresh_token_cookie"
OWN_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def config(cp_config: Config) -> Config:
    from dataclasses import replace

    return replace(cp_config, generation_lifetime=30 * 86_400)


@pytest.fixture(scope="module")
def old() -> OldApp:
    return flask_jwt_extended()


@pytest.fixture
def app(cp_url: str, config: Config, old: OldApp) -> Iterator[Flask]:
    sessions = MigratingSessionManager.from_url(cp_url, config)
    sessions.accept(old.issuer, pyjwt().issuer)
    app = Flask("moved")
    cp = ClusterPass(
        cookie_secure=False, old_access_cookie=ACCESS, old_refresh_cookie=REFRESH, login_url="/in"
    )
    cp.init_app(app, sessions=sessions)
    app.register_blueprint(cp.blueprint(), url_prefix="/auth")

    @app.route("/orders", methods=["GET", "POST"])
    @session_required(scope="orders:read")
    def orders() -> Any:
        return jsonify(of=current_session.subject, id=current_session.session_id)

    yield app
    sessions.close()


def browser(app: Flask, *names: str, old: OldApp) -> Any:
    client = app.test_client()
    values = {ACCESS: old.access, REFRESH: old.refresh}
    for name in names:
        client.set_cookie(name, values[name] or "")
    return client


def cookies_of(client: Any) -> set[str]:
    return {name for _, _, name in client._cookies}


def test_an_app_goes_on_with_the_tokens_it_has(app: Flask, old: OldApp) -> None:
    client = app.test_client()
    bearer = {"Authorization": f"Bearer {old.access}"}
    assert client.get("/orders", headers=bearer).json["of"] == "7"
    assert client.post("/orders", headers=bearer).json["of"] == "7"
    pair = client.post("/auth/refresh", json={"refresh_token": old.refresh}).json
    again = client.post("/auth/refresh", json={"refresh_token": old.refresh}).json
    assert again["refresh_token"] == pair["refresh_token"]
    bearer = {"Authorization": f"Bearer {pair['access_token']}"}
    assert client.get("/orders", headers=bearer).json["id"] == pair["session_id"]
    assert client.post("/auth/logout-all", headers=bearer).status_code == 200
    answer = client.get("/orders", headers={"Authorization": f"Bearer {old.access}"})
    assert answer.status_code == 401
    refused = client.post("/auth/refresh", json={"refresh_token": old.refresh})
    assert refused.status_code == 401


def test_a_browser_gets_a_session_on_the_way(app: Flask, old: OldApp) -> None:
    client = browser(app, ACCESS, REFRESH, old=old)
    first = client.get("/orders")
    assert first.json["of"] == "7"
    assert cookies_of(client) == {
        *("clusterpass-access", "clusterpass-refresh", "clusterpass-csrf"),
    }
    assert client.get("/orders").json == first.json
    # Another tab had sent its request before.
    late = browser(app, ACCESS, REFRESH, old=old)
    assert late.get("/orders").json == first.json


def test_a_browser_without_a_refresh_token_keeps_what_it_has(app: Flask, old: OldApp) -> None:
    client = browser(app, ACCESS, old=old)
    assert client.get("/orders").json["of"] == "7"
    assert cookies_of(client) == {ACCESS}


@pytest.mark.parametrize("names", [(ACCESS,), (ACCESS, REFRESH), (REFRESH,)])
def test_another_site_changes_nothing_with_old_cookies(
    app: Flask, old: OldApp, names: tuple[str, ...]
) -> None:
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        for path in ("/orders", "/auth/refresh", "/auth/logout"):
            client = browser(app, *names, old=old)
            answer = client.post(path, headers=headers)
            if path == "/auth/refresh" and REFRESH not in names:
                assert answer.status_code == 401
            else:
                assert answer.status_code == 403, (path, headers)
            assert cookies_of(client) == set(names)
    assert browser(app, *names, old=old).post("/orders", headers=OWN_SITE).status_code == 200


def test_a_browser_refreshes_and_logs_out_with_old_cookies(app: Flask, old: OldApp) -> None:
    client = browser(app, ACCESS, REFRESH, old=old)
    assert client.post("/auth/refresh", headers=OWN_SITE).status_code == 200
    assert "clusterpass-access" in cookies_of(client)
    old = flask_jwt_extended()
    client = browser(app, ACCESS, REFRESH, old=old)
    assert client.post("/auth/logout", headers=OWN_SITE).status_code == 204
    assert cookies_of(client) == set()
    assert browser(app, REFRESH, old=old).get("/orders").status_code == 401


def test_cookies_of_no_use_are_taken_away(app: Flask, old: OldApp) -> None:
    client = app.test_client()
    client.set_cookie(REFRESH, "nonsense")
    answer = client.get("/orders", headers={"Accept": "text/html"})
    assert answer.status_code in {302, 303}
    assert cookies_of(client) == set()


def test_a_logout_spends_both_old_cookies(app: Flask) -> None:
    old = flask_jwt_extended()
    client = browser(app, ACCESS, REFRESH, old=old)
    assert client.post("/auth/logout", headers=OWN_SITE).status_code == 204
    bearer = {"Authorization": f"Bearer {old.access}"}
    assert app.test_client().get("/orders", headers=bearer).status_code == 401
    refused = app.test_client().post("/auth/refresh", json={"refresh_token": old.refresh})
    assert refused.status_code == 401


def test_old_cookies_are_deleted_as_they_were_set() -> None:
    settings = WebSettings(
        old_access_cookie="a", old_cookie_domain="shop.example", old_cookie_path="/api"
    )
    assert ("Set-Cookie", "a=; Max-Age=0; Path=/api; Domain=shop.example; Secure; HttpOnly; "
            "SameSite=Lax") in settings.cookies.clear()  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {"old_access_cookie": "a b"},
        {"old_refresh_cookie": ""},
        {"old_cookie_domain": "a; Secure"},
        {"old_cookie_path": "here"},
        {"old_cookie_path": "/a;b"},
    ],
)
def test_what_is_no_cookie_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        WebSettings(**settings)


def test_one_cookie_may_hold_the_only_kind_of_token(cp_url: str, config: Config) -> None:
    old = fastapi_users()
    with MigratingSessionManager.from_url(cp_url, config) as sessions:
        sessions.accept(old.issuer)
        app = Flask("single")
        cp = ClusterPass(cookie_secure=False, old_refresh_cookie="auth", silent_refresh=False)
        cp.init_app(app, sessions=sessions)
        app.get("/me")(session_required()(lambda: {"of": current_session.subject}))
        client = app.test_client()
        client.set_cookie("auth", old.access)
        assert client.get("/me").json == {"of": "7"}
        assert cookies_of(client) == {"auth"}
