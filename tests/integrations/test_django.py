"""Django's own logins, its admin, its CSRF middleware, and Django REST framework."""

import asyncio
import itertools
import threading
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client, override_settings
from django.utils import translation

from clusterpass import Config, ConfigurationError, KeyRing, SessionManager, StoreUnavailable
from clusterpass.cli.local_setup import write_keys
from clusterpass.integrations.django import conf, session_required, sessions, subject_of
from clusterpass.integrations.django.checks import check_middleware, check_settings
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh_secrets import new_refresh_secret
from clusterpass.web.csrf import CsrfTokens

from .django_site import MIDDLEWARE, OURS, configure

COOKIES = {"clusterpass-access", "clusterpass-refresh", "clusterpass-csrf"}
NAVIGATION = {"HTTP_ACCEPT": "text/html", "HTTP_SEC_FETCH_MODE": "navigate"}
_numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def site(cluster_url: str, tmp_path_factory: pytest.TempPathFactory):
    keys_file = tmp_path_factory.mktemp("site") / "keys.json"
    write_keys(keys_file)
    configure(
        STORE_URL=f"{cluster_url}?namespace=django",
        ISSUER="https://site.example",
        KEYS_FILE=str(keys_file),
    )
    yield
    conf.forget()
    from django.db import connections

    connections.close_all()


@pytest.fixture
def user() -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_user(f"user{next(_numbers)}", password="pw")


@pytest.fixture
def root() -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_superuser(f"root{next(_numbers)}", password="pw")


def token(client: Client) -> str:
    return client.get("/token").content.decode()


def logged_in(user: Any, path: str = "/login/") -> Client:
    """A browser in which ``user`` has logged in by a form of Django."""
    client = Client(enforce_csrf_checks=True)
    fields = {"username": user.username, "password": "pw", "csrfmiddlewaretoken": token(client)}
    answer = client.post(path, {**fields, "next": "/who"})
    assert answer.status_code == 302, answer.content
    assert {"sessionid", *COOKIES} <= set(client.cookies)
    return client


def kept(client: Client) -> set[str]:
    """The cookies that the browser has not been told to forget."""
    return {name for name, cookie in client.cookies.items() if cookie.value}


def bearer(user: Any) -> dict[str, str]:
    pair = sessions().login(subject_of(user), claims=conf.installed().claims_of(user))
    return {"HTTP_AUTHORIZATION": f"Bearer {pair.access_token}"}


def ours(client: Client) -> dict[str, str]:
    return {"HTTP_X_CSRF_TOKEN": client.cookies["clusterpass-csrf"].value}


def who(client: Client, **headers: Any) -> str:
    return client.get("/who", **headers).content.decode()


def live(user: Any) -> int:
    return len(sessions().sessions(subject_of(user)))


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


def test_an_access_token_that_is_over_is_renewed_for_django_too(user):
    client = logged_in(user)
    del client.cookies["clusterpass-access"]
    assert who(client) == user.username
    assert kept(client) >= COOKIES


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


def test_views_that_are_coroutines(user):
    async def visit(path: str, **headers: Any) -> Any:
        return await AsyncClient().get(path, headers=headers)

    sent = {"Authorization": bearer(user)["HTTP_AUTHORIZATION"]}
    assert asyncio.run(visit("/async-orders", **sent)).content.decode() == str(user.pk)
    assert asyncio.run(visit("/async-who", **sent)).content.decode() == user.username
    refused = asyncio.run(visit("/async-orders"))
    assert (refused.status_code, refused.json()["error"]) == (401, "token_missing")


def test_views_of_both_kinds_share_a_near_cache_and_a_watch(user):
    async def visit() -> Any:
        return await AsyncClient().get("/async-who", headers={"Authorization": sent})

    conf.forget()
    others = {thread for thread in threading.enumerate() if thread.name == "clusterpass-watch"}
    sent = bearer(user)["HTTP_AUTHORIZATION"]
    for _ in range(2):
        assert Client().get("/who", HTTP_AUTHORIZATION=sent).content.decode() == user.username
        assert asyncio.run(visit()).content.decode() == user.username
    watches = {each for each in threading.enumerate() if each.name == "clusterpass-watch"}
    assert len(watches - others) == 1
    assert conf.installed()._async_sessions is None
    found = sessions().stats().cache
    assert found is not None
    assert (found.entries, found.hits + found.misses) == (1, 4)


