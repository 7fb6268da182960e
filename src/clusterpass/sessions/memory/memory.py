"""The memory of a manager: near cache, denials, pending revocations, journal and cutoff.

- The near cache holds the sessions that may be served without asking the store.
- The denials hold the sessions that have ended, whatever the store reports.
- The pending revocations are those that the store has not confirmed.
- The journal holds the endings that were acknowledged before their own shard confirmed them.
- The cutoff is the time before which every session has ended.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.model.forks import renew_in_child
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Listed, StoredBan
from clusterpass.sessions.memory.clocks import Clocks
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.denial import Denial, Sweep
from clusterpass.sessions.memory.denials import Denials
from clusterpass.sessions.memory.journal import Journal
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.near_cache import NearCache
from clusterpass.sessions.memory.pending_revocations import PendingRevocations


class Memory:
    """The memory of one manager."""

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        clock: Clock,
        *,
        lock: Callable[[], AbstractContextManager[Any]],
        has_epochs: bool,
        jitter: Callable[[], float],
        keeping: Callable[[], Housekeeping],
    ) -> None:
        """``lock``: creates a reentrant lock; ``has_epochs``: whether the store is a cluster;
        ``jitter``: returns a random number from 0 to 1; ``keeping``: returns what calls that change
        a subject carry."""
        self.cutoff: Final = Cutoff(clock.steady, config.staleness_bound)
        self.near: Final = NearCache(
            Leases(config.staleness_bound, has_epochs=has_epochs),
            self.cutoff,
            key_prefix=keyspace.sessions_prefix(),
            cutoff_prefix=keyspace.not_before_prefix(),
            secrets_prefix=keyspace.secrets_prefix(),
            most_entries=config.cache_entries,
            most_bytes=config.cache_bytes,
            steady=clock.steady,
            clock=clock.wall,
            lock=lock,
            serves=config.verification == "cached",
        )
        self.journal: Final = Journal(
            keyspace,
            keeping,
            steady=clock.steady,
            clock=clock.wall,
            lock=lock,
            jitter=jitter,
            changed=self.near.changed,
        )
        self.journal.on_cutoff = self.cutoff.raise_to
        if has_epochs:
            self.near.journal = self.journal
            self.near.leases.set_journals(None)
        self.clocks: Final = Clocks(clock)
        self.near.on_time = self.clocks.told
        self.denials: Final = Denials(lock, clock.steady)
        self.denials.most_ahead = self.clocks.most_ahead
        self.denials.on_generation = self.near.outdated
        self.denials.on_overtaken = self.near.changed
        self.pending: Final = PendingRevocations(clock.steady, lock, jitter)
        self.begin_anew()
        renew_in_child(self)
        self.grace_accepted = 0
        """Verifies that were accepted under ``outage_grace`` while the store was unavailable."""

    def begin_anew(self) -> None:
        """Forget the cutoffs that the parent process retries; called in a forked child."""
        self.pending_cutoffs = 0
        """The number of cutoffs of which a copy is not confirmed."""

    def deny(self, key: bytes, session_id: bytes, denial: Denial) -> None:
        """Refuse the session from now on. ``key``: the key of its subject's sessions."""
        self.denials.add(session_id, denial)
        self.near.changed(key)

    def sweep(self, key: bytes, request: bytes, sweep: Sweep, milliseconds: int | None) -> None:
        """Refuse the sessions of a subject that were opened up to ``milliseconds``.

        ``key``: the key of the subject's sessions. ``request``: an operation id and a fingerprint.
        ``milliseconds``: since the epoch; None: not known yet, so ``sweep.since`` applies.
        """
        until = math.inf if milliseconds is None else milliseconds
        self.denials.sweep(key, request, replace(sweep, until=until))
        self.near.changed(key)

    def forget_sweep(self, key: bytes, request: bytes) -> None:
        """Stop refusing sessions because of ``request``, which failed or is confirmed."""
        self.denials.forget_sweep(key, request)
        self.near.changed(key)

    def settle_ban(self, key: bytes, request: bytes) -> None:
        """Leave a ban from a scope to the store, or to the journals, which have it by now."""
        self.denials.settle_ban(key, request)
        self.near.changed(key)

    def with_pending_bans(
        self, key: bytes, bans: tuple[StoredBan, ...], asked_at: float
    ) -> tuple[StoredBan, ...]:
        """Return ``bans`` of the subject of ``key``, with those that only this process knows.

        ``asked_at``: when the store was asked for ``bans``, in seconds of the steady clock.
        """
        pending = self.denials.pending_bans(key, asked_at)
        if not pending:
            return bans
        known = {ban.scope for ban in bans}
        return (*bans, *(ban for ban in pending if ban.scope not in known))

    def without_ended(self, key: bytes, listed: Listed, asked_at: float) -> Listed:
        """Return ``listed`` without the sessions that this process knows have ended, and with the
        bans that it knows.

        ``asked_at``: when the store was asked, in seconds of the steady clock. The result has the
        time by which to judge the sessions; raises StoreUnavailable when there is none.
        """
        listed = listed.at(self.clocks.judge(listed.now_milliseconds, asked_at))
        left = {
            session_id: stored
            for session_id, stored in listed.sessions.items()
            if not isinstance(stored.record, LiveRecord)
            or self.denials.judge(key, session_id, stored, asked_at) is None
        }
        if self.denials.pending_bans(key, asked_at):
            left = {
                session_id: replace(stored, bans=self.with_pending_bans(key, stored.bans, asked_at))
                for session_id, stored in left.items()
            }
        return replace(listed, sessions=left)
