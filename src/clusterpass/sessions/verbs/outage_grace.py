"""Accepts sessions that were seen live a moment ago while the store is unavailable.

RFC 5861 (section 4) calls this *stale-if-error*.
"""

from collections.abc import Callable
from dataclasses import replace

from clusterpass.model.values import Session
from clusterpass.sessions.loaded_session import Loads
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.memory import Memory
from clusterpass.sessions.verbs.requirements import Wanted


class OutageGrace:
    """The grace that verifies are given in an outage of the store."""

    def __init__(
        self,
        memory: Memory,
        loads: Loads,
        check: Callable[[CachedToken, CachedSession, float, Wanted], None],
    ) -> None:
        """``check``: raises StepUpRequired unless the user authenticated as the caller requires."""
        self._memory = memory
        self._near = memory.near
        self._cutoff = memory.cutoff
        self._loads = loads
        self._check = check

    def recalled(self, entry: CachedToken, wanted: Wanted) -> Session | None:
        """Return the session if ``outage_grace`` allows it while the store is unavailable.

        Returns None otherwise. Raises SessionExpired or SessionRevoked when this process knows
        that the session has ended.
        """
        self._loads.refuse_if_over(entry)
        loaded = entry.loaded
        if loaded is None or not wanted.outage_grace:
            return None
        if not self._is_in_grace(entry, wanted.outage_grace):
            return None
        self._check(entry, loaded, self._near.store_seconds(loaded), wanted)
        self._memory.grace_accepted += 1
        return replace(loaded.session, in_grace=True)

    def _is_in_grace(self, entry: CachedToken, seconds: float) -> bool:
        near, loaded = self._near, entry.loaded
        age = near.seconds_since_seen(entry)
        return (
            loaded is not None
            and age is not None
            and age <= seconds
            and loaded.session.act is None
            and near.store_seconds(loaded) < loaded.fresh_until
            and loaded.created_milliseconds >= self._cutoff.milliseconds
            and not self._memory.pending_cutoffs
        )
