"""Django's own logins, its admin, its CSRF middleware, and Django REST framework."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncClient, Client, override_settings

from clusterpass import Config, KeyRing, SessionManager, StoreUnavailable
from clusterpass.integrations.django import sessions, subject_of
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh_secrets import new_refresh_secret
from clusterpass.web.csrf import CsrfTokens
from tests.integrations.django_site import MIDDLEWARE

from .browser import COOKIES, NAVIGATION, bearer, kept, live, logged_in, ours, token, who


def test_a_login_of_django_opens_a_session(user):
    client = logged_in(user)
    assert who(client) == user.username
    (session,) = sessions().sessions(subject_of(user))
    assert session.claims["scope"] == "orders:read"
    assert client.get("/orders").content.decode() == str(user.pk)


def test_a_session_that_ends_elsewhere_ends_the_login_of_the_admin(root):
    client = logged_in(root, "/admin/login/")
    assert client.get("/admin/").status_code == 200
    sessions().revoke_all(subject_of(root))
    led = client.get("/admin/", **NAVIGATION)
    assert (led.status_code, led.headers["location"]) == (302, "/admin/login/?next=/admin/")
    assert {"sessionid", *COOKIES}.isdisjoint(kept(client))
    assert who(client) == "nobody"


def test_a_form_of_the_admin_needs_the_token_of_django_alone(root):
    client = logged_in(root, "/admin/login/")
    assert client.post("/admin/logout/").status_code == 403
    assert live(root) == 1
    out = client.post("/admin/logout/", {"csrfmiddlewaretoken": token(client)})
    assert out.status_code == 200
    assert live(root) == 0
    assert {"sessionid", *COOKIES}.isdisjoint(kept(client))


@pytest.mark.parametrize("path", ["/auth/logout", "/auth/logout-all"])
def test_a_logout_of_ours_logs_out_of_django(user, path):
    client = logged_in(user)
    assert client.post(path).status_code == 403
    assert who(client) == user.username
    answer = client.post(path, {"csrfmiddlewaretoken": token(client)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login/")
    assert live(user) == 0
    assert {"sessionid", *COOKIES}.isdisjoint(kept(client))


def test_the_tokens_of_both_are_accepted_where_a_session_is_required(root):
    client = logged_in(root)
    django = token(client)
    assert client.post("/report").status_code == 403
    assert client.post("/report", HTTP_X_CSRFTOKEN="0" * 64).status_code == 403
    assert client.post("/report", HTTP_X_CSRFTOKEN=django).status_code == 200
    assert client.post("/report", **ours(client)).status_code == 200
    wrong = client.post("/report", HTTP_X_CSRF_TOKEN="0" * 64, HTTP_X_CSRFTOKEN=django)
    assert wrong.status_code == 403
    foreign = client.post("/report", HTTP_X_CSRFTOKEN=django, HTTP_ORIGIN="https://evil.example")
    assert foreign.status_code == 403


def test_without_the_middleware_of_django_its_token_is_worth_nothing(root):
    client = logged_in(root)
    django = token(client)
    without = [name for name in MIDDLEWARE if "Csrf" not in name]
    with override_settings(MIDDLEWARE=without):
        jar, client = client.cookies, Client(enforce_csrf_checks=True)
        client.cookies = jar
        assert client.post("/report", HTTP_X_CSRFTOKEN=django).status_code == 403
        assert client.post("/who").content == b"nobody", "a forged request has no user"
        assert client.post("/who", **ours(client)).content.decode() == root.username
        assert who(client) == root.username, "and ends no login"


def test_a_bearer_token_needs_no_csrf_token_and_no_cookie_counts_beside_it(user, root):
    client = logged_in(root)
    assert client.post("/who").status_code == 403
    answer = client.post("/who", **bearer(user))
    assert answer.content.decode() == user.username
    assert who(client, HTTP_AUTHORIZATION="Bearer nonsense") == "nobody"
    assert client.get("/report", **bearer(user)).status_code == 403
    assert who(client) == root.username


def test_a_login_by_an_api_needs_no_session_of_django(user):
    client = Client(enforce_csrf_checks=True)
    fields = {"username": user.username, "password": "pw"}
    assert client.post("/api-login", fields).status_code == 303
    assert set(client.cookies) == COOKIES
    assert who(client) == user.username


def test_the_newest_login_of_a_browser_counts(user, root):
    client = logged_in(root)
    client.post("/api-login", {"username": user.username, "password": "pw"})
    assert who(client) == user.username
    assert "sessionid" not in kept(client)
    assert live(root) == 1, "the other session was not ended, only left"


def test_a_login_again_keeps_the_data_of_django(user):
    client = logged_in(user)
    client.post("/api-login", {"username": user.username, "password": "pw"})
    assert who(client) == user.username
    assert "sessionid" in kept(client)
    sessions().revoke_all(subject_of(user))
    assert who(client) == "nobody"


def test_lost_tokens_are_no_login(user):
    client = logged_in(user)
    for name in COOKIES:
        del client.cookies[name]
    assert who(client) == "nobody"


def test_a_new_password_ends_all_other_sessions(user):
    client, other, phone = logged_in(user), logged_in(user), bearer(user)
    fields = {"password": "new", "csrfmiddlewaretoken": token(client)}
    assert client.post("/new-password", fields).status_code == 200
    assert who(client) == user.username
    assert who(other) == "nobody"
    assert who(Client(), **phone) == "nobody"


def test_a_password_changed_behind_our_back_ends_the_session_at_the_next_request(user):
    client = logged_in(user)
    type(user).objects.filter(pk=user.pk).update(password="!")
    assert who(client) == "nobody"
    assert live(user) == 0


def test_who_is_not_active_or_deleted_has_no_session(user):
    phone = bearer(user)
    user.first_name = "Alice"
    user.save()
    assert live(user) == 1
    type(user).objects.filter(pk=user.pk).update(is_active=False)
    assert who(Client(), **phone) == "nobody"
    assert Client().get("/api/users", **phone).status_code == 401
    user.is_active = False
    user.save()
    assert live(user) == 0
    sessions().login(subject := subject_of(user))
    user.delete()
    assert sessions().sessions(subject) == []


def test_a_login_without_a_session_is_no_login(user, monkeypatch):
    def fail(*_: Any) -> None:
        raise StoreUnavailable("no store", reason="timeout")

    client = Client(enforce_csrf_checks=True)
    fields = {"username": user.username, "password": "pw", "csrfmiddlewaretoken": token(client)}
    with monkeypatch.context() as patch:
        patch.setattr("clusterpass.integrations.django.signals.open_session", fail)
        answer = client.post("/login/", fields)
    assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
    assert who(client) == "nobody"


def test_a_test_that_forces_a_login_needs_no_session(user):
    client = Client()
    client.force_login(user)
    assert who(client) == user.username
    assert live(user) == 0


def test_who_is_refused_is_led_to_the_login_of_django():
    led = Client().get("/orders?page=2", **NAVIGATION)
    assert (led.status_code, led.headers["location"]) == (303, "/login/?next=%2Forders%3Fpage%3D2")
    answer = Client().get("/orders")
    assert (answer.status_code, answer.json()["error"]) == (401, "token_missing")
    assert {"Cookie", "Authorization"} <= set(answer.headers["vary"].split(", "))


def test_where_django_requires_a_login_everywhere(user):
    everywhere = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    pair = sessions().login(subject_of(user))
    with override_settings(MIDDLEWARE=everywhere):
        client = Client()
        assert client.get("/orders").json()["error"] == "token_missing"
        assert client.get("/api/users").json()["error"] == "token_missing"
        assert client.get("/who").headers["location"] == "/login/?next=/who"
        assert who(client, **bearer(user)) == user.username
        body = {"refresh_token": pair.refresh_token}
        renewed = client.post("/auth/refresh", body, content_type="application/json")
        assert renewed.json()["session_id"] == pair.session_id


def test_an_outage_logs_nobody_out(root, monkeypatch):
    client = logged_in(root, "/admin/login/")

    def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("no store", reason="timeout")

    with monkeypatch.context() as patch:
        patch.setattr(sessions(), "verify", fail)
        patch.setattr(sessions(), "logout", fail)
        for path in ("/admin/", "/orders", "/api/users"):
            assert client.get(path).status_code == 503
        answer = client.post("/admin/logout/", {"csrfmiddlewaretoken": token(client)})
        assert answer.status_code == 503
    assert client.get("/admin/").status_code == 200


def test_a_query_that_django_does_not_read_has_no_token(user):
    query = "&".join(["x"] * 1001)
    places = {**settings.CLUSTERPASS, "TOKEN_PLACES": ["header", "query"]}
    with override_settings(CLUSTERPASS=places):
        for path in ("/orders", "/async-orders"):
            refused = Client().get(f"{path}?{query}", HTTP_ACCEPT="text/event-stream")
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_input")
        assert Client().get(f"/who?{query}").content == b"nobody"
        assert Client().get(f"/who?{query}", **bearer(user)).content.decode() == user.username


def test_the_subject_can_be_another_field(user):
    from django.conf import settings

    with override_settings(CLUSTERPASS={**settings.CLUSTERPASS, "SUBJECT_FIELD": "username"}):
        assert subject_of(user) == user.username
        assert who(Client(), **bearer(user)) == user.username
    assert subject_of(user) == str(user.pk)


def test_a_subject_of_another_application_is_nobody_here():
    pair = sessions().login("a service")
    assert who(Client(), HTTP_AUTHORIZATION=f"Bearer {pair.access_token}") == "nobody"


@pytest.mark.parametrize("cookies", [False, True])
def test_a_test_client_is_logged_in_and_the_clock_moves_it(
    user: Any, cp_settings: dict[str, Any], cookies: bool, cp_login_as: Any, cp_clock: Any
) -> None:
    with override_settings(CLUSTERPASS={**cp_settings, "SUBJECT_FIELD": "username"}):
        client = Client(enforce_csrf_checks=True)
        assert client.get("/who").content == b"nobody"
        cp_login_as(client, user.username, cookies=cookies)
        assert client.get("/who").content.decode() == user.username
        cp_clock.advance(minutes=16)
        assert client.get("/who").content.decode() == (user.username if cookies else "nobody")
        assert "sessionid" not in client.cookies, "a session of Django is for its own login"


@pytest.mark.parametrize("cookies", [False, True])
def test_an_asynchronous_test_client_is_logged_in(
    user: Any, cp_settings: dict[str, Any], cookies: bool, cp_login_as: Any
) -> None:
    with override_settings(CLUSTERPASS={**cp_settings, "SUBJECT_FIELD": "username"}):
        client = AsyncClient(enforce_csrf_checks=True)
        cp_login_as(client, user.username, cookies=cookies)
        assert asyncio.run(client.get("/async-who")).content.decode() == user.username
        cp_login_as(client, "nobody else", cookies=not cookies)
        assert asyncio.run(client.get("/async-who")).content == b"nobody"


def test_the_secrets_are_those_of_the_manager_that_is_opened(user: Any) -> None:
    secret = new_refresh_secret()

    def open_sessions(url: str, config: Config) -> SessionManager:
        return SessionManager.from_url(url, replace(config, refresh_secrets=(secret,)))

    with override_settings(CLUSTERPASS={**settings.CLUSTERPASS, "OPEN_SESSIONS": open_sessions}):
        client = logged_in(user)
        session_id = sessions().verify(client.cookies["clusterpass-access"].value).session_id
        expected = CsrfTokens(KeyRing.generate(), (secret,)).make(session_id)
        assert client.cookies["clusterpass-csrf"].value == expected


def test_keys_in_the_store_are_rotated_while_users_are_logged_in(user: Any) -> None:
    keys, wrapping = KeyRing.in_store(), (new_encryption_key(),)

    def open_sessions(url: str, config: Config) -> SessionManager:
        own = replace(config, keys=keys, key_encryption_keys=wrapping)
        return SessionManager.from_url(f"{url}-keys", own)

    with override_settings(CLUSTERPASS={**settings.CLUSTERPASS, "OPEN_SESSIONS": open_sessions}):
        client = logged_in(user)
        assert client.get("/who").content.decode() == user.username
        before = client.cookies["clusterpass-access"].value
        (key,) = (each for each in sessions().keys.list() if each.state == "active")
        sessions().keys.revoke(key.kid)
        sessions().keys.rotate_refresh_secret()
        assert client.get("/who").content.decode() == user.username, "renewed on the way"
        after = client.cookies["clusterpass-access"].value
        assert sessions().verify(after).session_id, before
        assert after != before
        assert client.get("/who").content.decode() == user.username


def test_an_outage_met_by_other_middleware_is_an_outage(user: Any) -> None:
    client = logged_in(user)
    client.raise_request_exception = False
    away = {**settings.CLUSTERPASS, "STORE_URL": "redis://127.0.0.1:1?deadline=0.5&timeout=0.4"}
    last = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(CLUSTERPASS=away, MIDDLEWARE=last):
        client.handler.load_middleware()
        answer = client.get("/who")
    assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
    assert "Set-Cookie" not in answer.headers, "nobody is logged out"
    assert Client().get("/who").content == b"nobody"
    client.handler.load_middleware()
    assert client.get("/who").content.decode() == user.username


def test_a_csrf_token_may_come_in_the_form_and_in_the_header(root: Any) -> None:
    client = logged_in(root)
    field = {"csrf_token": client.cookies["clusterpass-csrf"].value}
    assert client.post("/auth/logout-all", {"csrf_token": "0"}, **ours(client)).status_code == 403
    assert client.post("/auth/logout-all", field, **ours(client)).status_code == 303
    assert live(root) == 0
