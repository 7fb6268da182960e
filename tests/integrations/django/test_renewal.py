"""Tokens that are renewed while Django answers: once for each request, and stored by no cache."""

from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client, override_settings

from clusterpass.integrations.django import conf, sessions, subject_of
from tests.integrations.django_site import MIDDLEWARE, OURS

from .browser import COOKIES, bearer, kept, live, logged_in, ours, who


def test_an_access_token_that_is_over_is_renewed_for_django_too(user):
    client = logged_in(user)
    del client.cookies["clusterpass-access"]
    assert who(client) == user.username
    assert kept(client) >= COOKIES


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


@pytest.mark.parametrize(
    ("body", "status"),
    [("{{{", 400), ("[" * 200_000, 400), ('{"a":' * 100_000, 400), ("", 401)],
)
def test_a_refresh_whose_body_is_no_json_is_told_so(body, status):
    answer = Client().post("/auth/refresh", body, content_type="application/json")
    assert answer.status_code == status
