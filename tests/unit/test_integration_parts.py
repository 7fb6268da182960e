"""Shared parts of the integrations, and small pieces of single ones.

Among them are managers, settings, WebSockets, forms, commands and permissions.
"""

import asyncio
import threading
from argparse import ArgumentParser
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from flask import Flask

from clusterpass import (
    AsyncSessionManager,
    ClusterPassError,
    Config,
    ConfigurationError,
    KeyRing,
    TokenMissing,
    TokenPair,
)
from clusterpass.integrations import commands, drf, starlette
from clusterpass.integrations.async_base import AsyncBase
from clusterpass.integrations.channels_connection import Connection, refuse
from clusterpass.integrations.django import checks, urls
from clusterpass.integrations.django.management.commands import clusterpass as of_django
from clusterpass.integrations.flask import ClusterPass
from clusterpass.integrations.grants import ask_application
from clusterpass.integrations.litestar_requests import visit_of
from clusterpass.integrations.server_sent_events import HEADERS, KEEP_ALIVE, MEDIA_TYPE
from clusterpass.integrations.streams import StreamEnd
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.refresh_secrets import new_refresh_secret
from clusterpass.web.csrf import CsrfTokens
from clusterpass.web.gate import Visit
from clusterpass.web.known_devices import KnownDevices
from clusterpass.web.login_attempts import DEVICE_HEADER
from clusterpass.web.messages import WebAnswer
from clusterpass.web.needs import Needs

from .gate_scene import PAIR, SESSION
from .web_request import FakeRequest