def test_views_that_are_classes(user, root):
    refused = Client().get("/report", **bearer(user))
    assert refused.status_code == 403
    assert 'scope="report"' in refused.headers["www-authenticate"]
    assert Client().get("/report", **bearer(root)).content == b"report"


@pytest.mark.parametrize(
    ("path", "of_user", "of_root"),
    [
        ("/api/anyone", 200, 200),
        ("/api/users", 200, 200),
        ("/api/orders", 403, 200),
        ("/api/either", 200, 200),
        ("/api/both", 403, 200),
        ("/api/strict", 200, 200),
    ],
)
def test_permissions_of_the_rest_framework(user, root, path, of_user, of_root):
    assert Client().get(path, **bearer(user)).status_code == of_user
    assert Client().get(path, **bearer(root)).json() == {"user": root.username}
    assert of_root == 200
    anonymous = Client().get(path)
    if path == "/api/anyone":
        assert anonymous.json() == {"user": ""}
    else:
        assert (anonymous.status_code, anonymous.json()["error"]) == (401, "token_missing")
        assert anonymous.headers["www-authenticate"] == "Bearer"


def test_the_rest_framework_says_which_scope_is_missing_and_who_has_to_authenticate(user):
    refused = Client().get("/api/orders", **bearer(user))
    assert refused.headers["content-type"] == "application/problem+json"
    assert 'scope="orders:write"' in refused.headers["www-authenticate"]
    ended = bearer(user)
    sessions().revoke_all(subject_of(user))
    assert Client().get("/api/anyone", **ended).json()["error"] == "session_revoked"


def test_the_rest_framework_checks_cookies(root):
    client = logged_in(root)
    assert client.get("/api/orders").status_code == 200
    refused = client.post("/api/orders")
    assert (refused.status_code, refused.json()["error"]) == (403, "request_refused")
    assert client.post("/api/orders", **ours(client)).status_code == 200
    assert client.post("/api/orders", {"csrf_token": "0"}).status_code == 403
    fields = {"csrfmiddlewaretoken": token(client)}
    assert client.post("/api/orders", fields).status_code == 200


def test_the_command(user):
    phone = bearer(user)
    out = StringIO()
    call_command("clusterpass", "sessions", user.username, stdout=out)
    assert out.getvalue().endswith("  -\n")
    call_command("clusterpass", "kick", user.username, stdout=out)
    assert out.getvalue().endswith("\n1 session ended\n")
    assert who(Client(), **phone) == "nobody"
    call_command("clusterpass", "kick", "someone", "--subject", stdout=out)
    assert out.getvalue().endswith("\n0 sessions ended\n")
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("clusterpass", "kick", "nobody")


def test_the_command_speaks_german(user, capsys):
    out = StringIO()
    with translation.override("de"):
        call_command("clusterpass", "kick", user.username, stdout=out)
        assert out.getvalue() == "0 Sitzungen beendet\n"
        with pytest.raises(CommandError, match="es gibt keinen Benutzer 'nobody'"):
            call_command("clusterpass", "kick", "nobody")
        with pytest.raises(SystemExit):
            call_command("clusterpass", "--help")
    assert "auf allen Servern" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"STORE_URLS": "redis://"}, "did you mean STORE_URL"),
        ({}, "STORE_URL is not set"),
        ({"CLAIMS": "nowhere.claims_of"}, "nowhere"),
        ({"CLAIMS": 5}, "CLAIMS must be a function"),
    ],
)
def test_checks_find_wrong_settings(settings, text):
    assert check_settings() == []
    with override_settings(CLUSTERPASS=settings):
        (found,) = check_settings()
    assert text in found.msg
    assert found.id == "clusterpass.E001"


def test_checks_find_middleware_that_is_missing_or_comes_too_early():
    assert check_middleware() == []
    with override_settings(MIDDLEWARE=MIDDLEWARE[:-1]):
        assert [found.id for found in check_middleware()] == ["clusterpass.E002"]
    with override_settings(MIDDLEWARE=[OURS, *MIDDLEWARE[:-1]]):
        assert [found.id for found in check_middleware()] == ["clusterpass.E003"] * 2


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


