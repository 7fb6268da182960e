"""The CSRF check under Django: requests that Django's own check has covered, and all others."""

from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass.integrations.django import csrf
from clusterpass.integrations.django.csrf import has_django_check, is_genuine
from clusterpass.web.settings import WebSettings

WEB = WebSettings(cookie_secure=False)
DJANGOS = "django.middleware.csrf.CsrfViewMiddleware"


class Check:
    """Stands for Django's check of its own token."""

    refusal: Any = None
    asked = 0

    def __init__(self, _: Any) -> None:
        """Asks nothing yet."""

    def process_request(self, _: Any) -> None:
        Check.asked += 1

    def process_view(self, *_: Any) -> Any:
        return Check.refusal


@pytest.fixture(autouse=True)
def django(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings of Django, with its middleware."""
    made = SimpleNamespace(MIDDLEWARE=["first", DJANGOS], CSRF_HEADER_NAME="HTTP_X_CSRFTOKEN")
    monkeypatch.setattr(csrf, "settings", made)
    monkeypatch.setattr(csrf, "_Check", Check)
    installed = SimpleNamespace(gate=SimpleNamespace(settings=WEB))
    monkeypatch.setattr(csrf, "installed", lambda: installed)
    monkeypatch.setattr(Check, "refusal", None)
    monkeypatch.setattr(Check, "asked", 0)
    return made


def request(method: str = "POST", form: Any = None, **sent: Any) -> Any:
    headers = {name: value for name, value in sent.items() if name.islower()}
    meta = {name: value for name, value in sent.items() if name.isupper()}
    return SimpleNamespace(
        method=method,
        POST=form or {},
        META={"CONTENT_TYPE": "application/x-www-form-urlencoded", **meta},
        headers={"content-type": "application/x-www-form-urlencoded", **headers},
        content_type="application/x-www-form-urlencoded",
    )


def test_who_sends_djangos_token_is_judged_by_django() -> None:
    for asked in (
        request(HTTP_X_CSRFTOKEN="x"),
        request(form={"csrfmiddlewaretoken": "x"}),
        request("DELETE", HTTP_X_CSRFTOKEN="x"),
    ):
        assert is_genuine(asked) is True
    Check.refusal = "wrong"
    assert is_genuine(request(HTTP_X_CSRFTOKEN="x")) is False
    assert Check.asked == 4


def test_what_django_has_checked_or_is_told_not_to_check_is_genuine() -> None:
    for name in ("csrf_processing_done", "_dont_enforce_csrf_checks"):
        asked = request()
        setattr(asked, name, True)
        assert is_genuine(asked) is True
        setattr(asked, name, False)
        assert is_genuine(asked) is False
    assert Check.asked == 0


def test_nothing_else_is_taken_for_genuine(django: Any) -> None:
    own = {WEB.csrf_header.lower(): "wrong"}
    for asked in (
        request(),
        request("GET", HTTP_X_CSRFTOKEN="x"),
        request("HEAD", HTTP_X_CSRFTOKEN="x"),
        request(HTTP_X_CSRFTOKEN="x", **own),
        request(HTTP_X_CSRFTOKEN="x", form={WEB.csrf_field: "wrong"}),
    ):
        assert is_genuine(asked) is False
    django.MIDDLEWARE = ["first"]
    assert has_django_check() is False
    assert is_genuine(request(HTTP_X_CSRFTOKEN="x")) is False
    django.MIDDLEWARE = ["shop.OurCsrfViewMiddleware"]
    assert has_django_check() is True
    assert Check.asked == 0
