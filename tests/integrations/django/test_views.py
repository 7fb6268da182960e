"""Views that need a session: coroutines, classes, REST framework; checks and the command."""

import asyncio
import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client, override_settings
from django.utils import translation

from clusterpass import ConfigurationError
from clusterpass.integrations.django import conf, session_required, sessions, subject_of
from clusterpass.integrations.django.checks import check_middleware, check_settings
from tests.integrations.django_site import MIDDLEWARE, OURS

from .browser import bearer, logged_in, ours, token, who


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


def test_a_decorator_that_is_given_a_view_for_a_scope_refuses_it() -> None:
    def view(request: Any) -> None: ...

    from clusterpass.integrations.drf import HasScope

    for decorate in (lambda: session_required(scope=view), lambda: HasScope(view)):
        with pytest.raises(ConfigurationError, match="with parentheses"):
            decorate()