@pytest.mark.parametrize("path", ["/who", "/orders", "/api/orders"])
def test_a_browser_comes_back_after_the_answer_that_renewed_it_was_lost(
    user: Any, cp_settings: dict[str, Any], cp_login_as: Any, cp_clock: Any, path: str
) -> None:
    """Though several parts of Django ask who it is in that request."""
    with override_settings(CLUSTERPASS={**cp_settings, "SUBJECT_FIELD": "username"}):
        pair = cp_login_as(Client(), user.username, cookies=True, claims={"scope": "orders:read"})

        def ask(refresh_token: str, access_token: str = "") -> Client:
            client = Client(enforce_csrf_checks=True)
            client.cookies["clusterpass-refresh"] = refresh_token
            if access_token:
                client.cookies["clusterpass-access"] = access_token
            client.get(path)
            return client

        for _ in range(3):
            renewed = ask(pair.refresh_token).cookies
            assert renewed["clusterpass-refresh"].value.startswith("cpr_")
            cp_clock.advance(hours=1)  # nothing of the answer arrived
        renewed = ask(pair.refresh_token).cookies
        ask(renewed["clusterpass-refresh"].value, renewed["clusterpass-access"].value)
        cp_clock.advance(hours=1)
        assert live(user) == 1
        assert not kept(ask(pair.refresh_token)) & COOKIES
        assert live(user) == 0


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


@pytest.mark.parametrize("path", ["/cached", "/cached-async", "/cached-inside", "/api/cached"])
@pytest.mark.parametrize("place", ["cookie", "header"])
def test_a_cache_around_a_view_keeps_users_apart(user, root, path, place):
    cache.clear()
    pages = []
    for each in (user, root):
        client, headers = (Client(), bearer(each)) if place == "header" else (logged_in(each), {})
        first, again = client.get(path, **headers), client.get(path, **headers)
        assert (first.status_code, again.content) == (200, first.content)
        pages.append(first.content)
    assert pages[0] != pages[1]
    assert Client().get(path).status_code == 401


def test_renewed_tokens_are_stored_by_no_cache(user):
    cache.clear()
    tokens = logged_in(user).cookies["clusterpass-refresh"].value
    everywhere = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    with override_settings(MIDDLEWARE=everywhere):
        answers = []
        for _ in range(2):
            client = Client()
            client.cookies["clusterpass-refresh"] = tokens
            answers.append(client.get("/counted"))
        assert set(answers[0].cookies) >= COOKIES
        assert set(answers[0].headers["cache-control"].split(", ")) >= {"no-store", "private"}
        assert "public" not in answers[0].headers["cache-control"]
        assert answers[0].content != answers[1].content, "Django's own cache has stored it"


def looked_at(get_response: Any) -> Any:
    """Middleware that looks at the session before a view does, as a log of audits would."""

    def answer(request: Any) -> Any:
        bool(request.clusterpass_session)
        return get_response(request)

    return answer


