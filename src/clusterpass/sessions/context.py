"""What all flows share: the configuration, the keys, the clocks, and who is told what happened."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.errors import StoreUnavailable
from clusterpass.model.values import Session, SessionEvent
from clusterpass.protocol.calls import namespace as namespace_calls
from clusterpass.protocol.calls.housekeeping import Housekeeping
from clusterpass.protocol.keyspace import SLOTS_WITH_CUTOFF, Keyspace
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Listed
from clusterpass.protocol.script import Flow
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.denials import Denial, Denials, Sweep
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.near_cache import NearCache
from clusterpass.sessions.memory.pending import PendingEndings
from clusterpass.sessions.present import describe_live
from clusterpass.tokens.issuer import TokenIssuer
from clusterpass.tokens.refresh import RefreshTokens
from clusterpass.tokens.verifier import TokenVerifier

_CUTOFF_DEADLINE: Final = 0.3


class Context:
    """One for each manager."""

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        tell: Callable[[SessionEvent], None],
        lock: Callable[[], AbstractContextManager[Any]],
        has_epochs: bool,
        deadline: float,
        jitter: Callable[[], float],
    ) -> None:
        """``clock``: seconds since the epoch; ``monotonic``: seconds of a clock that never jumps;

        ``random_bytes``: n unpredictable bytes; ``tell``: hands an event to the listeners;
        ``lock``: makes a lock that a thread can hold several times; ``has_epochs``: whether the
        store is a cluster; ``deadline``: seconds after which it gives up a call; ``jitter``: a
        number from 0 to 1.
        """
        self.config: Final = config
        self.keyspace: Final = keyspace
        self.random_bytes: Final = random_bytes
        self.tell: Final = tell
        self.clock: Final = clock
        self.cutoff: Final = Cutoff(monotonic, config.staleness_bound)
        self.near: Final = NearCache(
            Leases(config.staleness_bound, has_epochs=has_epochs),
            self.cutoff,
            key_prefix=keyspace.sessions_prefix(),
            cutoff_prefix=keyspace.not_before_prefix(),
            most_entries=config.cache_entries,
            most_bytes=config.cache_bytes,
            steady=monotonic,
            clock=clock,
            lock=lock,
        )
        self.verifier: Final = TokenVerifier(
            config.keys,
            issuer=config.issuer,
            audience=config.audience,
            clock_leeway=config.clock_leeway,
            expiry_leeway=config.expiry_leeway,
            clock=clock,
        )
        self.denials: Final = Denials(lock, monotonic)
        self.denials.on_generation = self.near.outdated
        self.pending: Final = PendingEndings(monotonic, lock, jitter)
        self.grace_accepted = 0
        """Verifies that were answered although the store could not be asked."""
        self.pending_cutoffs = 0
        """Cutoffs of which a copy is not confirmed."""
        self.deadline: Final = deadline
        """Seconds after which the store gives up a call."""
        self._new_lock = lock
        self._issuer: TokenIssuer | None = None
        self._refresh_tokens: RefreshTokens | None = None

    @property
    def tombstone_seconds(self) -> int:
        """How long a dead session is remembered: until its access tokens have expired."""
        return self.config.access_lifetime + self.config.expiry_leeway + 60

    def deny(self, subject: str, session_id: bytes, denial: Denial) -> None:
        """The session is over, for this process, from now on."""
        self.denials.add(session_id, denial)
        self.near.changed(self.keyspace.sessions(subject))

    def sweep(self, subject: str, operation: bytes, sweep: Sweep, milliseconds: int | None) -> None:
        """Sessions of the subject are over: those opened up to ``milliseconds`` (None: all)."""
        key = self.keyspace.sessions(subject)
        until = math.inf if milliseconds is None else milliseconds
        self.denials.sweep(key, operation, replace(sweep, until=until))
        self.near.changed(key)

    def forget_sweep(self, subject: str, operation: bytes) -> None:
        """It has come to nothing, or the store tells of it now."""
        key = self.keyspace.sessions(subject)
        self.denials.forget_sweep(key, operation)
        self.near.changed(key)

    def begin_anew(self) -> None:
        """What is pending is the parent's business; for the child of a fork."""
        self.denials.begin_anew(self._new_lock)
        self.pending.begin_anew(self._new_lock)

    def describe_live(
        self, subject: str, listed: Listed, cutoff: int, asked_at: float
    ) -> list[Session]:
        """The live sessions of a subject, newest first; without those that are over for us.

        ``asked_at``: when the store was, in seconds of the steady clock.
        """
        key = self.keyspace.sessions(subject)
        live = {
            session_id: stored
            for session_id, stored in listed.sessions.items()
            if not isinstance(stored.record, LiveRecord)
            or self.denials.judge(key, session_id, stored, asked_at) is None
        }
        return describe_live(self.config, subject, replace(listed, sessions=live), cutoff)

    def epoch_seconds(self) -> int:
        """This machine's time, for events of calls that answer no time of the store's."""
        return int(self.clock())

    @property
    def keeping(self) -> Housekeeping:
        """How long a subject's traces are kept, by what is known now."""
        return Housekeeping(
            self.tombstone_seconds,
            self.config.history_entries,
            self.config.history_lifetime,
            self.cutoff.milliseconds,
            self.config.index_online,
        )

    def require_private_key(self) -> None:
        """Raises ConfigurationError, before anything is sent, where no token can be made."""
        _ = self.issuer

    @property
    def issuer(self) -> TokenIssuer:
        """Raises ConfigurationError where the configuration can only verify."""
        if self._issuer is None:
            self._issuer = TokenIssuer(
                self.config.keys.signing_key,
                issuer=self.config.issuer,
                audience=self.config.audience,
                random_bytes=self.random_bytes,
            )
        return self._issuer

    @property
    def refresh_tokens(self) -> RefreshTokens:
        """Raises ConfigurationError where the configuration can only verify."""
        if self._refresh_tokens is None:
            self._refresh_tokens = RefreshTokens(self.config.keys, self.random_bytes)
        return self._refresh_tokens

    def current_cutoff(self) -> Flow[int]:
        """The time in milliseconds before which every session has ended, known a moment ago.

        Usually no round trip; about two in ``Config.staleness_bound`` for the whole process.
        Raises StoreUnavailable when no copy can be read: a cutoff not known might be missed.
        """
        if self.cutoff.is_due():
            with self.cutoff.asking():
                yield from self._ask_for_cutoff()
        return self.cutoff.milliseconds

    def _ask_for_cutoff(self) -> Flow[None]:
        failure: StoreUnavailable | None = None
        first = self.cutoff.copy
        for copy in range(first, first + len(SLOTS_WITH_CUTOFF)):
            slot = SLOTS_WITH_CUTOFF[copy % len(SLOTS_WITH_CUTOFF)]
            began = self.cutoff.now()
            try:
                answer = yield from namespace_calls.read_cutoff(
                    self.keyspace, slot, deadline=_CUTOFF_DEADLINE
                )
            except StoreUnavailable as error:
                failure = error
            else:
                self.cutoff.copy = copy  # and stay with the one that answers
                self.cutoff.learn(answer.reply, began)
                return
        if failure is not None:
            raise failure
