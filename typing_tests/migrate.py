"""An application that moves in, as its author writes it: read by the type checkers, never run."""

from typing import assert_type

import redis.asyncio

from clusterpass import Config, Ended, Session, SessionManager, TokenPair
from clusterpass.integrations.fastapi import ClusterPass as FastAPISessions
from clusterpass.integrations.flask import ClusterPass as FlaskSessions
from clusterpass.migrate import (
    AsyncMigratingSessionManager,
    FastAPIUsersRedis,
    MigratingSessionManager,
    MigrationReport,
    OldToken,
    OldUser,
    flask_jwt_extended,
    pyjwt,
)


def user_of(old: OldToken) -> OldUser | None:
    if old.subject == "nobody":
        return None
    return OldUser(f"user-{old.subject}", {"claims": {"scope": "orders:read"}, "device": "old"})


def in_flask(config: Config) -> FlaskSessions:
    sessions = MigratingSessionManager.from_url("redis+cluster://localhost:7000", config)
    assert_type(sessions, MigratingSessionManager)
    sessions.accept(flask_jwt_extended("secret"), pyjwt("other", lifetime=60), user_of=user_of)
    of_any_kind: SessionManager = sessions
    assert_type(of_any_kind.verify("token"), Session)
    assert_type(sessions.refresh("token"), TokenPair)
    assert_type(sessions.logout("token"), Ended)
    assert_type(sessions.migration_reports(), list[MigrationReport])
    return FlaskSessions(old_access_cookie="access_token_cookie")


async def user_of_async(old: OldToken) -> OldUser | None:
    return user_of(old)


async def in_fastapi(config: Config) -> FastAPISessions:
    sessions = AsyncMigratingSessionManager.from_url("redis+cluster://localhost:7000", config)
    kept = FastAPIUsersRedis(redis.asyncio.Redis(), lifetime=3600)
    sessions.accept(
        look_up=kept.look_up,
        look_up_name=kept.name,
        look_up_lifetime=kept.lifetime,
        user_of=user_of_async,
    )
    assert_type(await sessions.verify("token"), Session)
    assert_type(await sessions.migration_reports(), list[MigrationReport])
    return FastAPISessions(sessions, old_refresh_cookie="fastapiusersauth")