def over(client: Client) -> Client:
    """The browser when its access token is over, at a site with that middleware."""
    browser = Client(enforce_csrf_checks=True)  # a client loads the middleware once
    browser.cookies = client.cookies
    del browser.cookies["clusterpass-access"]
    return browser


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/auth/devices"), ("GET", "/orders"), ("POST", "/auth/refresh")],
)
def test_a_request_exchanges_a_refresh_token_once(
    root: Any, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    client = over(logged_in(root))
    exchanged: list[str] = []
    refresh = sessions().refresh

    def noted(token: str, **options: Any) -> Any:
        exchanged.append(token)
        return refresh(token, **options)

    monkeypatch.setattr(sessions(), "refresh", noted)
    with override_settings(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.looked_at"]):
        answer = client.generic(method, path, content_type="application/json", **ours(client))
        assert answer.status_code == 200
    assert len(exchanged) == 1
    assert client.cookies["clusterpass-refresh"].value not in exchanged
    assert who(client) == root.username


def test_a_logout_after_a_renewal_ends_the_session(root: Any) -> None:
    client = over(logged_in(root))
    with override_settings(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.looked_at"]):
        assert client.post("/auth/logout", **ours(client)).status_code == 303
    assert live(root) == 0


def test_tokens_of_another_library_are_exchanged_once_and_need_no_csrf_token(
    root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.conf import settings

    old = {**settings.CLUSTERPASS, "OLD_REFRESH_COOKIE": "theirs"}
    middleware = [OURS, f"{__name__}.looked_at"]
    with override_settings(CLUSTERPASS=old, MIDDLEWARE=middleware):
        subject, claims = subject_of(root), conf.installed().claims_of(root)
        exchanged: list[str] = []

        def exchange(token: str, **_: Any) -> Any:
            exchanged.append(token)
            return sessions().login(subject, claims=claims)

        monkeypatch.setattr(sessions(), "refresh", exchange)
        for origin, status in (("same-origin", 200), ("cross-site", 403)):
            client = Client(enforce_csrf_checks=True)
            client.cookies["theirs"] = "a token of another library"
            answer = client.post("/orders", headers={"Sec-Fetch-Site": origin})
            assert answer.status_code == status
        assert exchanged == ["a token of another library"]


def test_a_csrf_token_may_come_in_the_form_and_in_the_header(root: Any) -> None:
    client = logged_in(root)
    field = {"csrf_token": client.cookies["clusterpass-csrf"].value}
    assert client.post("/auth/logout-all", {"csrf_token": "0"}, **ours(client)).status_code == 403
    assert client.post("/auth/logout-all", field, **ours(client)).status_code == 303
    assert live(root) == 0


def test_a_decorator_that_is_given_a_view_for_a_scope_refuses_it() -> None:
    def view(request: Any) -> None: ...

    from clusterpass.integrations.drf import HasScope

    for decorate in (lambda: session_required(scope=view), lambda: HasScope(view)):
        with pytest.raises(ConfigurationError, match="with parentheses"):
            decorate()


def limited(**more: Any) -> Any:
    """The settings of a site on which an account has three attempts."""
    backends = [
        "clusterpass.integrations.django.backends.LoginThrottle",
        "django.contrib.auth.backends.ModelBackend",
    ]
    values = {**settings.CLUSTERPASS, "ACCOUNT_ATTEMPTS": 3}
    return override_settings(AUTHENTICATION_BACKENDS=backends, CLUSTERPASS=values, **more)


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_guesses_are_limited_where_passwords_are_checked(user, root, path) -> None:
    known, others = (root, user) if path.startswith("/admin") else (user, root)
    with limited():
        form = {"username": known.username, "next": "/who"}
        browser = Client()
        for _ in range(5):
            answer = browser.post(path, {**form, "password": "pw"})
            assert answer.status_code == 302, "logins that succeed are given back"
        assert browser.cookies["clusterpass-device"]["samesite"] == "Strict"
        for _ in range(3):
            assert Client().post(path, {**form, "password": "guess"}).status_code == 200
        refused = Client().post(path, {**form, "password": "pw"})
        assert (refused.status_code, refused.json()["error"]) == (429, "too_many_attempts")
        assert 1 <= int(refused["Retry-After"]) <= 300
        assert browser.post(path, {**form, "password": "pw"}).status_code == 302, "it is known"
        form["username"] = others.username
        assert Client().post(path, {**form, "password": "pw"}).status_code in {200, 302}


async def test_guesses_are_limited_for_coroutines_too(user) -> None:
    from django.contrib.auth import aauthenticate
    from django.http import HttpRequest

    with limited():
        request = HttpRequest()
        assert await aauthenticate(request, username=user.username, password="pw") == user
        answers = []
        for password in ("guess", "guess", "guess", "pw"):
            form = {"username": user.username, "password": password}
            answers.append((await AsyncClient().post("/login/", form)).status_code)
        assert answers == [200, 200, 200, 429]


def test_tests_log_in_as_before(user) -> None:
    with limited():
        client = Client()
        client.force_login(user)
        assert client.session["_auth_user_backend"].endswith("ModelBackend")
        assert Client().login(username=user.username, password="pw")


@pytest.mark.parametrize(
    ("body", "status"),
    [("{{{", 400), ("[" * 200_000, 400), ('{"a":' * 100_000, 400), ("", 401)],
)
def test_a_refresh_whose_body_is_no_json_is_told_so(body, status):
    answer = Client().post("/auth/refresh", body, content_type="application/json")
    assert answer.status_code == status