SETTINGS: dict[str, Any] = {
    "store_url": "redis://127.0.0.1",
    "issuer": "https://shop.example",
    "keys": KeyRing.generate(),
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
COOKIE = {"__Host-clusterpass-access": "a.b.c"}


@pytest.mark.parametrize(
    ("request_", "reads"),
    [
        (FakeRequest("POST", headers=FORM, cookies=COOKIE), True),
        (FakeRequest("GET", headers=FORM, cookies=COOKIE), False),
        (FakeRequest("POST", headers={"Content-Type": "text/plain"}, cookies=COOKIE), False),
        (FakeRequest("POST", headers=FORM | {"X-CSRF-Token": "x"}, cookies=COOKIE), False),
        (FakeRequest("POST", headers=FORM), False),
        (FakeRequest("POST", headers=FORM | {"Authorization": "Bearer a.b.c"}), False),
        (FakeRequest("POST", headers=FORM | {"Authorization": ["Bearer a", "Bearer b"]}), False),
        (FakeRequest("POST", headers=FORM | {"Authorization": "Basic x"}), False),
    ],
)
def test_the_body_is_read_only_where_its_form_must_have_the_token(
    request_: FakeRequest, reads: bool
) -> None:
    base = AsyncBase(**SETTINGS)
    name = base.gate.settings.cookies.access.name
    renamed = request_._headers.get("cookie", [""])[0].replace(next(iter(COOKIE)), name)
    if renamed:
        request_._headers["cookie"] = [renamed]
    request_._headers = {
        key.replace("x-csrf-token", base.gate.settings.csrf_header.lower()): value
        for key, value in request_._headers.items()
    }
    assert base._reads_form(request_) is reads


class Manager:
    """A manager that notes whether it was closed."""

    closed = 0

    async def close(self) -> None:
        self.closed += 1

    def recall(self, _: str) -> None:
        return None


def test_a_manager_is_opened_once_and_closed_unless_it_is_the_application_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[Any] = []

    def from_url(url: str, config: Any) -> Manager:
        opened.append((url, config.issuer))
        return Manager()

    monkeypatch.setattr(AsyncSessionManager, "from_url", from_url)
    base = AsyncBase(**SETTINGS)
    first: Any = base.open()
    assert base.sessions is first
    asyncio.run(base.close())
    asyncio.run(base.close())
    assert first.closed == 1
    assert base.open() is not first
    assert opened == [("redis://127.0.0.1", "https://shop.example")] * 2
    config = Config(issuer="https://own.example", keys=SETTINGS["keys"])
    own: Any = Manager()
    own.config = config
    base = AsyncBase(own)
    assert base.open() is base.sessions is own
    asyncio.run(base.close())
    assert own.closed == 0
    assert base._setup.config.issuer == "https://own.example"


def test_csrf_tokens_are_made_of_the_secrets_of_the_manager_that_is_given() -> None:
    private, secret = SETTINGS["keys"].signing_key, new_refresh_secret()
    wrapping = new_encryption_key()
    apart = KeyRing.with_signer(private.jwk(private=False), private)
    for keys, secrets in (
        (KeyRing.in_store(), {"key_encryption_keys": (wrapping,)}),
        (KeyRing.in_store(), {"key_encryption_keys": (wrapping,), "refresh_secrets": (secret,)}),
        (apart, {"refresh_secrets": (secret,)}),
        (SETTINGS["keys"], {"refresh_secrets": (secret,)}),
    ):
        own: Any = Manager()
        own.config = Config(issuer="https://own.example", keys=keys, **secrets)
        base, app = AsyncBase(own), Flask("shop")
        ClusterPass().init_app(app, own)
        extension = app.extensions["clusterpass"]
        shared = secrets.get("refresh_secrets") or secrets["key_encryption_keys"]
        expected = CsrfTokens(KeyRing.generate(), shared).make("session")
        for gate, attempts in (
            (base.gate, base._attempts),
            (extension.gate, extension.attempts),
        ):
            assert gate.csrf is not None
            assert gate.csrf.make("session") == expected
            token = attempts._devices.make("alice")
            devices = KnownDevices(KeyRing.generate(), shared, secure=True)
            assert devices.known(token, "alice")


def test_no_setting_comes_before_the_manager_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTERPASS_KEYS_FILE", "/nowhere/keys.json")
    monkeypatch.setenv("CLUSTERPASS_COOKIE_SECURE", "false")
    own: Any = Manager()
    own.config = Config(issuer="https://own.example", keys=SETTINGS["keys"])
    base = AsyncBase(own)
    assert base._setup.config is own.config
    assert not base.gate.settings.cookie_secure
    with pytest.raises(ConfigurationError, match="COOKIE_SECURE"):
        AsyncBase(own, cookie_secur=False)


def test_settings_come_from_the_environment_unless_they_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CLUSTERPASS_STORE_URL", "redis://other")
    monkeypatch.setenv("CLUSTERPASS_ISSUER", "https://env.example")
    base = AsyncBase.from_env(issuer="https://shop.example", keys=SETTINGS["keys"])
    assert base._setup.store_url == "redis://other"
    assert base._setup.config.issuer == "https://shop.example"


async def refused(extensions: Any) -> list[Any]:
    sent: list[Any] = []
    asked = []

    async def receive() -> Any:
        asked.append("connect")

    async def send(message: Any) -> None:
        assert asked == ["connect"]
        sent.append(message)

    answer = WebAnswer(403, {"error": "x"}, "application/problem+json", (("X-A", "b"),))
    scope = {} if extensions is None else {"extensions": extensions}
    await refuse(scope, receive, send, TokenMissing(), answer)
    return sent


@pytest.mark.parametrize("extensions", [None, {}, {"other": {}}])
def test_a_handshake_is_refused_by_a_close_where_nothing_else_can_be_sent(extensions: Any) -> None:
    assert asyncio.run(refused(extensions)) == [
        {"type": "websocket.close", "code": 4401, "reason": "token_missing: missing"}
    ]


def test_a_handshake_is_refused_by_an_answer_where_the_server_can() -> None:
    assert asyncio.run(refused({"websocket.http.response": {}})) == [
        {
            "type": "websocket.http.response.start",
            "status": 403,
            "headers": [(b"content-type", b"application/problem+json"), (b"x-a", b"b")],
        },
        {"type": "websocket.http.response.body", "body": b'{"error":"x"}'},
    ]


async def test_a_socket_that_is_closed_from_here_is_over_for_its_application() -> None:
    sent: list[Any] = []
    never = asyncio.Event()
    first = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if not first:
            await never.wait()
        return first.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    connection = Connection(receive, send)
    assert (await connection.receive())["type"] == "websocket.connect"
    await connection.send({"type": "websocket.accept"})
    await connection.close(4401, "over")
    await connection.close(4403, "again")
    over = {"type": "websocket.disconnect", "code": 4401, "reason": "over"}
    assert await connection.receive() == over
    await connection.send({"type": "websocket.send", "text": "late"})
    assert sent == [
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": 4401, "reason": "over"},
    ]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await connection.receive()


async def test_a_socket_that_its_application_closes_is_closed_once() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.receive", "text": "x"}

    connection = Connection(receive, send)
    await connection.send({"type": "websocket.close", "code": 1000})
    await connection.close(4401, "over")
    await connection.send({"type": "websocket.close", "code": 1001})
    assert sent == [{"type": "websocket.close", "code": 1000}]
    assert (await connection.receive())["text"] == "x"


async def test_a_client_that_has_left_is_no_fault() -> None:
    async def send(_: Any) -> None:
        raise OSError

    async def receive() -> Any:
        await asyncio.Event().wait()

    connection = Connection(receive, send)
    await connection.close(4401, "over")
    assert (await connection.receive())["code"] == 4401


def test_a_request_that_the_plugin_has_not_seen_is_a_fault_of_the_application() -> None:
    connection: Any = SimpleNamespace(scope={})
    with pytest.raises(ConfigurationError, match="add ClusterPass to the plugins"):
        visit_of(connection)


async def test_a_function_of_the_application_runs_where_it_stalls_nobody() -> None:
    here = threading.get_ident()
    ran: list[int] = []

    def plain(name: str, password: str) -> str:
        ran.append(threading.get_ident())
        return f"{name} {password}"

    async def coroutine(name: str, password: str) -> str:
        return plain(name, password)

    async def unheard(_: str) -> None:
        raise AssertionError

    class Object:
        async def __call__(self, name: str, password: str) -> str:
            return plain(name, password)

    for function, is_here in ((plain, False), (coroutine, True), (Object(), True)):
        ran.clear()
        granted = await ask_application(function, "alice", "pw", unheard)
        assert granted == {"subject": "alice pw"}
        assert (ran == [here]) is is_here
    granted = await ask_application(lambda *_: coroutine("a", "b"), "x", "y", unheard)
    assert granted == {"subject": "a b"}


def test_the_last_event_of_a_stream() -> None:
    ends = [StreamEnd(code, "why") for code in (4401, 4403, 4503)]
    assert [each.event for each in ends] == ["session_ended", "forbidden", "unavailable"]
    assert [each.retry is None for each in ends] == [True, True, False]
    assert all(5000 <= (StreamEnd(4503, "").retry or 0) < 10_000 for _ in range(100))
    assert ends[0].fields() == {
        "event": "session_ended",
        "data": '{"code": 4401, "reason": "why"}',
        "retry": None,
    }
    assert (MEDIA_TYPE, KEEP_ALIVE) == ("text/event-stream", 15.0)
    assert HEADERS == {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Opened:
    """A manager that a command opens."""

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def sessions(self, subject: str) -> list[Any]:
        assert subject == "alice"
        return [
            SimpleNamespace(session_id="one", device="phone"),
            SimpleNamespace(session_id="two", device=None),
        ]

    def revoke_all(self, subject: str) -> Any:
        return SimpleNamespace(count=len(subject))


def test_the_commands_of_a_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    group = commands.add_commands(click.Group("shop"), Opened)
    assert set(group.commands) == {"sessions", "kick"}
    listed = CliRunner().invoke(group, ["sessions", "alice"])
    assert listed.output == "one  phone\ntwo  -\n"
    assert CliRunner().invoke(group, ["kick", "bob"]).output == "3 sessions ended\n"
    with pytest.raises(click.UsageError, match="opens its session manager itself"):
        commands.open_manager(None)
    opened: list[Any] = []
    monkeypatch.setattr(
        commands, "SessionManager", SimpleNamespace(from_url=lambda *given: opened.append(given))
    )
    setup: Any = SimpleNamespace(store_url="redis://h", config="config")
    commands.open_manager(setup)
    assert opened == [("redis://h", "config")]


@pytest.mark.parametrize(("to_browser", "name"), [(True, "Set-Cookie"), (False, DEVICE_HEADER)])
async def test_a_device_is_known_by_a_cookie_or_by_a_header_as_the_application_says(
    monkeypatch: pytest.MonkeyPatch, to_browser: bool, name: str
) -> None:
    async def login(subject: str, **_: Any) -> TokenPair:
        return PAIR

    async def counted(username: str, **_: Any) -> None:
        assert username == "alice"

    own: Any = Manager()
    own.config, own.login = Config(issuer="i", keys=SETTINGS["keys"]), login
    base = AsyncBase(own)
    throttle = SimpleNamespace(admit=counted, forget=counted)
    monkeypatch.setattr(base, "_throttle", lambda: throttle)
    visit = Visit(FakeRequest("POST", headers={"Sec-Fetch-Site": "same-origin"}))
    await base._count_attempt(visit, "alice")
    assert visit.headers == []
    await base._log_in(visit, "alice", {"to_browser": to_browser})
    device, *_ = visit.headers
    assert device[0] == name


def test_the_urls_of_django_have_names() -> None:
    named = {f"{urls.app_name}:{each.name}": str(each.pattern) for each in urls.urlpatterns}
    assert named == {
        "clusterpass:refresh": "refresh",
        "clusterpass:logout": "logout",
        "clusterpass:logout-all": "logout-all",
        "clusterpass:devices": "devices",
        "clusterpass:device": "devices/<str:session_id>",
    }


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (["sessions", "auth", "ours"], []),
        (["sessions", "auth"], ["clusterpass.E002"]),
        (["sessions", "ours", "auth"], ["clusterpass.E003"]),
        (["ours"], []),
    ],
)
def test_what_django_s_check_finds_can_be_silenced_by_its_id(
    monkeypatch: pytest.MonkeyPatch, order: list[str], found: list[str]
) -> None:
    names = {
        "sessions": "django.contrib.sessions.middleware.SessionMiddleware",
        "auth": "django.contrib.auth.middleware.AuthenticationMiddleware",
        "ours": "clusterpass.integrations.django.middleware.ClusterPassMiddleware",
    }
    middleware = [names[each] for each in order]
    monkeypatch.setattr(checks, "settings", SimpleNamespace(MIDDLEWARE=middleware))
    monkeypatch.setattr(checks, "_", str)
    assert [each.id for each in checks.check_middleware()] == found


