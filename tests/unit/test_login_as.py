"""``LoginAs`` of the test clients: the tokens that a client sends after a login."""

from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import Config, KeyRing, TokenPair
from clusterpass.testing.clients import LoginAs
from clusterpass.web.settings import WebSettings

CONFIG = Config(issuer="https://auth.example", keys=KeyRing.generate())


class Sessions:
    """Logs in; each access token is another one."""

    config = CONFIG

    def __init__(self) -> None:
        self.logins: list[tuple[str, dict[str, Any]]] = []

    def login(self, subject: str, **options: Any) -> TokenPair:
        self.logins.append((subject, options))
        access, refresh = f"access {len(self.logins)}", f"refresh {len(self.logins)}"
        return TokenPair(access, refresh, 900, "s" * 22, subject, durable=True)


class QuartClient:
    """As that of Quart, which has no headers of its own."""

    def __init__(self) -> None:
        self.cookie_jar = object()
        self.sent: list[dict[str, str]] = []
        self.cookies: dict[str, str] = {}

    async def open(self, _: str, *, headers: Any = None) -> None:
        self.sent.append(dict(headers or {}))

    def set_cookie(self, server: str, name: str, value: str) -> None:
        assert server == "localhost"
        self.cookies[name] = value


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def login_as(sessions: Sessions) -> LoginAs:
    return LoginAs(sessions, WebSettings(cookie_secure=False))  # type: ignore[arg-type]


async def test_a_client_of_quart_sends_the_tokens_of_the_latest_login(
    login_as: LoginAs, sessions: Sessions
) -> None:
    client = QuartClient()
    for _ in range(2):
        login_as(client, "alice", device="phone")
    await client.open("/", headers={"Accept": "text/html"})
    await client.open("/")
    assert client.sent == [
        {"Authorization": "Bearer access 2", "Accept": "text/html"},
        {"Authorization": "Bearer access 2"},
    ]
    assert sessions.logins == [("alice", {"device": "phone"})] * 2
    login_as(client, "alice", cookies=True)
    await client.open("/")
    assert "Authorization" not in client.sent[-1], "the cookies count"
    assert client.sent[-1].keys() == {WebSettings().csrf_header}
    assert {"access 3", "refresh 3", *client.sent[-1].values()} == {*client.cookies.values()}


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (SimpleNamespace(environ_base={}), "HTTP_AUTHORIZATION"),
        (SimpleNamespace(defaults={}), "HTTP_AUTHORIZATION"),
        (SimpleNamespace(headers={}), "Authorization"),
    ],
    ids=["Flask", "Django", "httpx"],
)
def test_a_client_sends_the_access_token(login_as: LoginAs, client: Any, name: str) -> None:
    login_as(client, "alice")
    (headers,) = vars(client).values()
    assert headers == {name: "Bearer access 1"}


def test_a_client_of_an_unknown_kind_is_refused(login_as: LoginAs) -> None:
    with pytest.raises(TypeError, match="SimpleNamespace is no test client"):
        login_as(SimpleNamespace(), "alice")
