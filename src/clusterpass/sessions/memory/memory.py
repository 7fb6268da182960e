"""All that one process remembers between two calls, and what it means for the next one.

What may be served (the near cache), what is over whatever the store says (the denials), what is
still to be confirmed (the pending revocations), and the time before which every session has ended
(the cutoff).
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from clusterpass.config import Config
from clusterpass.model.clock import Clock
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord
from clusterpass.protocol.replies import Listed
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.denials import Denial, Denials, Sweep
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.near_cache import NearCache
from clusterpass.sessions.memory.pending import PendingRevocations


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
    ) -> None:
        """``lock``: makes a lock that one thread can hold several times; ``has_epochs``: whether
        the store is a cluster; ``jitter``: a number from 0 to 1."""
        self.cutoff: Final = Cutoff(clock.steady, config.staleness_bound)
        self.near: Final = NearCache(
            Leases(config.staleness_bound, has_epochs=has_epochs),
            self.cutoff,
            key_prefix=keyspace.sessions_prefix(),
            cutoff_prefix=keyspace.not_before_prefix(),
            most_entries=config.cache_entries,
            most_bytes=config.cache_bytes,
            steady=clock.steady,
            clock=clock.wall,
            lock=lock,
        )
        self.denials: Final = Denials(lock, clock.steady)
        self.denials.on_generation = self.near.outdated
        self.pending: Final = PendingRevocations(clock.steady, lock, jitter)
        self.pending_cutoffs = 0
        """Cutoffs of which a copy is not confirmed."""
        self.grace_accepted = 0
        """Verifies that were answered although the store could not be asked."""

    def deny(self, key: bytes, session_id: bytes, denial: Denial) -> None:
        """Refuse the session from now on; ``key``: of the sessions of its subject."""
        self.denials.add(session_id, denial)
        self.near.changed(key)

    def sweep(self, key: bytes, operation: bytes, sweep: Sweep, milliseconds: int | None) -> None:
        """Refuse sessions of a subject: those opened up to ``milliseconds`` (None: all)."""
        until = math.inf if milliseconds is None else milliseconds
        self.denials.sweep(key, operation, replace(sweep, until=until))
        self.near.changed(key)

    def forget_sweep(self, key: bytes, operation: bytes) -> None:
        """Refuse nothing more because of ``operation``: it came to nothing, or the store knows."""
        self.denials.forget_sweep(key, operation)
        self.near.changed(key)

    def without_ended(self, key: bytes, listed: Listed, asked_at: float) -> Listed:
        """``listed`` without the sessions that this process knows to be over.

        ``asked_at``: when the store was asked, in seconds of the steady clock.
        """
        left = {
            session_id: stored
            for session_id, stored in listed.sessions.items()
            if not isinstance(stored.record, LiveRecord)
            or self.denials.judge(key, session_id, stored, asked_at) is None
        }
        return replace(listed, sessions=left)
