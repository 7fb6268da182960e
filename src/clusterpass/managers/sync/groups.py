# Generated from managers/aio/groups.py by scripts/generate_sync.py; do not edit.
"""The verbs of a manager that belong together: ``sessions.bans``, ``.claims`` and ``.online``."""

from collections.abc import Mapping
from typing import Any

from clusterpass.model.bans import Ban
from clusterpass.model.values import Applied, Ended, OnlineCount, OnlinePage
from clusterpass.sessions.verbs.online import Online
from clusterpass.sessions.verbs.subject import SubjectFlows
from clusterpass.store.protocol import Store


class Bans:
    """Bans: who may not log in, or may not do something. A ban with a duration ends by itself."""

    def __init__(self, store: Store, flows: SubjectFlows) -> None:
        self._store = store
        self._flows = flows

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
        """Ban ``subject``, and replace a ban of the same scope. Returns how many sessions ended.

        Without a ``scope`` all sessions end at once, with ``reason`` as what the user is told, the
        subject's generation is raised, and each login raises SubjectBanned. With one (``comments``
        or ``comments:*``) the sessions stay: check ``session.require_not_banned(scope, level)``.
        ``for_seconds``: how long; None: for good. ``level``: how severe, 1 to 1000. One round trip
        (``ban.lua``). ``operation_id``, and the meaning of RevocationPending: see
        ``SessionManager.revoke``. Raises InvalidInput, and TooManyBans for more than 32 scopes.
        """
        return self._store.run(
            self._flows.ban(
                subject,
                reason=reason,
                for_seconds=for_seconds,
                scope=scope,
                level=level,
                operation_id=operation_id,
            )
        )

    def lift(self, subject: str, *, scope: str = "") -> Applied:
        """End a ban before its time; the count is 0 when there was none.

        One round trip (``unban.lua``). Raises InvalidInput.
        """
        return self._store.run(self._flows.unban(subject, scope=scope))

    def list(self, subject: str) -> tuple[Ban, ...]:
        """The bans of ``subject`` that are in force.

        One round trip (``read_fields.lua``). Raises InvalidInput.
        """
        return self._store.run(self._flows.bans(subject))

    def check(self, subject: str, scope: str = "", *, level: int = 1) -> None:
        """Return unless ``subject`` is banned from everything, or from ``scope`` at ``level``.

        For a subject without a session at hand; a session carries its bans. One round trip
        (``read_fields.lua``). Raises SubjectBanned, InvalidInput.
        """
        self._store.run(self._flows.check_ban(subject, scope, level))


class Claims:
    """Live claims: claims of a subject that change while sessions live, as plan, roles, scopes."""

    def __init__(self, store: Store, flows: SubjectFlows) -> None:
        self._store = store
        self._flows = flows

    def set(self, subject: str, claims: Mapping[str, Any]) -> Applied:
        """Replace the live claims of ``subject``: plain JSON of at most 2048 bytes.

        The next verify on any server returns them, merged over the claims of the login; the next
        refresh puts them into the token. An empty mapping removes them. They end with the subject's
        last session: a count of 0 means that nobody was logged in, and nothing was stored. One
        round trip (``set_claims.lua``). Raises InvalidInput.
        """
        return self._store.run(self._flows.set_claims(subject, claims))

    def get(self, subject: str) -> Mapping[str, Any]:
        """The live claims of ``subject``; empty when there are none.

        One round trip (``read_fields.lua``). Raises InvalidInput.
        """
        return self._store.run(self._flows.claims(subject))


class OnlineSubjects:
    """Who has a live session, in the whole namespace; for administration.

    Every verb raises InvalidInput where ``Config.index_online`` is off.
    """

    def __init__(self, store: Store, flows: Online) -> None:
        self._store = store
        self._flows = flows

    def count(self) -> OnlineCount:
        """How many subjects and sessions are online.

        At least 16 round trips (``online_count.lua``, each for 1024 slots), however many sessions
        there are. Raises InvalidInput.
        """
        return self._store.run(self._flows.count())

    def page(self, cursor: str | None = None, *, limit: int = 50) -> OnlinePage:
        """The live sessions of about ``limit`` subjects (1 to 200), from ``cursor`` on.

        ``cursor``: the ``next_cursor`` of the page before; None: from the start. A subject that
        stays online is on one of the pages; one that comes or goes meanwhile may be missing, or
        appear twice. One round trip for each subject, and one for each 1024 slots
        (``online_page.lua``). Raises InvalidInput.
        """
        return self._store.run(self._flows.page(cursor, limit=limit))

    def prune(self) -> int:
        """Remove subjects that are no longer online from the index; returns how many are online.

        Worth a call after ``revoke_before``, which touches no session by itself. One round trip for
        each subject (``settle.lua``). Raises InvalidInput.
        """
        return self._store.run(self._flows.prune())
