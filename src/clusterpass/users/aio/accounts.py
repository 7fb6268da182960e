"""The accounts of a user directory: added, invited, listed, disabled and deleted."""

import builtins
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from clusterpass.limits import DAY
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.errors import ClusterPassError, StoreUnavailable
from clusterpass.model.values import Ended
from clusterpass.sessions.check_arguments import check_seconds
from clusterpass.tokens.identifiers import check_subject
from clusterpass.users.audited import audited
from clusterpass.users.directory import Directory, User
from clusterpass.users.finishing import finish_async
from clusterpass.users.hashing import AsyncHashing
from clusterpass.users.one_time_links import LIVES, OneTimeLink, read_token
from clusterpass.users.password_policy import PasswordPolicy
from clusterpass.users.passwords import PasswordHasher
from clusterpass.users.procedures import (
    Change,
    PasswordWork,
    Procedure,
    Step,
    as_durable_as,
)
from clusterpass.users.throttle import Throttle, ThrottlePolicy
from clusterpass.users.usernames import prepare_name

Result = TypeVar("Result")


class AsyncAccounts:
    """The verbs of a user directory that add, change and remove users, and how all verbs run."""

    def __init__(
        self,
        sessions: AsyncSessionManager,
        *,
        hash_concurrency: int | None = None,
        most_waiting: int = 64,
        hasher: PasswordHasher | None = None,
        throttle: ThrottlePolicy | None = None,
        passwords: PasswordPolicy | None = None,
    ) -> None:
        """``sessions``: its store holds the users, and stays open when the directory is closed.

        ``hash_concurrency``: passwords hashed at once, each with 46 MiB by default (None: 2 for an
        event loop, no limit for threads). ``most_waiting``: logins that may wait for the hasher.
        ``hasher``: by default argon2id with the parameters that OWASP recommends. ``throttle``: the
        limits of attempts. ``passwords``: which new ones are accepted. Raises
        ConfigurationError for a value out of range, and when argon2-cffi is not installed.
        """
        self._sessions = sessions
        self._store = sessions.store
        self._trail = sessions.audit.trail
        self._hashing = AsyncHashing(
            concurrency=hash_concurrency,
            most_waiting=most_waiting,
            counters=sessions.counters.hashing,
        )
        self._directory = Directory(
            self._store.keyspace,
            hasher or PasswordHasher(),
            Throttle(self._store.keyspace, throttle or ThrottlePolicy(), sessions.counters),
            passwords or PasswordPolicy(),
            random_bytes=secrets.token_bytes,
        )

    async def add(self, username: str, password: str) -> None:
        """Add a user, under the name that :meth:`name_of` returns.

        Raises UserExists when the name is taken, and PasswordRefused for a password that is too
        short, too common, or little more than the name.
        """
        kept = await self.name_of(username)
        await self._audited("add_user", self._directory.add(username, password), kept)

    async def name_of(self, username: str) -> str:
        """Return the name that is kept for ``username``, however it is spelt: the user's subject.

        Letters in their composed form (RFC 8265, UsernameCasePreserved); a user whom an earlier
        release added as ``username`` is spelt keeps that name. There need be no such user.
        """
        return await self._run(self._directory.resolve(username))

    @staticmethod
    def prepared_name(username: str) -> str:
        """Return the name under which a new user ``username`` is kept, whoever there is already.

        Letters in their composed form (RFC 8265, UsernameCasePreserved). No round trip.
        """
        return prepare_name(check_subject(username))

    async def find(self, username: str) -> User | None:
        """Return the user whom ``username`` names, however it is spelt; None: there is none."""
        return await self._run(self._directory.describe(await self.name_of(username)))

    async def subject_of(self, name: str) -> str:
        """Return the subject whom an administrator means by ``name``, however it is spelt.

        What :meth:`name_of` returns, so that a ban concerns those who log in by that name; but
        ``name`` as it is where sessions were opened for that very spelling, as programs do that
        have users of their own.
        """
        kept = await self.name_of(name)
        if kept == name:
            return name
        entries = await self._sessions.history(name)
        is_used = any(entry.kind == "login" for entry in entries)
        return name if is_used or await self._sessions.sessions(name) else kept

    async def set_password(self, username: str, password: str) -> Ended:
        """Replace a password and end all sessions of the user.

        Raises UserNotFound, PasswordRefused as :meth:`add` does, and
        RevocationPending when the password is replaced but the revocation is not confirmed. After
        StoreUnavailable the password may be replaced: the sessions are ended all the same.
        """
        username, change = await self.name_of(username), Change()
        procedure = self._directory.set_password(username, password, change)
        return await self._change_and_end("set_password", procedure, change, username)

    async def invite(self, username: str, *, for_seconds: int = 3 * DAY) -> OneTimeLink:
        """Add a user who has no password yet, and make a link by which the user sets one.

        ``for_seconds``: how long the link may be used, 60 seconds to 14 days; :meth:`make_link`
        makes another. Raises UserExists and InvalidInput.
        """
        check_seconds("for_seconds", for_seconds, *LIVES)
        kept = await self.name_of(username)
        name = await self._audited("invite_user", self._directory.invite(username), kept)
        return await self._run(self._directory.make_link(name, for_seconds=for_seconds))

    async def make_link(self, username: str, *, for_seconds: int = 3600) -> OneTimeLink:
        """Make a link by which a user sets a new password, once; an older link of the user ends.

        Its ``token`` has to reach the user alone, and is kept nowhere. The password that the user
        has goes on until then; if it is changed otherwise, or replaced by a better hash at a login,
        the link ends, and when the user is disabled. One that is made for a disabled user works
        once the user is enabled. ``for_seconds``: how long the link may be used, 60 seconds to 14
        days. Raises UserNotFound and InvalidInput.
        """
        username = await self.name_of(username)
        return await self._audited(
            "make_link", self._directory.make_link(username, for_seconds=for_seconds), username
        )

    async def user_of_link(self, token: str) -> str:
        """Return the name of the user of a link that can be used; the link stays.

        Raises LinkInvalid for any other ``token``.
        """
        return await self._run(self._directory.open_link(token))

    async def use_link(self, token: str, password: str) -> Ended:
        """Set the password of the user of a link, and end the link and all sessions of the user.

        Raises LinkInvalid for a ``token`` that cannot be used, PasswordRefused as :meth:`add` does
        (the link stays), and RevocationPending when the password is set but the end of the sessions
        is not confirmed. After StoreUnavailable the password may be set: if the store was asked to,
        the sessions are ended all the same.
        """
        username, change = read_token(token).username, Change()
        procedure = self._directory.use_link(token, password, change)
        # Before a link has proved to be one, it could name anybody.
        about = {"failure": False, "actor": username}
        return await self._change_and_end("use_link", procedure, change, username, **about)

    async def disable(self, username: str) -> Ended:
        """Disable a user and end all of the user's sessions.

        Links of the user end, too. Raises UserNotFound, and RevocationPending when the user is
        disabled but the revocation is not confirmed. After StoreUnavailable the user may be
        disabled: the sessions are ended all the same.
        """
        username, change = await self.name_of(username), Change()
        procedure = self._directory.set_disabled(username, change, disabled=True)
        return await self._change_and_end("disable_user", procedure, change, username)

    async def enable(self, username: str) -> None:
        """Enable a disabled user; raise UserNotFound when there is no such user."""
        username = await self.name_of(username)
        procedure = self._directory.set_disabled(username, Change(), disabled=False)
        await self._audited("enable_user", procedure, username)

    async def delete(self, username: str, *, erase: bool = False) -> Ended:
        """Remove a user, and end all of the user's sessions.

        ``erase``: what the store knows of the user is erased, too, as ``SessionManager.erase``
        describes; otherwise the history stays until it expires. Bans of the name stay in force in
        both cases: they hold for a user who is added under it again. Raises UserNotFound, and
        RevocationPending when the end of the sessions is not confirmed: the user is then disabled,
        and the call can be repeated.
        """
        username, change = await self.name_of(username), Change()
        procedure = self._directory.begin_removal(username, change)
        end = partial(self._sessions.erase if erase else self._sessions.revoke_all, username)
        created_at = await self._changed("disable_user", procedure, change, username, end)
        ended = await finish_async(end)
        removal = self._directory.remove(username, change, created_at=created_at)
        await self._audited("delete_user", removal, username)
        return as_durable_as(change, ended)

    async def export(self, username: str) -> dict[str, Any]:
        """Return what the store holds of a user, as plain JSON for the user's own eyes.

        The members are those of ``SessionManager.export``, and ``user`` with ``name``, ``disabled``
        and ``created_at``; None when the directory has no such user. No password hash is in it.
        """
        username = await self.name_of(username)
        user = await self._run(self._directory.describe(username))
        held = await self._sessions.export(username)
        return {"user": None if user is None else user.to_dict(), **held}

    async def list(self) -> builtins.list[User]:
        """Return every user, sorted by name.

        The scan visits all keys of the store, so use it for administration only.
        """
        pattern = self._store.keyspace.all_users_pattern()
        names: set[str] = set()
        # A scan may return a key twice, and a user who is removed before the entry is read.
        async for key in self._store.scan_names(pattern):
            name = self._directory.name_in_key(key)
            if name is not None:
                names.add(name)
        found: list[User] = []
        for name in sorted(names):
            user = await self._run(self._directory.describe(name))
            if user is not None:
                found.append(user)
        return found

    async def _change_and_end(
        self, action: str, procedure: Procedure[Any], change: Change, username: str, **about: Any
    ) -> Ended:
        """Change the entry of a user, and end all sessions of the user."""
        end = partial(self._sessions.revoke_all, username)
        await self._changed(action, procedure, change, username, end, **about)
        return as_durable_as(change, await finish_async(end))

    async def _changed(
        self,
        action: str,
        procedure: Procedure[Result],
        change: Change,
        username: str,
        end: Callable[[], Awaitable[Ended]],
        **about: Any,
    ) -> Result:
        """Change the entry of a user. Where it may have been changed, also call ``end``.

        That is so where the answer is lost, or not waited for. Whoever repeats the change may be
        refused then, as the link is over, and would end nothing.
        """
        try:
            return await self._audited(action, procedure, username, **about)
        except BaseException as error:
            is_answered = isinstance(error, ClusterPassError)
            if change.is_sent and (isinstance(error, StoreUnavailable) or not is_answered):
                with suppress(ClusterPassError):
                    await finish_async(end)
            raise

    async def _audited(
        self, action: str, procedure: Procedure[Result], subject: str, **about: Any
    ) -> Result:
        return await self._run(audited(self._trail, action, procedure, subject=subject, **about))

    async def _run(self, procedure: Procedure[Result]) -> Result:
        try:
            step = next(procedure)
            while True:
                try:
                    outcome = await self._take(step)
                except ClusterPassError as error:
                    step = procedure.throw(error)
                else:
                    step = procedure.send(outcome)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        finally:
            procedure.close()  # where the caller has gone: now, and not when it is collected

    async def _take(self, step: Step) -> Any:
        if isinstance(step, PasswordWork):
            return await self._hashing.run(step.run)
        return await self._store.run(step)
