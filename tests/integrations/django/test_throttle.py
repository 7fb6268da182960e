"""Attempts to log in are limited where Django checks passwords."""

from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncClient, Client, override_settings


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
