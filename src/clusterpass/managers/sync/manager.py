# Generated from managers/aio/manager.py by scripts/generate_sync.py; do not edit.
"""The session manager: one short method for each verb, which runs its flow against the store.

The verbs that issue tokens are in ``issuing``, those that end sessions in ``ending``, and those of
the attributes ``bans``, ``claims`` and ``online`` in ``groups``.
"""

import dataclasses
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from clusterpass.config import Config, VerificationMode
from clusterpass.managers.cached_responses import CachedResponses
from clusterpass.managers.closing import Closing
from clusterpass.managers.development import development_config
from clusterpass.managers.listeners_by_kind import AnyListener, check_kinds
from clusterpass.managers.open_store import open_store
from clusterpass.managers.sync.audit import Audit
from clusterpass.managers.sync.audit_writer import Auditing
from clusterpass.managers.sync.confirming import Confirming
from clusterpass.managers.sync.ending import EndingVerbs
from clusterpass.managers.sync.groups import Bans, Claims, Keys, OnlineSubjects
from clusterpass.managers.sync.hearing import Hearing
from clusterpass.managers.sync.issuing import IssuingVerbs
from clusterpass.managers.sync.listener_queue import Listeners
from clusterpass.managers.sync.recording import Recording
from clusterpass.managers.sync.session_watch import SessionWatch
from clusterpass.managers.sync.verifying import Verifying
from clusterpass.managers.sync.watching import Watching
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.events import EventKind, HistoryEntry, ListenerScope, SessionEvent
from clusterpass.model.statistics import ManagerStats
from clusterpass.model.values import Session
from clusterpass.sessions.flows import Flows
from clusterpass.store.address import AddressRemap
from clusterpass.store.credentials import CredentialSource
from clusterpass.store.drivers.sync import SyncStore
from clusterpass.store.protocol import Store
from clusterpass.tokens.keyring import KeyRing


