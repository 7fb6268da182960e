"""Lookup of opaque fastapi-users tokens in Redis for the migration."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import ConfigurationError, StoreUnavailable
from clusterpass.migrate import FastAPIUsersRedis, OldToken, OldUser, fastapi_users_redis

NOW = 1_800_000_000


class Client:
    """Holds one token for a user, with the milliseconds that are left of it."""

    def __init__(self, user: Any = "7", left: int = 30_000) -> None:
        self.user, self.left = user, left
        self.asked: list[tuple[str, str]] = []

    async def get(self, name: str, /) -> Any:
        self.asked.append(("get", name))
        if isinstance(self.user, Exception):
            raise self.user
        return self.user

    async def pttl(self, name: str, /) -> int:
        self.asked.append(("pttl", name))
        return self.left


def look_up(client: Client, token: Any = "t", **options: Any) -> OldToken | None:
    return asyncio.run(FastAPIUsersRedis(client, lifetime=60, **options).look_up(token))


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastapi_users_redis, "time", SimpleNamespace(time=lambda: NOW + 0.9))


@pytest.mark.parametrize("user", ["7", b"7"])
def test_what_a_token_stands_for(user: Any) -> None:
    client = Client(user)
    assert look_up(client) == OldToken(
        text="t",
        subject="7",
        kind="access",
        issued_at=NOW - 30,
        expires_at=NOW + 30,
        is_exchangeable=True,
        issuer="fastapi-users-redis",
    )
    key = "fastapi_users_token:t"
    assert client.asked == [("get", key), ("pttl", key)]
    client = Client(user)
    assert look_up(client, key_prefix="other:")
    assert client.asked[0] == ("get", "other:t")


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(0, 0), (999, 0), (1000, 1), (60_000, 60), (60_999, 60), (61_000, None), (-1, None)],
)
def test_a_token_has_to_expire_within_its_lifetime(
    left: int, seconds: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    found = look_up(Client(left=left))
    assert (found and found.expires_at) == (None if seconds is None else NOW + seconds)
    assert ("does not expire within lifetime (60 s)" in caplog.text) is (seconds is None)


def test_why_tokens_are_refused_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    old = FastAPIUsersRedis(Client(left=-1), lifetime=60)
    for _ in range(2):
        assert asyncio.run(old.look_up("t")) is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("token", ["x" * 257, "a\nb", b"t", None])
def test_what_cannot_be_a_token_is_not_looked_up(token: Any) -> None:
    client = Client()
    assert look_up(client, token) is None
    assert client.asked == []
    assert look_up(client, "x" * 256)


def test_a_token_that_nobody_knows_and_a_store_that_is_away() -> None:
    assert look_up(Client(None)) is None
    with pytest.raises(StoreUnavailable) as caught:
        look_up(Client(OSError("gone")))
    assert caught.value.reason == "connection"


@pytest.mark.parametrize("lifetime", [0, 10 * 366 * 86_400 + 1, 1.5, True])
def test_what_is_no_lifetime(lifetime: Any) -> None:
    with pytest.raises(ConfigurationError, match="lifetime"):
        FastAPIUsersRedis(Client(), lifetime=lifetime)
    for fitting in (1, 10 * 366 * 86_400):
        assert FastAPIUsersRedis(Client(), lifetime=fitting).lifetime == fitting


def test_a_user_without_options_has_none() -> None:
    assert (OldUser("7").subject, OldUser("7").options) == ("7", {})
    OldUser("7").options["device"] = "phone"
    assert OldUser("7").options == {}
