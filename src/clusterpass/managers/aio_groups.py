"""The verbs of groups.py, awaited."""

from collections.abc import Mapping
from typing import Any

from clusterpass.model.bans import Ban
from clusterpass.model.values import (
    Applied,
    Ended,
    OnlineCount,
    OnlinePage,
)
from clusterpass.sessions.verbs.online import Online
from clusterpass.sessions.verbs.subject import Subjects
from clusterpass.store.drivers.aio import AsyncStore


class AsyncBans:
    """Who may not come in, or may not do something. Bans end by themselves."""

    def __init__(self, store: AsyncStore, subjects: Subjects) -> None:
        self._store = store
        self._subjects = subjects

    async def add(
        self,
        subject: str,
        *,
        reason: str = "",
        for_seconds: int | None = None,
        scope: str = "",
        level: int = 1,
        operation_id: str | None = None,
    ) -> Ended:
        """Ban ``subject``; a ban of the same scope is replaced."""
        return await self._store.run(
            self._subjects.ban(
                subject,
                reason=reason,
                for_seconds=for_seconds,
                scope=scope,
                level=level,
                operation_id=operation_id,
            )
        )

    async def lift(self, subject: str, *, scope: str = "") -> Applied:
        """End a ban early; count 0 when there was none."""
        return await self._store.run(self._subjects.unban(subject, scope=scope))

    async def list(self, subject: str) -> tuple[Ban, ...]:
        """The bans in force. One round trip (``read_fields.lua``). Raises InvalidInput."""
        return await self._store.run(self._subjects.bans(subject))

    async def check(self, subject: str, scope: str = "", *, level: int = 1) -> None:
        """Return unless ``subject`` is banned from everything, or from ``scope``."""
        await self._store.run(self._subjects.check_ban(subject, scope, level))


class AsyncClaims:
    """Claims that change while sessions live: plan, roles, scopes."""

    def __init__(self, store: AsyncStore, subjects: Subjects) -> None:
        self._store = store
        self._subjects = subjects

    async def set(self, subject: str, claims: Mapping[str, Any]) -> Applied:
        """Replace the live claims of ``subject``: plain JSON of at most 2048 bytes."""
        return await self._store.run(self._subjects.set_claims(subject, claims))

    async def get(self, subject: str) -> Mapping[str, Any]:
        """The live claims. One round trip (``read_fields.lua``). Raises InvalidInput."""
        return await self._store.run(self._subjects.claims(subject))


class AsyncOnlineSubjects:
    """Who has a live session, over the whole namespace. For administration."""

    def __init__(self, store: AsyncStore, online: Online) -> None:
        self._store = store
        self._online = online

    async def count(self) -> OnlineCount:
        """How many subjects and sessions there are."""
        return await self._store.run(self._online.count())

    async def page(self, cursor: str | None = None, *, limit: int = 50) -> OnlinePage:
        """The live sessions of about ``limit`` subjects (1 to 200), from ``cursor`` on."""
        return await self._store.run(self._online.page(cursor, limit=limit))

    async def prune(self) -> int:
        """Take out who is not online any more; returns how many subjects are."""
        return await self._store.run(self._online.prune())
