"""The verbs of a manager that belong together: ``sessions.bans``, ``.claims`` and ``.online``."""

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
from clusterpass.store.drivers.sync import SyncStore


class Bans:
    """Who may not come in, or may not do something. Bans end by themselves."""

    def __init__(self, store: SyncStore, subjects: Subjects) -> None:
        self._store = store
        self._subjects = subjects

    def add(
        self,
        subject: str,
        *,
        reason: str = "",
        for_seconds: int | None = None,
        scope: str = "",
        level: int = 1,
        operation_id: str | None = None,
    ) -> Ended:
        """Ban ``subject``; a ban of the same scope is replaced.

        Without a ``scope`` all sessions end at once, with ``reason`` in their tombstones, the
        generation rises, and each login raises SubjectBanned. With one (``comments`` or
        ``comments:*``) the sessions stay: ask ``session.require_not_banned(scope, level)``.
        ``for_seconds``: None for good. ``level`` 1 to 1000: how severe. Returns how many sessions
        ended. One round trip (``ban.lua``).
        ``operation_id``, and RevocationPending: see :meth:`SessionManager.revoke`. Raises
        InvalidInput, TooManyBans (over 32 scopes).
        """
        return self._store.run(
            self._subjects.ban(
                subject,
                reason=reason,
                for_seconds=for_seconds,
                scope=scope,
                level=level,
                operation_id=operation_id,
            )
        )

    def lift(self, subject: str, *, scope: str = "") -> Applied:
        """End a ban early; count 0 when there was none.

        One round trip (``unban.lua``). Raises InvalidInput.
        """
        return self._store.run(self._subjects.unban(subject, scope=scope))

    def list(self, subject: str) -> tuple[Ban, ...]:
        """The bans in force. One round trip (``read_fields.lua``). Raises InvalidInput."""
        return self._store.run(self._subjects.bans(subject))

    def check(self, subject: str, scope: str = "", *, level: int = 1) -> None:
        """Return unless ``subject`` is banned from everything, or from ``scope``.

        For a subject without a session at hand; a session brings its bans along. One round trip
        (``read_fields.lua``). Raises SubjectBanned, InvalidInput.
        """
        self._store.run(self._subjects.check_ban(subject, scope, level))


class Claims:
    """Claims that change while sessions live: plan, roles, scopes."""

    def __init__(self, store: SyncStore, subjects: Subjects) -> None:
        self._store = store
        self._subjects = subjects

    def set(self, subject: str, claims: Mapping[str, Any]) -> Applied:
        """Replace the live claims of ``subject``: plain JSON of at most 2048 bytes.

        The next verify anywhere returns them, over those of the login; the next refresh puts them
        into the token. An empty mapping takes them back. They go with the subject's last session:
        count 0 means that nobody was logged in, and nothing was kept. One round trip
        (``set_claims.lua``). Raises InvalidInput.
        """
        return self._store.run(self._subjects.set_claims(subject, claims))

    def get(self, subject: str) -> Mapping[str, Any]:
        """The live claims. One round trip (``read_fields.lua``). Raises InvalidInput."""
        return self._store.run(self._subjects.claims(subject))


class OnlineSubjects:
    """Who has a live session, over the whole namespace. For administration."""

    def __init__(self, store: SyncStore, online: Online) -> None:
        self._store = store
        self._online = online

    def count(self) -> OnlineCount:
        """How many subjects and sessions there are.

        At least 16 round trips (``online_count.lua``, each over 1024 slots), however many sessions
        there are. Raises InvalidInput when ``Config.index_online`` is off.
        """
        return self._store.run(self._online.count())

    def page(self, cursor: str | None = None, *, limit: int = 50) -> OnlinePage:
        """The live sessions of about ``limit`` subjects (1 to 200), from ``cursor`` on.

        A subject that stays online is on one of the pages; one that comes or goes meanwhile may be
        missing, or stand twice. A round trip for each subject, and for at most 1024 slots
        (``online_page.lua``). Raises InvalidInput.
        """
        return self._store.run(self._online.page(cursor, limit=limit))

    def prune(self) -> int:
        """Take out who is not online any more; returns how many subjects are.

        Worth a call after ``revoke_before``, which touches no session by itself. A round trip for
        each subject (``settle.lua``).
        """
        return self._store.run(self._online.prune())
