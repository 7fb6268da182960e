"""The synchronous session manager: one line per verb over the shared flows."""

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from clusterpass.config import Config, VerificationMode
from clusterpass.managers.confirming import ConfirmingThread
from clusterpass.managers.groups import Bans, Claims, OnlineSubjects
from clusterpass.managers.listeners import AnyListener, ThreadListeners, check_kinds
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
from clusterpass.store.drivers.sync import SyncStore


class SessionManager:
    """Sessions on a cluster, for threads. Safe to share between threads; close it at the end.

    Every verb says how many round trips it takes to the node that owns the subject's slot, and
    raises StoreUnavailable when that node cannot be reached in time.
    :class:`AsyncSessionManager` has the same verbs, awaited.
    """

    def __init__(self, store: SyncStore, config: Config) -> None:
        """``store`` is closed together with the manager."""
        self.store = store
        self.config = config
        self._listeners = ThreadListeners()
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
        self._confirming = ConfirmingThread(self._flows.context.pending, store.run)
        self.bans: Final = Bans(store, self._flows.subjects)
        self.claims: Final = Claims(store, self._flows.subjects)
        self.online: Final = OnlineSubjects(store, self._flows.online)

    @classmethod
    def from_url(cls, url: str, config: Config) -> Self:
        """A manager for the store at ``url``.

        ``redis+cluster://host:port,host:port``, ``redis://host:port`` (one server), the same with
        ``rediss`` for TLS, or ``embedded://`` (starts a local cluster). Nothing is sent before the
        first verb. Raises ConfigurationError when the URL cannot be understood.
        """
        return cls(open_store(url, SyncStore), config)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Try once more what is pending, tell listeners what waits, and close all connections.

        An embedded cluster is stopped.
        """
        self._confirming.close()
        self._listeners.close()
        self.store.close()

    def login(
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
        """Open a session of ``subject``, who must have been authenticated before.

        ``device``: a name to recognise the session by, at most 128 bytes; ``device_type``: its kind
        (``phone``), at most 16 characters. ``claims``: plain JSON of at most 4096 bytes, carried in
        each access token. ``policy``: instead of the configuration's. ``replace``: the id of a
        session that is to leave for this one. ``remember``: the longer lifetimes of the
        configuration; ``lifetime``, ``idle_lifetime``: seconds, instead of either. ``acr``,
        ``amr``: how the user was authenticated (RFC 8176). ``address``: the client's, for the
        history. ``generation``: what :meth:`generation` returned before the user was authenticated.

        One round trip (``login.lua``). Raises InvalidInput; SubjectBanned; TooManySessions, which
        carries the live sessions, where the policy refuses one more; LoginOvertaken when all
        sessions were revoked since ``generation``.
        """
        return self.store.run(
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

    def verify(
        self,
        access_token: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        verification: VerificationMode | None = None,
        outage_grace: float | None = None,
    ) -> Session:
        """The live session of ``access_token``.

        ``level``: one of ``Config.levels`` that the session must have at least; ``max_auth_age``:
        seconds since the user was authenticated, at most. ``verification``: instead of
        ``Config.verification``; ``strict`` where an old answer could do harm.

        ``cached``: no round trip while nothing has changed, however the change came about; never
        older than ``Config.staleness_bound``. Otherwise, and when ``strict``: one round trip
        (``verify.lua``); one more when the use of the session is noted (each
        ``Config.activity_interval``, ``touch.lua``), for an impersonation (the session of who
        acts), and now and then for the whole process (the cutoff of :meth:`revoke_before`).
        ``stateless``: none, and a session that has ended is accepted until the token expires.
        ``outage_grace``: seconds, instead of ``Config.outage_grace`` (0 where ``verification`` is
        given); for what only reads.
        Raises the InvalidToken that says why not: malformed, bad signature, wrong type, issuer or
        audience, expired (RFC 9068 section 4), or its session is unknown, expired or revoked;
        StepUpRequired (RFC 9470 section 3); InvalidInput for ``cached`` where nothing is cached.
        """
        if level is None and max_auth_age is None and verification is None:
            session = self._remembered(access_token)
            if session is not None:
                return session
        return self.store.run(
            self._flows.verification.verify(
                access_token,
                level=level,
                max_auth_age=max_auth_age,
                verification=verification,
                outage_grace=outage_grace,
            )
        )

    def recall(self, access_token: str) -> Session | None:
        """The session of ``access_token`` if it can be answered from memory now, otherwise None.

        For hot paths before a call of :meth:`verify`, which answers the same. Never a round trip;
        raises nothing.
        """
        return self._remembered(access_token)

    def refresh(
        self,
        refresh_token: str,
        *,
        address: str | None = None,
    ) -> TokenPair:
        """A new pair; ``refresh_token`` is used up (RFC 9700 section 4.14.2).

        The same token within ``Config.refresh_grace`` gets the very same successor; after that the
        session ends. ``address``: the client's, for the history. One round trip (``rotate.lua``).
        Raises RefreshTokenReused when it was used before, and InvalidRefreshToken, whose
        ``reason`` says why not.
        """
        return self.store.run(self._flows.rotation.refresh(refresh_token, address=address))

    def logout(
        self,
        token: str,
        *,
        address: str | None = None,
        operation_id: str | None = None,
    ) -> Ended:
        """End the session of an access token, also of an expired one, or of a refresh token.

        One round trip (``end_session.lua``); with a refresh token and public keys alone, two.
        ``operation_id``, and RevocationPending: see :meth:`revoke`. Raises InvalidToken or
        InvalidRefreshToken when the token is not genuine.
        """
        return self.store.run(
            self._flows.ending.logout(token, address=address, operation_id=operation_id)
        )

    def sessions(
        self,
        subject: str,
    ) -> list[Session]:
        """Every live session of ``subject``, newest first.

        One round trip (``list_sessions.lua``). Raises InvalidInput.
        """
        return self.store.run(self._flows.subjects.sessions(subject))

    def history(
        self,
        subject: str,
    ) -> list[HistoryEntry]:
        """What happened to the sessions of ``subject``, newest first.

        At most ``Config.history_entries`` lines; all refreshes of a session share one. One round
        trip (``list_sessions.lua``). Raises InvalidInput.
        """
        return self.store.run(self._flows.subjects.history(subject))

    def revoke(
        self,
        subject: str,
        session_id: str,
        *,
        reason: str = "",
        operation_id: str | None = None,
    ) -> Ended:
        """End one session of ``subject``; ending it twice is no error.

        ``reason``: what the user is told, at most 200 bytes (the tombstone keeps 54). One round
        trip (``end_session.lua``). Raises SessionNotFound when the subject has no such session.

        Raises RevocationPending when it is not as durable as it has to be (``Config.durability``),
        or the store cannot be reached: it holds in this process at once, and is tried again until
        it is confirmed. To ask for it again without harm, give the same ``operation_id``: that of
        the error, or 16 hexadecimal digits of your own.
        """
        return self.store.run(
            self._flows.ending.revoke(subject, session_id, reason=reason, operation_id=operation_id)
        )

    def revoke_all(
        self,
        subject: str,
        *,
        keep: str | None = None,
        device_type: str | None = None,
        reason: str = "",
        operation_id: str | None = None,
    ) -> Ended:
        """End every session of ``subject``, except the one with the id ``keep``.

        ``device_type``: only those of this kind. ``reason``: what the user is told. Without a
        ``device_type`` it raises the subject's generation. One round trip (``end_all.lua``).
        ``operation_id``, and RevocationPending: see :meth:`revoke`. Raises InvalidInput,
        SessionNotFound when ``keep`` is no session id.
        """
        return self.store.run(
            self._flows.ending.revoke_all(
                subject,
                keep=keep,
                device_type=device_type,
                reason=reason,
                operation_id=operation_id,
            )
        )

    def revoke_before(
        self,
        time: int | None = None,
    ) -> RevokedBefore:
        """End every session of the whole namespace that was opened before ``time``.

        ``time``: seconds since the epoch, None or later than now: now. Returns the time that holds,
        which may be later than the one asked for: it is never taken back. Running servers see it
        within a second. Three round trips (``not_before.lua``). Raises InvalidInput, and
        RevocationPending when not every copy is confirmed: that is tried again until it is.
        """
        return self.store.run(self._flows.ending.revoke_before(time))

    def generation(
        self,
        subject: str,
    ) -> int:
        """A number that each ``revoke_all`` of ``subject`` raises; 0 when there was none.

        Ask before a user is authenticated and give it to :meth:`login`: a login that is under way
        while everything is revoked is then refused. One round trip (``read_fields.lua``).
        """
        return self.store.run(self._flows.subjects.generation(subject))

    def shorten(
        self,
        subject: str,
        session_id: str,
        *,
        lifetime: int | None = None,
        idle_lifetime: int | None = None,
    ) -> Session:
        """Let a session end earlier than it would; never later.

        ``lifetime``: seconds from now; ``idle_lifetime``: seconds without use. Access tokens keep
        their ``exp``, but verify refuses them once the session is over. One round trip
        (``shorten.lua``). Raises InvalidInput, SessionNotFound, or what verify raises of a session
        that has ended.
        """
        return self.store.run(
            self._flows.standing.shorten(
                subject, session_id, lifetime=lifetime, idle_lifetime=idle_lifetime
            )
        )

    def elevate(
        self,
        session: Session,
        level: str,
        *,
        for_seconds: int,
        amr: Sequence[str] = (),
        address: str | None = None,
    ) -> AccessToken:
        """Note that the user of ``session`` was just authenticated again, at ``level``.

        For ``for_seconds`` (1 to a day) the session has that ``acr``, these ``amr`` and a fresh
        ``auth_time``; then those of its login again. Returns an access token that says so; tokens
        that were handed out before profit too, as verify asks the store. One round trip
        (``elevate.lua``). Raises InvalidInput, ImpersonationRefused for an impersonation, or what
        verify raises of a session that has ended. RFC 9470.
        """
        return self.store.run(
            self._flows.standing.elevate(
                session, level, for_seconds=for_seconds, amr=amr, address=address
            )
        )

    def impersonate(
        self,
        actor: Session,
        subject: str,
        *,
        reason: str,
        for_seconds: int = 900,
    ) -> TokenPair:
        """Open a session of ``subject`` in which ``actor`` acts (RFC 8693 section 4.1).

        Whether ``actor`` may do so is yours to decide, before. The tokens carry ``act``; lists and
        the history show who and why; the session ends after ``for_seconds`` (at most 3600), or with
        the actor's own. It counts in no policy and cannot be stepped up. Two round trips
        (``verify.lua`` for the actor, ``login.lua``). Raises InvalidInput, SubjectBanned, what
        verify raises of an actor's session that has ended, and ImpersonationRefused for a
        protected subject, from within an impersonation, and of oneself.
        """
        return self.store.run(
            self._flows.opening.impersonate(actor, subject, reason=reason, for_seconds=for_seconds)
        )

    def on(self, *kinds: EventKind) -> Callable[[AnyListener], AnyListener]:
        """A decorator for a listener: a function, plain or async, of one SessionEvent.

        ``kinds``: of which events it is told; none: of all. Listeners are told soon after, on a
        thread of their own, in order; they can neither slow nor break a verb: what they raise is
        logged. They hear what this process did, not what others did. Raises InvalidInput.
        """
        check_kinds(kinds)
        return lambda listener: self._listeners.subscriptions.add(kinds, listener)

    def off(self, listener: Callable[[SessionEvent], Any]) -> None:
        """Tell ``listener`` nothing more; no error when it never was told anything."""
        self._listeners.subscriptions.remove(listener)

    def stats(self) -> ManagerStats:
        """How sessions are verified here, what is remembered, and what that stands on.

        No round trip.
        """
        return dataclasses.replace(
            self._flows.stats(),
            durability=self.store.describe_durability(),
            silent_nodes=self.store.silent_nodes(),
        )

    def ping(self) -> None:
        """Return when the store answers; raises StoreUnavailable otherwise."""
        self.store.ping()
