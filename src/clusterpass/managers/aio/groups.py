"""The groups of verbs of a manager: ``bans``, ``claims``, ``keys`` and ``online``."""

from collections.abc import Mapping
from typing import Any

from clusterpass.managers.aio.running import AsyncRunning
from clusterpass.model.bans import Ban
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.values import Applied, Ended, OnlineCount, OnlinePage
from clusterpass.sessions.read_secrets import RefreshSecrets
from clusterpass.sessions.signing_keys import SigningKeys
from clusterpass.sessions.verbs.online import Online
from clusterpass.sessions.verbs.subject import SubjectFlows
from clusterpass.tokens.managed_keys import ManagedKey


class AsyncBans:
    """Bans of subjects, from logging in or from a scope. A ban with a duration expires."""

    def __init__(self, running: AsyncRunning, flows: SubjectFlows) -> None:
        self._running = running
        self._flows = flows

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
        """Ban ``subject``, replacing a ban from the same scope; return how many sessions ended.

        Without a ``scope`` all sessions end at once, the subject's generation is raised, and each
        login raises SubjectBanned. With a ``scope`` (``comments`` or ``comments:*``) the sessions
        stay live; the application checks ``session.require_not_banned(scope, level)``.
        ``reason``: what the user is told, at most 200 bytes. ``for_seconds``: the duration; None:
        until the ban is lifted. ``level``: the severity, 1 to 1000. ``operation_id``: identifies a
        repeated call, as ``SessionManager.revoke`` describes.

        One round trip (``ban.lua``). Raises InvalidInput, TooManyBans for more than 32 scopes,
        OperationMismatch when ``operation_id`` was used for another request, and RevocationPending
        when the ban is not confirmed.
        """
        return await self._running.audited(
            "ban",
            self._flows.ban(
                subject,
                reason=reason,
                for_seconds=for_seconds,
                scope=scope,
                level=level,
                operation_id=operation_id,
            ),
            subject=subject,
            reason=reason,
            details={"scope": scope, "level": level, "for_seconds": for_seconds},
        )

    async def lift(self, subject: str, *, scope: str = "") -> Applied:
        """Lift the ban of ``subject`` from ``scope``; the count is 0 when there was none.

        ``scope``: as it was passed to :meth:`add`; empty: the ban from everything.

        One round trip (``unban.lua``). Raises InvalidInput.
        """
        return await self._running.audited(
            "lift_ban",
            self._flows.unban(subject, scope=scope),
            subject=subject,
            details={"scope": scope},
        )

    async def list(self, subject: str) -> tuple[Ban, ...]:
        """Return the bans of ``subject`` that are in force.

        One round trip (``read_fields.lua``). Raises InvalidInput.
        """
        return await self._running.run(self._flows.bans(subject))

    async def check(self, subject: str, scope: str = "", *, level: int = 1) -> None:
        """Raise SubjectBanned if ``subject`` is banned from everything, or from ``scope``.

        ``level``: the severity, 1 to 1000, that a ban from ``scope`` needs to forbid the action.
        Sessions carry their bans, so this verb is for subjects without a session. One round trip
        (``read_fields.lua``). Raises InvalidInput.
        """
        await self._running.run(self._flows.check_ban(subject, scope, level))


class AsyncClaims:
    """Live claims of subjects, such as a plan or roles, which change while sessions are live."""

    def __init__(self, running: AsyncRunning, flows: SubjectFlows) -> None:
        self._running = running
        self._flows = flows

    async def set(self, subject: str, claims: Mapping[str, Any]) -> Applied:
        """Replace the live claims of ``subject``; return how many sessions they apply to.

        ``claims``: plain JSON of at most 2048 bytes; an empty mapping removes them. The next verify
        on any server returns the live claims merged over the claims of the login, and the next
        refresh puts them into the access token. Live claims end with the subject's last session: a
        count of 0 means that the subject had no session and nothing was stored. Equal claims again
        change nothing: no entry in the history, no event. One round trip (``set_claims.lua``).
        Raises InvalidInput.
        """
        return await self._running.audited(
            "set_claims", self._flows.set_claims(subject, claims), subject=subject
        )

    async def get(self, subject: str) -> Mapping[str, Any]:
        """Return the live claims of ``subject``; empty when there are none.

        One round trip (``read_fields.lua``). Raises InvalidInput.
        """
        return await self._running.run(self._flows.claims(subject))


