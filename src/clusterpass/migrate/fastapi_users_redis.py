"""Looks up the opaque tokens that fastapi-users keeps in Redis (``RedisStrategy``)."""

import time
from collections.abc import Awaitable
from typing import Final, Protocol

from clusterpass.limits import LONGEST_LIFETIME
from clusterpass.migrate.old_issuer import logger
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.old_tokens import OldToken
from clusterpass.model.policy import check_whole

_LONGEST_TOKEN: Final = 256


class RedisClient(Protocol):
    """The two commands that are sent; ``redis.asyncio.Redis`` and RedisCluster have them."""

    def get(self, name: str, /) -> Awaitable[bytes | str | None]:
        """Return the value of a key; None: there is no such key."""

    def pttl(self, name: str, /) -> Awaitable[int]:
        """Return the milliseconds until a key expires; negative: never, or there is no such key."""


class FastAPIUsersRedis:
    """Looks up the tokens of the RedisStrategy of fastapi-users, which are never changed.

    Pass :meth:`look_up` to ``AsyncMigratingSessionManager.accept``. The strategy has one kind of
    token, which can be exchanged for a session.
    """

    name: Final = "fastapi-users-redis"

    def __init__(
        self, client: RedisClient, *, lifetime: int, key_prefix: str = "fastapi_users_token:"
    ) -> None:
        """``client``: of the Redis that holds the strategy's tokens; the caller closes it.

        ``lifetime``, ``key_prefix``: the strategy's ``lifetime_seconds`` and ``key_prefix``. A
        token that does not expire within ``lifetime`` is refused, as it does not tell when it was
        issued: where the strategy has no ``lifetime_seconds``, give its keys an expiry first.
        Raises ConfigurationError.
        """
        check_whole("lifetime", lifetime, 1, LONGEST_LIFETIME)
        self._client: Final = client
        self._prefix: Final = key_prefix
        self.lifetime: Final = lifetime
        self._has_warned = False

    async def look_up(self, token: str) -> OldToken | None:
        """Return ``token`` if the strategy knows it; None if not. Two round trips to its Redis.

        Raises StoreUnavailable when that cannot be reached.
        """
        if not isinstance(token, str) or not token.isprintable() or len(token) > _LONGEST_TOKEN:
            return None
        now = int(time.time())
        try:
            user = await self._client.get(self._prefix + token)
            left = await self._client.pttl(self._prefix + token)
        except Exception as error:  # of whichever client it is
            raise StoreUnavailable(
                "The store of the old tokens cannot be reached.", reason="connection"
            ) from error
        if user is None:
            return None
        seconds = left // 1000
        if not 0 <= seconds <= self.lifetime:
            self._warn()
            return None
        issued_at = now + seconds - self.lifetime
        return OldToken(
            text=token,
            subject=user.decode() if isinstance(user, bytes) else user,
            kind="access",
            issued_at=issued_at,
            expires_at=issued_at + self.lifetime,
            is_exchangeable=True,
            issuer=self.name,
        )

    def _warn(self) -> None:
        """Say once why tokens are refused: when they were issued cannot be told."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "a token in Redis does not expire within lifetime (%d s): it is refused, as nobody"
                " can tell whether it is older than a revocation",
                self.lifetime,
            )