class SessionManager(IssuingVerbs, EndingVerbs):
    """Sessions on a Redis or Valkey Cluster. Close a manager after use.

    :class:`SessionManager` is for threads, which may share one manager;
    :class:`AsyncSessionManager` has the same verbs, awaited, for the tasks of an event loop.

    The documentation of each verb states its round trips to the node that owns the subject's slot.
    Every verb raises StoreUnavailable when that node cannot be reached in time, and InvalidInput
    for a subject that is not 1 to 255 bytes of text without control characters.
    """

    def __init__(self, store: Store, config: Config) -> None:
        """``store``: holds the sessions, and is closed together with the manager.

        Raises ConfigurationError for ``verification="cached"`` under gevent or eventlet, and when
        ``Config.refresh_grace`` is not longer than the store's deadline.
        """
        self.config = config
        self._replacing: Final = threading.Lock()
        self._listeners = Listeners()
        flows = Flows(
            config,
            store.keyspace,
            deadline=store.deadline,
            tell=self._listeners.tell,
            lock=threading.RLock,
            has_epochs=store.has_epochs,
        )
        super().__init__(store, flows)
        self.counters: Final = flows.counters
        if isinstance(store, SyncStore):  # another driver need not count
            store.count_in(flows.counters)
        self._remembered: Final = self._flows.memory.near.find
        self._has_memory: Final = config.verification != "strict"
        self._shares_loads: Final = config.verification == "cached"
        self._verifying: Final = Verifying(self._running, self._flows, deadline=store.deadline)
        store.observe(self._flows.memory.near, config.staleness_bound)
        store.confirm_by(config.durability)
        self._confirming = Confirming(self._flows.memory.pending, store.run, store.owner_of)
        self._recording: Final = Recording(store, self._flows)
        self._watching: Final = Watching(self._running, self._flows)
        self._hearing: Final = Hearing(store, self._flows, self._listeners)
        self.bans: Final = Bans(self._running, self._flows.subject)
        self.claims: Final = Claims(self._running, self._flows.subject)
        context = self._flows.context
        self.keys: Final = Keys(self._running, context.signing, context.secrets)
        if self._flows.known_keys is not None:
            self._flows.known_keys.adopt = self.replace_keys
        self.online: Final = OnlineSubjects(self._running, self._flows.online)
        self.responses: Final = CachedResponses(self._flows.memory.near)
        trail = self._flows.trail
        self._auditing: Final = None if trail is None else Auditing(store, trail)
        self.audit: Final = Audit(self._running, self._flows.audit, self._auditing)
        parts = (
            *(self._confirming, self._listeners, self._hearing, self._watching, self._recording),
            *(() if self._auditing is None else (self._auditing,)),
        )
        self._running.resume = tuple(part.resume for part in parts)
        self._closing: Final = Closing(self._close)

    @classmethod
    def from_url(
        cls,
        url: str,
        config: Config | None = None,
        *,
        credentials: CredentialSource | None = None,
        address_remap: AddressRemap | None = None,
    ) -> Self:
        """Return a manager for the store at ``url``. Nothing is sent before the first verb.

        ``url``: ``redis+cluster://host:port,host:port`` (a cluster), ``redis://host:port`` (a
        single server), ``redis+sentinel://host:port,host:port/service`` (the primary that Sentinels
        name), each with ``rediss`` for TLS, or ``embedded://``. An ``embedded://`` URL starts a
        local cluster, blocks until it is ready, and stops it when the manager is closed;
        ``embedded://?data=FOLDER`` keeps its data, and is joined by other processes that open it:
        the last one stops it. ``config``: required, except with ``embedded://``, which generates
        keys for development and warns. ``credentials``: a function that returns the user and the
        password of each new connection, as :class:`Credentials` or a tuple, for passwords that
        change; ``address_remap``: a function that takes the ``(host, port)`` of a node and returns
        those that lead there, for clusters whose own addresses do not. Raises ConfigurationError
        for an invalid URL or without a required ``config``, and EmbeddedClusterError when the
        cluster does not start.
        """
        if config is None:
            config = development_config(url)
        store = open_store(url, SyncStore, credentials=credentials, address_remap=address_remap)
        return cls(store, config)

    def __enter__(self) -> Self:
        self._hearing.resume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Retry pending revocations once more, deliver queued events, and close all connections.

        Uses of sessions that wait to be recorded are, for at most a second. Revocations that are
        still not confirmed after three seconds are given up, and logged as a warning of
        ``clusterpass.pending``; entries of the audit trail that the store does not take are logged.
        Closing takes at most about twelve seconds. A cluster that ``embedded://`` started is
        stopped. Who closes a manager that is being closed waits for that; closing it again does
        nothing. Later calls raise StoreUnavailable (``closed``).
        """
        self._closing.run(waits=not self._listeners.is_current)

    def _close(self) -> None:
        try:
            self._watching.close()
            self._recording.close()
            self._confirming.close()
            self._hearing.close()
            self._listeners.close()
            if self._auditing is not None:
                self._auditing.close()
        finally:
            self._running.close()
            self.store.close()

    def replace_keys(self, keys: KeyRing) -> None:
        """Sign and verify with ``keys`` from now on, without closing anything.

        Calls that are under way end as they began. Access tokens of a key that is no longer there
        are refused at once, also those in memory; refresh tokens do not depend on the keys, except
        those of earlier releases. ``config.keys`` is ``keys`` afterwards. The method is not a
        coroutine in either manager, and makes no round trip. Gates and login attempts of web
        integrations keep the keys that they were made with. Raises ConfigurationError when ``keys``
        can sign and those before could not, or the other way round.
        """
        with self._replacing:
            before = self.config.keys
            if keys.can_sign != before.can_sign:
                raise ConfigurationError(
                    "keys can be replaced by others that can sign if these can, and only then;"
                    " open another manager"
                )
            self.config = dataclasses.replace(self.config, keys=keys)
            self._flows.replace_keys(before, keys)

    def verify(
        self,
        access_token: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        verification: VerificationMode | None = None,
        outage_grace: float | None = None,
    ) -> Session:
        """Return the live session that ``access_token`` belongs to.

        ``level``: the lowest of ``Config.levels`` that is sufficient. ``max_auth_age``: the oldest
        authentication allowed, in seconds. ``verification``: overrides ``Config.verification``;
        pass ``strict`` when an answer that is a moment old could do harm. ``outage_grace``: seconds
        for which a known session is still accepted while the store is unavailable
        (stale-if-error), overriding ``Config.outage_grace`` (0 when ``verification`` is passed);
        use it for read requests only.

        ``cached``: no round trip while the session is unchanged; an answer is never older than
        ``Config.staleness_bound``, and a use that is due is recorded afterwards. ``strict``, and
        ``cached`` after a change: one round trip (``verify.lua``), plus one to record the use of
        the session (``touch.lua``, once in each ``Config.activity_interval``), one for the actor of
        an impersonation, and, from time to time for the whole process, one to read the time of
        :meth:`revoke_before`. ``stateless``: no round trip, and a session that has ended is
        accepted until the token expires.

        Raises the subclass of InvalidToken that names the problem: the token is malformed, has a
        bad signature or the wrong type, issuer or audience, has expired (RFC 9068 section 4) or was
        superseded by a step-up, or its session is unknown, expired or revoked. Raises
        StepUpRequired (RFC 9470 section 3), and InvalidInput, also for ``cached`` when the manager
        is not configured for it.
        """
        is_plain = level is None and max_auth_age is None and verification is None
        if is_plain and self._has_memory:
            session = self._remembered(access_token)
            if session is not None:
                return session
        is_late = False
        if self._flows.verify.is_cold and verification != "stateless":
            self._verifying.warm_up()
            is_late = self._flows.verify.is_cold  # it failed

        if is_plain and self._shares_loads and isinstance(access_token, str):
            begin = partial(self._flows.verify.verify, access_token, outage_grace=outage_grace)
            return self._verifying.share(access_token, begin, is_late=is_late)
        flow = self._flows.verify.verify(
            access_token,
            level=level,
            max_auth_age=max_auth_age,
            verification=verification,
            outage_grace=outage_grace,
            is_late=is_late,
        )
        return self._running.run(flow)

    def recall(self, access_token: str) -> Session | None:
        """Return the session of ``access_token`` if it can be served from memory now, else None.

        Hot paths can call this method before :meth:`verify`, which returns the same session. The
        method is not a coroutine in either manager, never makes a round trip and never raises.
        """
        return self._remembered(access_token)

    def sessions(self, subject: str) -> list[Session]:
        """Return the live sessions of ``subject``, newest first.

        One round trip (``list_sessions.lua``). Raises InvalidInput.
        """
        return self._running.run(self._flows.subject.sessions(subject))

    def get(self, subject: str, session_id: str) -> Session:
        """Return the live session of ``subject`` with the id ``session_id``.

        For code that acts for a user later, without a token: a background job is given the subject
        and the session id, and asks before it acts. The use of the session is not recorded. The
        authentication is that of the login, as a step-up applies only to the tokens issued after
        it. One round trip (``verify.lua``); two for an impersonation. Raises SessionUnknown,
        SessionExpired or SessionRevoked when the session is not live, and InvalidInput.
        """
        return self._running.run(self._flows.get.get(subject, session_id))

    def watch(self, session: Session) -> SessionWatch:
        """Return an iterator over what becomes of ``session``, for an open connection of its user.

        ``session``: as :meth:`verify` or :meth:`get` returns it. Reports a SessionChange when its
        claims or bans change, when the session ends (the last report), and when the store becomes
        unavailable or available again, whichever process was the cause. What has changed since
        ``session`` was read is reported at once. The watch outlives the access token and all
        refreshes, and does not count as use. The authentication that is reported is that of the
        login, as for :meth:`get`. Close the iterator when the connection ends, from any thread or
        task; that, and closing the manager, ends the iteration at once and without a report.

        Changes arrive within milliseconds. One round trip at the beginning, and one after each
        change to the subject (``verify.lua``). Where nodes push no changes (under gevent, and where
        RESP3 or CLIENT TRACKING is refused), one each second. Raises InvalidInput, and
        SessionUnknown for what is no session id.
        """
        return self._watching.watch(session)

    def history(self, subject: str) -> list[HistoryEntry]:
        """Return the history of the sessions of ``subject``, newest first.

        The history has at most ``Config.history_entries`` entries; all refreshes of a session share
        one. One round trip (``list_sessions.lua``). Raises InvalidInput.
        """
        return self._running.run(self._flows.subject.history(subject))

    def export(self, subject: str) -> dict[str, Any]:
        """Return what the store holds of ``subject``, as plain JSON for the subject's own eyes.

        The members: ``subject``, ``exported_at``, the live ``sessions``, ``ended_sessions`` of
        which tokens may be around, ``history``, ``bans`` and ``claims``, in the form of
        ``to_dict``. No token, key or digest is in it. Five round trips (``list_sessions.lua`` and
        ``read_fields.lua``, twice each, and the revocation cutoff). Raises InvalidInput.
        """
        return self._running.run(self._flows.data.export(subject))

    def on(
        self, *kinds: EventKind, scope: ListenerScope = "process"
    ) -> Callable[[AnyListener], AnyListener]:
        """Return a decorator for a listener: a function or coroutine function of one SessionEvent.

        ``kinds``: the kinds of events to listen to; none: all. Listeners are called soon after the
        event, in the background and in order. A listener can neither slow nor break a verb, and its
        exceptions are logged. ``scope``: ``process`` for the events of this manager, ``cluster``
        for those of every process on the namespace, its own included, within milliseconds.

        With ``cluster`` events are those that the history records (no ``refused``), with as much as
        it holds of them. Where no event loop runs, an AsyncSessionManager listens from its first
        call on. One round trip for each change of a subject (``list_sessions.lua``). Raises
        InvalidInput for an unknown kind or scope, and ConfigurationError for ``cluster`` when
        ``Config.history_entries`` is 0, and for a SessionManager under gevent or eventlet.
        """
        wanted = check_kinds(kinds, scope)
        if scope == "process":
            return lambda listener: self._listeners.subscriptions.add(wanted, listener)
        self._hearing.check()
        return lambda listener: self._hearing.add(wanted, listener)

    def off(self, listener: Callable[[SessionEvent], Any]) -> None:
        """Stop calling ``listener``, in either scope; do nothing if it was never added."""
        self._listeners.subscriptions.remove(listener)
        self._hearing.remove(listener)

    def stats(self) -> ManagerStats:
        """Return how sessions are verified, and what cache, revocations and listeners are doing.

        No round trip.
        """
        return dataclasses.replace(
            self._flows.stats(),
            durability=self.store.describe_durability(),
            silent_nodes=self.store.silent_nodes(),
            missing_commands=self.store.missing_commands(),
            listeners=self._hearing.stats(),
        )

    def ping(self) -> None:
        """Return if a primary answers; raise StoreUnavailable if not. One round trip."""
        self._running.ping()
