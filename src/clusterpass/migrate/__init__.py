"""Moving to ClusterPass from another library without logging anybody out.

Old access tokens are accepted until they expire, and each old refresh token is exchanged once for a
session. Nothing of the other library is needed, apart from the key of its tokens.

    sessions = MigratingSessionManager.from_url(url, config)
    sessions.accept(flask_jwt_extended(key=OLD_SECRET))
    cp.init_app(app, sessions=sessions)
"""

from clusterpass.migrate.aio.manager import AsyncMigratingSessionManager
from clusterpass.migrate.fastapi_users_redis import FastAPIUsersRedis, RedisClient
from clusterpass.migrate.libraries import (
    authlib,
    authx,
    fastapi_users_jwt,
    flask_jwt_extended,
    pyjwt,
    simplejwt,
)
from clusterpass.migrate.old_issuer import OldIssuer
from clusterpass.migrate.report import MigrationReport
from clusterpass.migrate.sync.manager import MigratingSessionManager
from clusterpass.migrate.users import OldUser
from clusterpass.model.old_tokens import OldToken, OldTokenKind

__all__ = [
    "AsyncMigratingSessionManager",
    "FastAPIUsersRedis",
    "MigratingSessionManager",
    "MigrationReport",
    "OldIssuer",
    "OldToken",
    "OldTokenKind",
    "OldUser",
    "RedisClient",
    "authlib",
    "authx",
    "fastapi_users_jwt",
    "flask_jwt_extended",
    "pyjwt",
    "simplejwt",
]
