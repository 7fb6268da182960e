"""The opaque tokens of fastapi-users, which its own RedisStrategy wrote to a real server."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis.asyncio
from fastapi_users.authentication import RedisStrategy

from clusterpass import (
    Config,
    EmbeddedCluster,
    InvalidRefreshToken,
    SessionRevoked,
    StoreUnavailable,
    TokenMalformed,
)
from clusterpass.migrate import AsyncMigratingSessionManager, FastAPIUsersRedis
from clusterpass.model.errors import ConfigurationError
from tests.ports import free_port


@pytest.fixture(scope="module")
def old_server() -> Iterator[int]:
    """The port of the server of the old application, which has all the slots there are."""
    with EmbeddedCluster(nodes=1) as server:
        yield server.nodes[0].port


@pytest.fixture
async def client(old_server: int) -> AsyncIterator[Any]:
    opened = redis.asyncio.Redis(port=old_server, decode_responses=True)
    yield opened
    await opened.aclose()


def strategy(client: Any, lifetime: int | None = 3600) -> Any:
    return RedisStrategy(client, lifetime_seconds=lifetime)


async def test_a_token_in_redis_becomes_a_session(
    client: Any, cp_url: str, cp_config: Config
) -> None:
    token = await strategy(client).write_token(SimpleNamespace(id=7))
    old = FastAPIUsersRedis(client, lifetime=3600)
    async with AsyncMigratingSessionManager.from_url(cp_url, cp_config) as sessions:
        sessions.accept(look_up=old.look_up, look_up_name=old.name, look_up_lifetime=old.lifetime)
        session = await sessions.verify(token)
        assert session.subject == "7"
        assert 3590 <= session.expires_at - session.created_at <= 3600
        pair, again = await sessions.refresh(token), await sessions.refresh(token)
        assert pair.refresh_token == again.refresh_token
        assert await sessions.logout(pair.access_token)
        with pytest.raises(InvalidRefreshToken):
            await sessions.refresh(token)
        with pytest.raises(SessionRevoked):
            await sessions.verify(token)
        # What the old application ends is over here, too.
        other = await strategy(client).write_token(SimpleNamespace(id=8))
        assert (await sessions.verify(other)).subject == "8"
        await strategy(client).destroy_token(other, SimpleNamespace(id=8))
        with pytest.raises(TokenMalformed):
            await sessions.verify(other)
        (report,) = await sessions.migration_reports()
    assert (report.issuer, report.accepted, report.exchanged) == ("fastapi-users-redis", 2, 2)


@pytest.mark.parametrize("lifetime", [None, 700])
async def test_a_token_that_does_not_tell_when_it_was_issued_is_refused(
    client: Any, caplog: Any, lifetime: int | None
) -> None:
    token = await strategy(client, lifetime).write_token(SimpleNamespace(id=7))
    assert await FastAPIUsersRedis(client, lifetime=600).look_up(token) is None
    assert "does not expire within lifetime (600 s)" in caplog.text
    await client.expire(f"fastapi_users_token:{token}", 300)
    found = await FastAPIUsersRedis(client, lifetime=600).look_up(token)
    assert found is not None
    assert found.expires_at - found.issued_at == 600


async def test_what_is_no_token_is_not_asked_for(client: Any) -> None:
    look_up = FastAPIUsersRedis(client, lifetime=600).look_up
    for odd in ("", "a\nb", "x" * 300):
        assert await look_up(odd) is None


async def test_an_old_store_that_is_gone_ends_nothing(cp_url: str, cp_config: Config) -> None:
    nowhere = redis.asyncio.Redis(port=free_port())
    old = FastAPIUsersRedis(nowhere, lifetime=3600)
    async with AsyncMigratingSessionManager.from_url(cp_url, cp_config) as sessions:
        sessions.accept(look_up=old.look_up, look_up_name=old.name, look_up_lifetime=old.lifetime)
        with pytest.raises(StoreUnavailable):
            await sessions.verify("opaque")
        pair = await sessions.login("alice")
        assert (await sessions.verify(pair.access_token)).subject == "alice"
    await nowhere.aclose()


def test_a_lifetime_is_whole_seconds() -> None:
    with pytest.raises(ConfigurationError):
        FastAPIUsersRedis(redis.asyncio.Redis(), lifetime=0)