class AsyncOnlineSubjects:
    """The subjects with a live session in the whole namespace, for administration.

    Every verb raises InvalidInput when ``Config.index_online`` is False.
    """

    def __init__(self, running: AsyncRunning, flows: Online) -> None:
        self._running = running
        self._flows = flows

    async def count(self) -> OnlineCount:
        """Return how many subjects and sessions are online.

        At least 16 round trips (``online_count.lua``, each for 1024 slots), however many sessions
        there are. Raises InvalidInput.
        """
        return await self._running.run(self._flows.count())

    async def page(self, cursor: str | None = None, *, limit: int = 50) -> OnlinePage:
        """Return the live sessions of about ``limit`` subjects (1 to 200), from ``cursor`` on.

        ``cursor``: the ``next_cursor`` of the previous page; None: the first page. A subject that
        stays online appears on a page; one that logs in or out meanwhile may be missing or appear
        twice. One round trip for each subject, and one for each 1024 slots (``online_page.lua``).
        Raises InvalidInput.
        """
        return await self._running.run(self._flows.page(cursor, limit=limit))

    async def prune(self) -> int:
        """Remove subjects that are offline from the index; return how many are online.

        ``SessionManager.revoke_before`` does not update the index, so call this verb after it. One
        round trip for each subject (``settle.lua``). Raises InvalidInput.
        """
        return await self._running.run(self._flows.prune())


class AsyncKeys:
    """The signing keys that the store holds, where ``Config.keys`` is ``KeyRing.in_store()``, and
    the secrets of refresh tokens, where ``Config.refresh_secrets`` has none.
    """

    def __init__(
        self, running: AsyncRunning, signing: SigningKeys | None, secrets: RefreshSecrets
    ) -> None:
        self._running = running
        self._signing = signing
        self._secrets = secrets

    async def rotate_refresh_secret(self, *, retire_others: bool = False) -> str:
        """Make a new secret of refresh tokens in the store; return its id.

        It makes tokens after a minute and a half, and the others are still accepted.
        ``retire_others``: not so, after a leak of the store: then refresh tokens of before are
        refused, within a minute by every process, and their users log in again. Seven round trips
        (``read_secrets.lua``, ``add_secrets.lua``). Raises ConfigurationError where
        ``Config.refresh_secrets`` has the secrets, and StoreUnavailable unless each copy was
        written; call it again then.
        """
        return await self._running.audited(
            "rotate_refresh_secret",
            self._secrets.rotate(retires_others=retire_others),
            details={"retire_others": bool(retire_others)},
        )

    async def list(self) -> tuple[ManagedKey, ...]:
        """Return all keys, the oldest first, as they are now; the manager goes on with these.

        Three round trips (``read_secrets.lua``). Raises ConfigurationError when the keys are not
        in the store, or one does not open with ``Config.key_encryption_keys``.
        """
        return await self._running.run(self._in_store().list())

    async def rotate(self) -> tuple[ManagedKey, ...]:
        """Make the next key, unless there is one; return all keys.

        The next key signs after ``ManagedKeys.publish_before``. Up to ten round trips
        (``read_secrets.lua``, ``add_secrets.lua``); while another process makes the key, this one
        waits for it, three seconds at most. Raises ConfigurationError as :meth:`list`.
        """
        return await self._running.audited("rotate_key", self._in_store().rotate())

    async def revoke(self, kid: str) -> tuple[ManagedKey, ...]:
        """Accept no token of the key ``kid`` any more, such as after a leak; return all keys.

        If it signs, a new key signs at once. Nobody is logged out: refresh tokens do not depend on
        the key, so clients get new access tokens by them. Processes that watch the store know it
        within milliseconds, others with their next call a second later. Up to nine round trips.
        Raises InvalidInput for an unknown key, and ConfigurationError as :meth:`list`.
        """
        return await self._running.audited(
            "revoke_key", self._in_store().revoke(kid), details={"kid": kid}
        )

    def _in_store(self) -> SigningKeys:
        if self._signing is None:
            raise ConfigurationError(
                "the signing keys are not in the store; make the Config with KeyRing.in_store()"
            )
        return self._signing
