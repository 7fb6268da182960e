"""A password that Django refuses is in the audit trail and in the user's history, once."""

import itertools
from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncClient, Client, override_settings

from clusterpass import AuditEntry
from clusterpass.cli.local_setup import write_keys
from clusterpass.integrations.django import acting, conf, session_required, sessions, subject_of

from .django_site import configure

THROTTLED = [
    "clusterpass.integrations.django.backends.LoginThrottle",
    "django.contrib.auth.backends.ModelBackend",
]
ADDRESS = "192.0.2.77"
_numbers = itertools.count()


class OwnDirectory:
    """A backend of an application that notes what it refuses."""

    def authenticate(self, request: Any, username: str = "", password: str = "") -> None:
        sessions().login_failed(username, address="192.0.2.1")


OWN = f"{__name__}.OwnDirectory"


@pytest.fixture(scope="module", autouse=True)
def site(cluster_url: str, tmp_path_factory: pytest.TempPathFactory):
    keys_file = tmp_path_factory.mktemp("site") / "keys.json"
    write_keys(keys_file)
    configure(
        STORE_URL=f"{cluster_url}?namespace=refused-django",
        ISSUER="https://site.example",
        KEYS_FILE=str(keys_file),
        AUDIT=True,
        TRUSTED_PROXIES=["127.0.0.1/32"],
    )
    yield
    conf.forget()
    from django.db import connections

    connections.close_all()


@pytest.fixture
def user() -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_user(f"refused{next(_numbers)}", password="pw")


def guess(name: str, password: str = "a guess", path: str = "/api-login") -> int:
    client = Client(headers={"X-Forwarded-For": ADDRESS}, raise_request_exception=False)
    return client.post(path, {"username": name, "password": password}).status_code


def refusals(subject: str) -> list[AuditEntry]:
    manager = sessions()
    manager.audit.flush()
    entries = manager.audit.page(limit=1000).entries
    return [each for each in entries if each.outcome == "refused" and each.subject == subject]


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_a_password_that_a_form_of_django_refuses_is_noted(user, path) -> None:
    sessions().login(subject_of(user))
    assert guess(user.username, path=path) == 200
    (entry,) = refusals(subject_of(user))
    assert (entry.action, entry.error, entry.address) == ("login", "invalid_credentials", ADDRESS)
    (line,) = [each for each in sessions().history(subject_of(user)) if each.kind == "refused"]
    assert (line.count, line.address) == (1, ADDRESS)


def test_a_name_that_nobody_has_is_not_taken_for_a_primary_key(user) -> None:
    sessions().login(subject_of(user))
    guess(subject_of(user), path="/login/")
    assert refusals(subject_of(user)) == []
    assert "refused" not in {each.kind for each in sessions().history(subject_of(user))}
    assert len(refusals(f"unknown:{subject_of(user)}")) == 1


def test_names_that_are_subjects_are_noted_as_they_were_typed(user) -> None:
    with override_settings(CLUSTERPASS={**settings.CLUSTERPASS, "SUBJECT_FIELD": "username"}):
        for name in (user.username, f"no-{user.username}"):
            guess(name, path="/login/")
            assert len(refusals(name)) == 1


def test_what_the_throttle_refuses_is_noted(user) -> None:
    few = {**settings.CLUSTERPASS, "ACCOUNT_ATTEMPTS": 1}
    with override_settings(AUTHENTICATION_BACKENDS=THROTTLED, CLUSTERPASS=few):
        assert guess(user.username, path="/login/") == 200
        assert guess(user.username, path="/login/") == 429
        codes = [each.error for each in refusals(subject_of(user))]
    assert codes == ["invalid_credentials", "too_many_attempts"]


def test_what_a_backend_has_noted_is_not_noted_again(user) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[OWN]):
        guess(user.username, path="/login/")
        (entry,) = refusals(user.username)
        assert entry.address == "192.0.2.1"
    assert refusals(subject_of(user)) == []


async def test_a_view_that_is_a_coroutine_notes_it_too(user) -> None:
    from asgiref.sync import sync_to_async

    form = {"username": user.username, "password": "a guess"}
    await AsyncClient(headers={"X-Forwarded-For": ADDRESS}).post("/login/", form)
    (entry,) = await sync_to_async(refusals)(subject_of(user))
    assert entry.error == "invalid_credentials"


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 400])
def test_a_name_that_no_account_can_have_breaks_nothing(name) -> None:
    assert guess(name, path="/login/") == 200


def test_without_a_store_the_form_says_that_the_password_is_wrong(user) -> None:
    away = {**settings.CLUSTERPASS, "STORE_URL": "redis+cluster://127.0.0.1:1"}
    with override_settings(CLUSTERPASS=away):
        assert guess(user.username, path="/login/") == 200


def test_an_act_in_a_request_is_attributed(user) -> None:
    from django.http import HttpResponse
    from django.test import RequestFactory

    from clusterpass.integrations.django.middleware import ClusterPassMiddleware

    victim, pair = f"victim-{user.pk}", sessions().login(subject_of(user))

    @session_required()
    def end(request: Any) -> HttpResponse:
        with acting(request):
            sessions().revoke_all(victim)
        return HttpResponse()

    sessions().login(victim)
    bearer = {"Authorization": f"Bearer {pair.access_token}", "X-Forwarded-For": ADDRESS}
    answer = ClusterPassMiddleware(end)(RequestFactory(headers=bearer).post("/end"))
    assert answer.status_code == 200
    entries = sessions().audit.page(limit=1000).entries
    (entry,) = [each for each in entries if each.subject == victim and each.action == "revoke_all"]
    assert (entry.actor, entry.via, entry.address) == (subject_of(user), "http", ADDRESS)