def test_the_help_of_django_s_command_says_what_a_name_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_django, "_", str)
    parser = ArgumentParser()
    of_django.Command().add_arguments(parser)
    shown = " ".join(parser.format_help().split())
    assert "List or end the sessions of a user, on every server." in shown
    assert "name what the user logs in with" in shown
    assert "--subject NAME is the subject itself" in shown


async def test_a_lifespan_of_starlette_closes_the_manager_that_it_has_opened() -> None:
    ours = {"store_url": "redis+cluster://127.0.0.1:1", "issuer": "https://shop.example"}
    integration = starlette.ClusterPass(**ours, keys=KeyRing.generate())
    async with integration.lifespan():
        opened = integration.open()
    with pytest.raises(ClusterPassError, match="closed"):
        await opened.sessions("alice")


def test_a_permission_of_rest_framework_asks_for_all_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Needs] = []
    state = SimpleNamespace(admit=lambda needs, _: asked.append(needs))
    monkeypatch.setattr(drf, "state_of", lambda _: state)
    more: dict[str, Any] = {"level": "2", "max_auth_age": 60, "not_banned": "shop", "strict": True}
    permission = drf.HasScope("orders:write", **more)()
    assert permission.has_permission(SimpleNamespace(_request=None, auth=SESSION), None)
    assert asked == [Needs(scopes=("orders:write",), **more)]
