"""The asynchronous session manager: one line per verb over the shared flows."""

import secrets
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from clusterpass.config import Config
from clusterpass.models import Ended, Session, TokenPair
from clusterpass.sessions.administration import Administration
from clusterpass.sessions.lifecycle import Lifecycle
from clusterpass.store.aio import AsyncStore


class AsyncSessionManager:
    """Sessions on a cluster, for one event loop. Close it at the end.

    The same verbs as :class:`SessionManager`, awaited; their arguments, results and errors are
    described there.
    """

    def __init__(self, store: AsyncStore, config: Config) -> None:
        """``store`` is closed together with the manager."""
        self.store = store
        self.config = config
        self._life = Lifecycle(
            config, store.keyspace, clock=time.time, random_bytes=secrets.token_bytes
        )
        self._all = Administration(store.keyspace, tombstone_seconds=self._life.tombstone_seconds)

    @classmethod
    def from_url(cls, url: str, config: Config) -> Self:
        """A manager for the store at ``url``; see :meth:`SessionManager.from_url`."""
        return cls(AsyncStore.from_url(url), config)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; an embedded cluster is stopped."""
        await self.store.close()

    async def login(
        self,
        subject: str,
        *,
        device: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> TokenPair:
        """Open a session of ``subject``, who must have been authenticated before."""
        return await self.store.run(self._life.login(subject, device=device, claims=claims))

    async def verify(self, access_token: str) -> Session:
        """The live session of ``access_token``; raises the InvalidToken that says why not."""
        return await self.store.run(self._life.verify(access_token))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """A new pair; ``refresh_token`` is used up. Raises InvalidRefreshToken."""
        return await self.store.run(self._life.refresh(refresh_token))

    async def logout(self, token: str) -> Ended:
        """End the session of an access token, also of an expired one, or of a refresh token."""
        return await self.store.run(self._life.logout(token))

    async def sessions(self, subject: str) -> list[Session]:
        """Every live session of ``subject``, newest first."""
        return await self.store.run(self._all.sessions(subject))

    async def revoke(self, subject: str, session_id: str) -> Ended:
        """End one session of ``subject``; raises SessionNotFound when there is none such."""
        return await self.store.run(self._all.revoke(subject, session_id))

    async def revoke_all(self, subject: str, *, keep: str | None = None) -> Ended:
        """End every session of ``subject``, except the one with the id ``keep``."""
        return await self.store.run(self._all.revoke_all(subject, keep=keep))

    async def ping(self) -> None:
        """Return when the store answers; raises StoreUnavailable otherwise."""
        await self.store.ping()
