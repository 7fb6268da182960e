# Generated from managers/aio/manager.py by scripts/generate_sync.py; do not edit.
"""The session manager: one short method for each verb, over flows that are written once."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self, Unpack

from clusterpass.config import Config, VerificationMode
from clusterpass.managers.open_store import open_store
from clusterpass.managers.subscriptions import AnyListener, check_kinds
from clusterpass.managers.sync.confirming import Confirming
from clusterpass.managers.sync.groups import Bans, Claims, OnlineSubjects
from clusterpass.managers.sync.listeners import Listeners
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
from clusterpass.sessions.options import LoginOptions
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.protocol import Store


class SessionManager:
    """Sessions on a Redis / Valkey Cluster. Close a manager when you are done with it.

    :class:`SessionManager` is for threads, which may share one manager;
    :class:`AsyncSessionManager` has the same verbs, awaited, for the tasks of an event loop.

    The documentation of each verb says how many round trips it makes to the node that owns the
    subject's slot. Every verb raises StoreUnavailable when that node cannot be reached in time, and
    InvalidInput for a subject that is not 1 to 255 bytes of text without control characters.
    """

    def __init__(self, store: Store, config: Config) -> None:
        """A manager over ``store``, which is closed together with the manager.

        Raises ConfigurationError for ``verification="cached"`` under gevent or eventlet, and when
        ``Config.refresh_grace`` is not longer than the store's deadline.
        """
        self.store: Final = store
        self.config: Final = config
        self._listeners = Listeners()
        self._flows = Flows(
            config,
            store.keyspace,
            deadline=store.deadline,
            tell=self._listeners.tell,
            lock=threading.RLock,
            has_epochs=store.has_epochs,
        )
        self._remembered: Final = self._flows.memory.near.find
        self._has_memory: Final = config.verification != "strict"
        if config.verification == "cached":
            store.observe(self._flows.memory.near, config.staleness_bound)
        store.confirm_by(config.durability)
        self._confirming = Confirming(self._flows.memory.pending, store.run)
        self.bans: Final = Bans(store, self._flows.subject)
        self.claims: Final = Claims(store, self._flows.subject)
        self.online: Final = OnlineSubjects(store, self._flows.online)

    @classmethod
    def from_url(cls, url: str, config: Config) -> Self:
        """A manager for the store at ``url``. Nothing is sent before the first verb.

        ``redis+cluster://host:port,host:port`` (a cluster), ``redis://host:port`` (one server), the
        same with ``rediss`` for TLS, or ``embedded://``, which starts a local cluster, blocks while
        that starts, and stops it when the manager is closed. Raises ConfigurationError when the URL
        cannot be understood.
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
        """Retry pending revocations once, tell listeners what waits, and close all connections.

        Takes at most about ten seconds. A cluster that was started by ``embedded://`` is stopped.
        """
        self._confirming.close()
        self._listeners.close()
        self.store.close()

    def login(self, subject: str, **options: Unpack[LoginOptions]) -> TokenPair:
        """Open a session of ``subject``, who must have been authenticated before.

        Options, all of them optional:
        ``device``: a name to recognise the session by, at most 128 bytes; ``device_type``: the kind
        of device (``phone``), at most 16 characters. ``claims``: plain JSON of at most 4096 bytes,
        carried in each access token. ``policy``: instead of ``Config.policy``. ``replace``: the id
        of a session that ends in favour of this one. ``remember``: True for the longer lifetimes of
        the configuration; ``lifetime``, ``idle_lifetime``: seconds, instead of either. ``acr``,
        ``amr``: the level and the methods of the authentication (RFC 8176). ``address``: the
        client's IP address, for the history. ``generation``: what :meth:`generation` returned
        before the user was authenticated.

        One round trip (``login.lua``). Raises InvalidInput; SubjectBanned; TooManySessions, which
        carries the live sessions, where the policy refuses one more; LoginOvertaken when all
        sessions were revoked since ``generation``.
        """
        return self.store.run(self._flows.login.login(subject, options))

    def verify(
        self,
        access_token: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        verification: VerificationMode | None = None,
        outage_grace: float | None = None,
    ) -> Session:
        """The live session that ``access_token`` belongs to.

        ``level``: the lowest of ``Config.levels`` that is enough; ``max_auth_age``: seconds since
        the user was authenticated, at most. ``verification``: instead of ``Config.verification``;
        pass ``strict`` where an answer that is some moments old could do harm. ``outage_grace``:
        seconds, instead of ``Config.outage_grace`` (0 where ``verification`` is passed); only for
        requests that read.

        ``cached``: no round trip while nothing has changed, whoever changed it; an answer is never
        older than ``Config.staleness_bound``. Otherwise, and when ``strict``: one round trip
        (``verify.lua``); a second one when the use of the session is noted (each
        ``Config.activity_interval``, ``touch.lua``), for an impersonation (the session of the
        actor), and now and then, for the whole process, to read the time of
        :meth:`revoke_before`. ``stateless``: none, and a session that has ended is accepted until
        the token expires.

        Raises the subclass of InvalidToken that says why the token is refused: malformed, bad
        signature, wrong type, issuer or audience, expired (RFC 9068 section 4), or its session is
        unknown, expired or revoked. Raises StepUpRequired (RFC 9470 section 3); InvalidInput, also
        for ``cached`` where the configuration is not.
        """
        if self._has_memory and level is None and max_auth_age is None and verification is None:
            session = self._remembered(access_token)
            if session is not None:
                return session
        return self.store.run(
            self._flows.verify.verify(
                access_token,
                level=level,
                max_auth_age=max_auth_age,
                verification=verification,
                outage_grace=outage_grace,
            )
        )

    def recall(self, access_token: str) -> Session | None:
        """The session of ``access_token`` if it can be answered from memory now, otherwise None.

        For hot paths, before a call of :meth:`verify`, which answers the same. Not a coroutine in
        either manager: never a round trip, and raises nothing.
        """
        return self._remembered(access_token)

    def refresh(self, refresh_token: str, *, address: str | None = None) -> TokenPair:
        """Exchange ``refresh_token``, which is used up by that, for a new pair of tokens.

        Presented again within ``Config.refresh_grace``, a token gets the very same successor; after
        that its session is ended (RFC 9700 section 4.14.2). ``address``: the client's IP address,
        for the history. One round trip (``rotate.lua``). Raises RefreshTokenReused when the token
        had been used before, and InvalidRefreshToken otherwise, whose ``reason`` says why.
        """
        return self.store.run(self._flows.refresh.refresh(refresh_token, address=address))

    def logout(
        self,
        token: str,
        *,
        address: str | None = None,
        operation_id: str | None = None,
    ) -> Ended:
        """End the session of an access token, even of an expired one, or of a refresh token.

        ``address``: the client's IP address, for the history. ``operation_id``, and the meaning of
        RevocationPending: see :meth:`revoke`. One round trip (``end_session.lua``); two with a
        refresh token where only public keys are configured. Raises InvalidToken or
        InvalidRefreshToken when the token is not genuine.
        """
        return self.store.run(
            self._flows.end.logout(token, address=address, operation_id=operation_id)
        )

    def sessions(self, subject: str) -> list[Session]:
        """Every live session of ``subject``, newest first.

        One round trip (``list_sessions.lua``). Raises InvalidInput.
        """
        return self.store.run(self._flows.subject.sessions(subject))

    def history(self, subject: str) -> list[HistoryEntry]:
        """What happened to the sessions of ``subject``, newest first.

        At most ``Config.history_entries`` lines; all refreshes of a session share one. One round
        trip (``list_sessions.lua``). Raises InvalidInput.
        """
        return self.store.run(self._flows.subject.history(subject))

    def revoke(
        self,
        subject: str,
        session_id: str,
        *,
        reason: str = "",
        operation_id: str | None = None,
    ) -> Ended:
        """End one session of ``subject``. To end a session that has ended is no error.

        ``reason``: what the user is told, at most 200 bytes (the store keeps 54 of them). One round
        trip (``end_session.lua``). Raises SessionNotFound when the subject has no such session.

        Raises RevocationPending when the revocation is not as durable as ``Config.durability``
        demands, or the store cannot be reached. The revocation is then in force in this process at
        once, and is retried until it is confirmed. To ask for it again without harm, pass the same
        ``operation_id``: the one that the error carries, or 16 hexadecimal digits of your own.
        """
        return self.store.run(
            self._flows.end.revoke(subject, session_id, reason=reason, operation_id=operation_id)
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

        ``device_type``: end only the sessions on this kind of device. ``reason``: what the user is
        told, at most 200 bytes. Without a ``device_type`` the subject's generation is raised, see
        :meth:`generation`. ``operation_id``, and the meaning of RevocationPending: see
        :meth:`revoke`. One round trip (``end_all.lua``). Raises InvalidInput, and SessionNotFound
        when ``keep`` is not a session id.
        """
        return self.store.run(
            self._flows.end.revoke_all(
                subject,
                keep=keep,
                device_type=device_type,
                reason=reason,
                operation_id=operation_id,
            )
        )

    def revoke_before(self, time: int | None = None) -> RevokedBefore:
        """End every session, of all subjects of the namespace, that was opened before ``time``.

        ``time``: seconds since the epoch; None, or a time in the future, means now. Returns the
        time that holds, which may be later than the one asked for: a time that was set is never
        lowered. Other servers see it within a second. Three round trips (``not_before.lua``).
        Raises InvalidInput, and RevocationPending when not every copy of the time is confirmed; it
        is then retried until it is.
        """
        return self.store.run(self._flows.end.revoke_before(time))

    def generation(self, subject: str) -> int:
        """A number that each ``revoke_all`` of ``subject`` raises; 0 when there was none.

        Read the generation before a user is authenticated and pass it to :meth:`login`: a login
        that is under way while all sessions are revoked is then refused. One round trip
        (``read_fields.lua``). Raises InvalidInput.
        """
        return self.store.run(self._flows.subject.generation(subject))

    def shorten(
        self,
        subject: str,
        session_id: str,
        *,
        lifetime: int | None = None,
        idle_lifetime: int | None = None,
    ) -> Session:
        """Let a session end earlier than it would. A session can never be made to end later.

        ``lifetime``: seconds from now; ``idle_lifetime``: seconds without use. Access tokens keep
        their ``exp``, but :meth:`verify` refuses them once the session has ended. One round trip
        (``shorten.lua``). Raises InvalidInput, SessionNotFound, or what :meth:`verify` raises of a
        session that has ended.
        """
        return self.store.run(
            self._flows.adjust.shorten(
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
        """Record that the user of ``session`` was just authenticated again, at ``level``.

        For ``for_seconds`` (1 to one day) the session has that ``acr``, these ``amr`` and a fresh
        ``auth_time``; then it has those of its login again. Returns an access token that says so.
        Access tokens that were handed out before profit too, as :meth:`verify` asks the store.
        ``address``: the client's IP address, for the history. One round trip (``elevate.lua``).
        Raises InvalidInput, ImpersonationRefused for an impersonation, or what :meth:`verify`
        raises of a session that has ended. RFC 9470.
        """
        return self.store.run(
            self._flows.adjust.elevate(
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

        Whether ``actor`` may do so is for the application to decide before. The tokens carry
        ``act``; lists and the history show the actor and the ``reason``. The session ends after
        ``for_seconds`` (at most 3600), or with the actor's own; it counts in no policy and cannot
        be stepped up. Two round trips (``verify.lua`` for the actor, ``login.lua``). Raises
        InvalidInput, SubjectBanned, what :meth:`verify` raises of an actor's session that has
        ended, and ImpersonationRefused for a protected subject, from within an impersonation, and
        of oneself.
        """
        return self.store.run(
            self._flows.login.impersonate(actor, subject, reason=reason, for_seconds=for_seconds)
        )

    def on(self, *kinds: EventKind) -> Callable[[AnyListener], AnyListener]:
        """A decorator for a listener: a function or coroutine function of one SessionEvent.

        ``kinds``: the kinds of events to listen to; none: all. Listeners are told shortly after, in
        the background and in order, and can neither slow nor break a verb: an exception of theirs
        is logged. They hear what this process did, not what others did. Raises InvalidInput.
        """
        check_kinds(kinds)
        return lambda listener: self._listeners.subscriptions.add(kinds, listener)

    def off(self, listener: Callable[[SessionEvent], Any]) -> None:
        """Tell ``listener`` nothing more; no error when it never was told anything."""
        self._listeners.subscriptions.remove(listener)

    def stats(self) -> ManagerStats:
        """How sessions are verified, what is held in memory, and what is pending. No round trip."""
        return dataclasses.replace(
            self._flows.stats(),
            durability=self.store.describe_durability(),
            silent_nodes=self.store.silent_nodes(),
        )

    def ping(self) -> None:
        """Return when a primary answers; raises StoreUnavailable otherwise. One round trip."""
        self.store.ping()
