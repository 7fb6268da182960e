"""Reads of the near cache: sessions by their access tokens, and kept responses.

The hot path reads without a lock. A session is served while its :class:`Lease` runs and its
deadline has not come; what fills and invalidates the entries is in
:mod:`clusterpass.sessions.memory.near_cache`. Times are seconds of the steady clock.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from clusterpass.model.statistics import CacheStats, NodeStats
from clusterpass.model.values import Session
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.node_state import NEVER
from clusterpass.sessions.memory.packed_entry import Due, due_of
from clusterpass.sessions.memory.rate_counter import Rate
from clusterpass.sessions.memory.token_index import TokenIndex
from clusterpass.sessions.memory.unrecorded_uses import UnrecordedUses
from clusterpass.sessions.memory.wanted_pushes import Following

_SECONDS: Final = 45.0
"""How long a session whose use waits to be recorded is served, before its next use waits too."""
_LEAST_SECONDS_LEFT: Final = 120.0
"""A use waits only where its session would go on for at least so long without it."""


class CachedReads(Following):
    """The reads of one near cache, and its counters."""

    def __init__(
        self,
        leases: Leases,
        cutoff: Cutoff,
        tokens: TokenIndex,
        *,
        pushed_prefixes: tuple[bytes, ...],
        steady: Callable[[], float],
        clock: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
        serves: bool,
    ) -> None:
        """``tokens``: the entries. ``clock``: returns seconds since the epoch. The other arguments
        are those of :class:`Following`."""
        super().__init__(
            leases,
            cutoff,
            pushed_prefixes=pushed_prefixes,
            steady=steady,
            lock=lock,
            serves=serves,
        )
        self._tokens = tokens
        self._clock = clock
        self.uses_to_record: Final = UnrecordedUses(steady=steady, lock=lock)
        self._hits = 0
        self._misses = 0
        self._invalidations = Rate()
        self._flushed_at = -math.inf
        self.find: Final = self._finder()
        self.find_response: Final = self._response_finder()

    # The hot path.

    def _finder(self) -> Callable[[str], Session | None]:
        get, rebuilt, steady = self._tokens.objects.get, self._rebuilt, self._steady
        is_served_before_recording = self.is_served_before_recording

        def find(token: str) -> Session | None:
            """Return the session of ``token`` if it may be served from memory now, else None."""
            try:
                entry = get(token) or rebuilt(token)
            except TypeError:  # not hashable, so not a token
                return None
            if entry is not None:
                now = steady()
                if now < entry.lease.until and (
                    now < entry.deadline or is_served_before_recording(entry)
                ):
                    entry.used_at = now
                    self._hits += 1  # concurrent threads may lose a count
                    return entry.session
            return None

        return find

    def _response_finder(self) -> Callable[[str], bytes | None]:
        get, packed, steady = self._tokens.objects.get, self._packed_response, self._steady
        is_served_before_recording = self.is_served_before_recording

        def find_response(token: str) -> bytes | None:
            """Return the response kept with the session of ``token``, where that may be served."""
            entry = get(token)
            if entry is None:
                return packed(token)
            now = steady()
            # The response is read after the lease, as a change ends the lease before all else.
            if now < entry.lease.until and (
                now < entry.deadline or is_served_before_recording(entry)
            ):
                response = entry.response
                if response is not None:
                    entry.used_at = now
                    self._hits += 1
                    return response
            return None

        return find_response

    def _packed_response(self, token: str) -> bytes | None:
        with self._lock:
            response = self._tokens.packed_response(token)
            if response is None:
                response = self._overdue_response(token)
            if response is not None:
                self._hits += 1
        return response

    def _overdue_response(self, token: str) -> bytes | None:
        """Return the response of a packed entry whose use is due, and is to be recorded later."""
        found = self._tokens.overdue(token)
        if found is None:
            return None
        contents, response = found
        due = due_of(contents)
        if due is None:
            return None
        until = self._until_recorded(token, due, due)
        if until is None:
            return None
        self._tokens.put_off(token, until)
        return response

    # Questions.

    def entry(self, token: str) -> CachedToken | None:
        """Return the entry of ``token``, whose signature was verified; None when there is none."""
        return self._tokens.objects.get(token) or self._rebuilt(token)

    @property
    def era(self) -> int:
        """The number of times that tokens were forgotten; an entry is kept only in its own era."""
        return self._tokens.era

    def _rebuilt(self, token: str) -> CachedToken | None:
        if self._tokens.is_packed(token):
            with self._lock:
                return self._tokens.rebuilt(token)
        return None

    def node_stats(self) -> tuple[NodeStats, ...]:
        """Return the state of the lease of each primary."""
        now = self._steady()
        with self._lock:
            return tuple(
                self.leases.describe(node, now) for node in sorted(self.leases.primaries, key=str)
            )

    def is_served(self, entry: CachedToken) -> bool:
        """Return whether the session of ``entry`` may be served from memory now."""
        now = self._steady()
        if entry.lease.until == -math.inf and entry.lease is not NEVER:
            self._go_on_under_new_lease(entry)
        if now < entry.lease.until and (
            now < entry.deadline or self.is_served_before_recording(entry)
        ):
            entry.used_at = now
            self._hits += 1
            return True
        return False

    def is_served_before_recording(self, entry: CachedToken) -> bool:
        """Return whether the session of ``entry`` may be served now, its use to be recorded later.

        Applies where nothing but that its use is due hinders it from being served. That an exchange
        has reached its client is never recorded later.
        """
        loaded, now = entry.loaded, self._steady()
        if loaded is None or now >= entry.lease.until:
            return False
        until = self._until_recorded(entry.token, entry, loaded)
        if until is None:
            return False
        with self._lock:
            if entry.loaded is not loaded:
                return False
            entry.deadline = until
        return True

    def _until_recorded(
        self, token: str, used: CachedToken | Due, answer: CachedSession | Due
    ) -> float | None:
        """Have a use recorded later; return until when the session is served meanwhile.

        None: the store has to be asked, as it is not the use that is due, or as nobody records it.
        """
        now = self._steady()
        if not 0 < answer.note_at <= now + answer.ahead:
            return None
        left = answer.fresh_until - answer.ahead - _LEAST_SECONDS_LEFT
        until = self._served_until(used.expires_at, answer.ahead, min(left, now + _SECONDS))
        if now >= until or not self.uses_to_record.add(
            token, used.subject, used.session_id, used.rotation
        ):
            return None
        return until

    def keep_use(self, token: str, before: CachedSession, after: CachedSession) -> None:
        """Keep ``after`` in place of ``before``, with the use of the session that was recorded.

        Nothing is kept where the store has answered anew about ``token`` meanwhile.
        """
        with self._lock:
            entry = self._tokens.rebuilt(token)
            if entry is None or entry.loaded != before:
                return
            entry.response = None
            entry.loaded, entry.session = after, after.session
            until = min(after.fresh_until, after.note_at) - after.ahead
            entry.deadline = self._served_until(entry.expires_at, after.ahead, until)

    def _served_until(self, expires_at: int, ahead: float, until: float) -> float:
        """Return when the store has to be asked: by ``until``, or when the token has expired.

        ``expires_at``: seconds since the epoch. ``ahead``: as in :class:`CachedSession`.
        """
        # The token must not have expired by this machine's clock either.
        here = self._steady() + expires_at - self._clock()
        return min(until, expires_at - ahead, here)

    def response_of(self, token: str, session: Session) -> bytes | None:
        """Return the response kept with ``token`` if it was made of this very ``session``."""
        entry = self._tokens.objects.get(token)
        if entry is None or entry.session is not session:
            return None
        response = entry.response
        return response if entry.session is session else None

    def keep_response(self, token: str, session: Session, response: bytes) -> None:
        """Keep ``response`` with ``token``, as long as its session is this very ``session``."""
        with self._lock:
            self._tokens.keep_response(token, session, response)

    def shared(self, token: str, began: float) -> Session | None:
        """Return the session of ``token`` if a load of it is good for a verify begun at ``began``.

        The store was asked no longer than the staleness bound before that, and no change became
        known since. The lease need not run any more: who has waited in a busy event loop does not
        ask again for what had not been acknowledged when the verify began.
        """
        entry = self.entry(token)
        if entry is None or entry.loaded is None or entry.is_doubtful:
            return None
        if (
            entry.asked_at < began - self.leases.bound
            or entry.loaded.created_milliseconds < self._cutoff.milliseconds
            or self._steady() >= entry.deadline
        ):
            return None
        self._hits += 1
        return entry.session

    @property
    def activity(self) -> int:
        """A number that grows with whatever is read."""
        return self.uses + self._hits

    @property
    def held(self) -> int:
        """The number of entries in memory."""
        return len(self._tokens)

    def now(self) -> float:
        """Return the steady time, in seconds."""
        return self._steady()

    def seconds_since_seen(self, entry: CachedToken) -> float | None:
        """Return the seconds since the session of ``entry`` was known to be live; None: unknown."""
        now = self.entry(entry.token)  # another object if the caller's was packed meanwhile
        if now is None or now.loaded is None or now.loaded != entry.loaded or now.is_doubtful:
            return None
        return None if now.used_at < self._flushed_at else self._steady() - now.used_at

    def store_seconds(self, loaded: CachedSession) -> float:
        """Return the store's time now, in seconds since the epoch, extrapolated from the load."""
        return self._steady() + loaded.ahead

    def stats(self) -> CacheStats:
        """Return the size and the counters of the cache."""
        return CacheStats(
            entries=len(self._tokens),
            bytes=self._tokens.size,
            hits=self._hits,
            misses=self._misses,
            evictions=self._tokens.evictions,
            invalidations=self._invalidations.total,
            invalidations_per_second=self._invalidations.per_second(self._steady()),
        )
