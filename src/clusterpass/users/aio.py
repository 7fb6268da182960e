"""The user directory for an event loop: the same verbs as ``UserDirectory``, awaited.

Passwords are hashed on a few threads beside the loop. What waits for them is bounded: when too many
logins come at once, some are told to come back in a second, instead of all of them slowly.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from clusterpass.managers.aio import AsyncSessionManager
from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import ClusterPassError, ConfigurationError, TooManyAttempts
from clusterpass.model.policy import SessionPolicy
from clusterpass.model.values import Ended, TokenPair
from clusterpass.users.directory import Directory, PasswordWork, Procedure, Proven, Step
from clusterpass.users.passwords import PasswordHasher
from clusterpass.users.throttle import Throttle, ThrottlePolicy

Result = TypeVar("Result")
_BUSY: Final = "Too many logins at this moment; try again in a second."


class AsyncLoginThrottle:
    """The same verbs as ``LoginThrottle``, awaited."""

    def __init__(self, sessions: AsyncSessionManager, policy: ThrottlePolicy | None = None) -> None:
        """``policy``: the numbers; the default is 10 attempts for an account in 300 s, 100 for an
        address."""
        self._store = sessions.store
        self._throttle = Throttle(sessions.store.keyspace, policy or ThrottlePolicy())

    async def admit(self, username: str, *, address: str | None = None) -> None:
        """Count an attempt, before the password is checked; raises TooManyAttempts."""
        await self._store.run(self._throttle.admit(username, address=address))

    async def forget(self, username: str) -> None:
        """Make the account's count void, after a success."""
        await self._store.run(self._throttle.forget(username))


class HashingThreads:
    """A few threads for password work, with a bounded queue before them."""

    def __init__(self, *, concurrency: int, most_waiting: int) -> None:
        """``concurrency``: threads; each takes 46 MiB while it hashes with the default hasher."""
        if not 1 <= concurrency <= 64 or not 0 <= most_waiting <= 10_000:
            raise ConfigurationError(
                "hash_concurrency must be 1 to 64 and the hash queue 0 to 10000"
            )
        self._places: Final = threading.BoundedSemaphore(concurrency + most_waiting)
        self._threads: Final = ThreadPoolExecutor(concurrency, thread_name_prefix="password-hash")

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``; raises TooManyAttempts when the queue is full."""
        if not self._places.acquire(blocking=False):
            raise TooManyAttempts(_BUSY, retry_after=1)
        try:
            future = self._threads.submit(work)
        except RuntimeError:
            self._places.release()
            raise ClusterPassError("The user directory is closed") from None
        # Also when the caller goes away: the place is free when the thread is, and not before.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Drop what waits and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: Future[Any]) -> None:
        self._places.release()


class AsyncUserDirectory:
    """Users on a cluster, for one event loop. Close it at the end: it owns threads.

    Arguments, results and errors are those of :class:`UserDirectory`; in addition every verb that
    takes a password raises TooManyAttempts when too many passwords wait to be hashed.
    """

    def __init__(
        self,
        sessions: AsyncSessionManager,
        *,
        hash_concurrency: int = 2,
        most_waiting: int = 64,
        hasher: PasswordHasher | None = None,
        throttle: ThrottlePolicy | None = None,
    ) -> None:
        """``hash_concurrency``: passwords hashed at once; ``most_waiting``: the queue before it."""
        self._sessions = sessions
        self._store = sessions.store
        self._threads = HashingThreads(concurrency=hash_concurrency, most_waiting=most_waiting)
        self._directory = Directory(
            self._store.keyspace,
            hasher or PasswordHasher(),
            Throttle(self._store.keyspace, throttle or ThrottlePolicy()),
            random_bytes=secrets.token_bytes,
        )

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
        """End the threads; the session manager stays open."""
        self._threads.close()

    async def add(self, username: str, password: str) -> None:
        """Add a user; raises UserExists, or InvalidInput for a password under 8 characters."""
        await self._run(self._directory.add(username, password))

    async def authenticate(
        self, username: str, password: str, *, address: str | None = None
    ) -> None:
        """Return when the password is right; raises InvalidCredentials, TooManyAttempts."""
        await self._run(self._directory.authenticate(username, password, address=address))

    async def login(
        self,
        username: str,
        password: str,
        *,
        device: str | None = None,
        device_type: str | None = None,
        claims: Mapping[str, Any] | None = None,
        policy: SessionPolicy | None = None,
        replace: str | None = None,
        remember: bool = False,
        address: str | None = None,
    ) -> TokenPair:
        """Authenticate and open a session; raises what both raise."""
        generation = await self._sessions.generation(username)
        proven = await self._run(self._directory.authenticate(username, password, address=address))
        pair = await self._sessions.login(
            username,
            device=device,
            device_type=device_type,
            claims=claims,
            policy=policy,
            replace=replace,
            remember=remember,
            amr=("pwd",),
            address=address,
            generation=generation,
        )
        await self._confirm(proven, password, pair)
        return pair

    async def set_password(self, username: str, password: str) -> Ended:
        """Replace a password and end all sessions of the user; raises UserNotFound."""
        await self._run(self._directory.set_password(username, password))
        return await self._sessions.revoke_all(username)

    async def disable(self, username: str) -> Ended:
        """Refuse a user from now on and end all of the user's sessions; raises UserNotFound."""
        await self._run(self._directory.set_disabled(username, disabled=True))
        return await self._sessions.revoke_all(username)

    async def enable(self, username: str) -> None:
        """Admit a disabled user again; raises UserNotFound."""
        await self._run(self._directory.set_disabled(username, disabled=False))

    async def _confirm(self, proven: Proven, password: str, pair: TokenPair) -> None:
        if not await self._run(self._directory.confirm(proven, password)):
            await self._sessions.revoke(proven.username, pair.session_id)
            raise InvalidCredentials

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

    async def _take(self, step: Step) -> Any:
        if isinstance(step, PasswordWork):
            return await self._threads.run(step.run)
        return await self._store.run(step)
