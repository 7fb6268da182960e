"""The asynchronous session manager: one line per verb over the shared flows."""

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from clusterpass.config import Config, VerificationMode
from clusterpass.managers.aio_groups import AsyncBans, AsyncClaims, AsyncOnlineSubjects
from clusterpass.managers.aio_listeners import TaskListeners
from clusterpass.managers.confirming import ConfirmingTask
from clusterpass.managers.listeners import AnyListener, check_kinds
from clusterpass.managers.open_store import open_store
from clusterpass.model.policy import SessionPolicy
from clusterpass.model.statistics import ManagerStats
from clusterpass.model.values import (
    AccessToken,
    Ended,
    EventKind,
    HistoryEntry,
    RevokedBefore,
    Session,
    SessionEvent,
    TokenPair,
)
from clusterpass.sessions.flows import Flows
from clusterpass.sessions.verbs.login import LoginOptions
from clusterpass.store.drivers.aio import AsyncStore


class AsyncSessionManager:
    """Sessions on a cluster, for one event loop. Close it at the end.

    The same verbs as :class:`SessionManager`, awaited; their arguments, results, costs and errors
    are described there.
    """

    def __init__(self, store: AsyncStore, config: Config) -> None:
        """``store`` is closed together with the manager."""
        self.store = store
        self.config = config
        self._listeners = TaskListeners()
        deadline = store.location.patience.deadline
        self._flows = Flows(
            config,
            store.keyspace,
            deadline=deadline,
            tell=self._listeners.tell,
            lock=threading.RLock,
            has_epochs=store.location.is_cluster,
        )
        near = self._flows.context.near
        self._remembered: Final = near.find
        if config.verification == "cached":
            store.observe(near, config.staleness_bound)
        store.confirm_by(config.durability)
        store.on_fork.append(self._flows.context.begin_anew)
        self._confirming = ConfirmingTask(self._flows.context.pending, store.run)
        self.bans: Final = AsyncBans(store, self._flows.subjects)
        self.claims: Final = AsyncClaims(store, self._flows.subjects)
        self.online: Final = AsyncOnlineSubjects(store, self._flows.online)

    @classmethod
    def from_url(cls, url: str, config: Config) -> Self:
        """A manager for the store at ``url``; see :meth:`SessionManager.from_url`."""
        return cls(open_store(url, AsyncStore), config)

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
        """Try once more what is pending, tell listeners what waits, and close all connections.

        An embedded cluster is stopped.
        """
        await self._confirming.close()
        await self._listeners.close()
        await self.store.close()

    async def login(
        self,
        subject: str,
        *,
        device: str | None = None,
        device_type: str | None = None,
        claims: Mapping[str, Any] | None = None,
        policy: SessionPolicy | None = None,
        replace: str | None = None,
        remember: bool = False,
        lifetime: int | None = None,
        idle_lifetime: int | None = None,
        acr: str | None = None,
        amr: Sequence[str] = (),
        address: str | None = None,
        generation: int | None = None,
    ) -> TokenPair:
        """Open a session of ``subject``, who must have been authenticated before."""
        return await self.store.run(
            self._flows.opening.login(
                subject,
                LoginOptions(
                    device=device,
                    device_type=device_type,
                    claims=claims,
                    policy=policy,
                    replace=replace,
                    remember=remember,
                    lifetime=lifetime,
                    idle_lifetime=idle_lifetime,
                    acr=acr,
                    amr=amr,
                    address=address,
                    generation=generation,
                ),
            )
        )

    async def verify(
        self,
        access_token: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        verification: VerificationMode | None = None,
        outage_grace: float | None = None,
    ) -> Session:
        """The live session of ``access_token``."""
        if level is None and max_auth_age is None and verification is None:
            session = self._remembered(access_token)
            if session is not None:
                return session
        return await self.store.run(
            self._flows.verification.verify(
                access_token,
                level=level,
                max_auth_age=max_auth_age,
                verification=verification,
                outage_grace=outage_grace,
            )
        )

    def recall(self, access_token: str) -> Session | None:
        """The session if it can be answered from memory; see :meth:`SessionManager.recall`.

        Not awaited.
        """
        return self._remembered(access_token)

    async def refresh(
        self,
        refresh_token: str,
        *,
        address: str | None = None,
    ) -> TokenPair:
        """A new pair; ``refresh_token`` is used up (RFC 9700 section 4.14.2)."""
        return await self.store.run(self._flows.rotation.refresh(refresh_token, address=address))

    async def logout(
        self,
        token: str,
        *,
        address: str | None = None,
        operation_id: str | None = None,
    ) -> Ended:
        """End the session of an access token, also of an expired one, or of a refresh token."""
        return await self.store.run(
            self._flows.ending.logout(token, address=address, operation_id=operation_id)
        )

    async def sessions(
        self,
        subject: str,
    ) -> list[Session]:
        """Every live session of ``subject``, newest first."""
        return await self.store.run(self._flows.subjects.sessions(subject))

    async def history(
        self,
        subject: str,
    ) -> list[HistoryEntry]:
        """What happened to the sessions of ``subject``, newest first."""
        return await self.store.run(self._flows.subjects.history(subject))

    async def revoke(
        self,
        subject: str,
        session_id: str,
        *,
        reason: str = "",
        operation_id: str | None = None,
    ) -> Ended:
        """End one session of ``subject``; ending it twice is no error."""
        return await self.store.run(
            self._flows.ending.revoke(subject, session_id, reason=reason, operation_id=operation_id)
        )

    async def revoke_all(
        self,
        subject: str,
        *,
        keep: str | None = None,
        device_type: str | None = None,
        reason: str = "",
        operation_id: str | None = None,
    ) -> Ended:
        """End every session of ``subject``, except the one with the id ``keep``."""
        return await self.store.run(
            self._flows.ending.revoke_all(
                subject,
                keep=keep,
                device_type=device_type,
                reason=reason,
                operation_id=operation_id,
            )
        )

    async def revoke_before(
        self,
        time: int | None = None,
    ) -> RevokedBefore:
        """End every session of the whole namespace that was opened before ``time``."""
        return await self.store.run(self._flows.ending.revoke_before(time))

    async def generation(
        self,
        subject: str,
    ) -> int:
        """A number that each ``revoke_all`` of ``subject`` raises; 0 when there was none."""
        return await self.store.run(self._flows.subjects.generation(subject))

    async def shorten(
        self,
        subject: str,
        session_id: str,
        *,
        lifetime: int | None = None,
        idle_lifetime: int | None = None,
    ) -> Session:
        """Let a session end earlier than it would; never later."""
        return await self.store.run(
            self._flows.standing.shorten(
                subject, session_id, lifetime=lifetime, idle_lifetime=idle_lifetime
            )
        )

    async def elevate(
        self,
        session: Session,
        level: str,
        *,
        for_seconds: int,
        amr: Sequence[str] = (),
        address: str | None = None,
    ) -> AccessToken:
        """Note that the user of ``session`` was just authenticated again, at ``level``."""
        return await self.store.run(
            self._flows.standing.elevate(
                session, level, for_seconds=for_seconds, amr=amr, address=address
            )
        )

    async def impersonate(
        self,
        actor: Session,
        subject: str,
        *,
        reason: str,
        for_seconds: int = 900,
    ) -> TokenPair:
        """Open a session of ``subject`` in which ``actor`` acts (RFC 8693 section 4.1)."""
        return await self.store.run(
            self._flows.opening.impersonate(actor, subject, reason=reason, for_seconds=for_seconds)
        )

    def on(self, *kinds: EventKind) -> Callable[[AnyListener], AnyListener]:
        """A decorator for a listener: a function, plain or async, of one SessionEvent.

        ``kinds``: of which events it is told; none: of all. Listeners are told soon after, on a
        task of their own, in order; they can neither slow nor break a verb: what they raise is
        logged. They hear what this process did, not what others did. Raises InvalidInput.
        """
        check_kinds(kinds)
        return lambda listener: self._listeners.subscriptions.add(kinds, listener)

    def off(self, listener: Callable[[SessionEvent], Any]) -> None:
        """Tell ``listener`` nothing more; no error when it never was told anything."""
        self._listeners.subscriptions.remove(listener)

    def stats(self) -> ManagerStats:
        """How sessions are verified here; see :meth:`SessionManager.stats`. Not awaited."""
        return dataclasses.replace(
            self._flows.stats(),
            durability=self.store.describe_durability(),
            silent_nodes=self.store.silent_nodes(),
        )

    async def ping(self) -> None:
        """Return when the store answers; raises StoreUnavailable otherwise."""
        await self.store.ping()
