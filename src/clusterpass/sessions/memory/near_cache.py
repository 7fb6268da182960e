"""What this process remembers of tokens and sessions, so that a verify need not ask the store.

Two layers in one entry for each access token: that its signature was good (until it expires), and
the session that it belongs to (while a :class:`Lease` allows it). The cluster pushes the names of
keys that change; such a push takes the session from exactly the entries of that key.

- A load is announced before it is sent. If its key changes before it is back, or the generation of
  the node that answered began later, what it brought is not kept.
- The hot path reads without a lock. An entry's lease is set last and taken away first.
- Bounded in entries and bytes; who was not used for longest leaves (a second chance for those used
  since they were looked at last).
- Times are seconds of the steady clock unless a name says otherwise; the clocks are arguments.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Set
from contextlib import AbstractContextManager
from typing import Any, Final

from clusterpass.model.forks import renew_in_child
from clusterpass.model.statistics import CacheStats, NodeStats
from clusterpass.model.values import Session
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.entries import CachedSession, CachedToken, PendingLoad
from clusterpass.sessions.memory.leases import ALWAYS, NEVER, Lease, Leases
from clusterpass.sessions.memory.rate import Rate

_ENTRY_BYTES: Final = 1600
"""What an entry takes beside its token and twice what the store answered; as measured by
``python -m benchmarks near_memory``."""
_CALL_BYTES: Final = 800
_LOOKED_AT: Final = 2
"""Entries that each new one looks at, to drop those whose token has expired."""


class NearCache:
    """Made once for each manager."""

    def __init__(
        self,
        leases: Leases,
        cutoff: Cutoff,
        *,
        key_prefix: bytes,
        cutoff_prefix: bytes,
        most_entries: int,
        most_bytes: int,
        steady: Callable[[], float],
        clock: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        """``key_prefix``: of the sessions; ``cutoff_prefix``: of the copies of the cutoff.

        ``steady``, ``clock``: seconds of a clock that never jumps, and since the epoch. ``lock``:
        makes a lock that one thread can hold several times.
        """
        self.prefixes: Final = (key_prefix, cutoff_prefix)
        """Of the keys whose changes are to be pushed."""
        self.leases: Final = leases
        self._cutoff = cutoff
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._steady = steady
        self._clock = clock
        self._new_lock = lock
        self._lock = lock()
        self._entries: dict[str, CachedToken] = {}
        self._by_key: dict[bytes, CachedToken | tuple[CachedToken, ...]] = {}
        self._loading: dict[bytes, list[PendingLoad]] = {}
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._invalidations = Rate()
        self._flushed_at = -math.inf
        self.refusal = ""
        """Why nothing is served from memory although it could be; empty otherwise."""
        self.find: Final = self._finder()
        cutoff.on_raised = self._end_all
        renew_in_child(self)

    # The hot path.

    def _finder(self) -> Callable[[str], Session | None]:
        get, steady = self._entries.get, self._steady

        def find(token: str) -> Session | None:
            """The session of ``token``, if it may be served from memory now."""
            try:
                entry = get(token)
            except TypeError:  # not hashable: no token
                return None
            if entry is not None:
                now = steady()
                if now < entry.lease.until and now < entry.deadline:
                    entry.used_at = now
                    self._hits += 1  # threads that meet here may count one for two
                    return entry.session
            return None

        return find

    # Questions.

    def entry(self, token: str) -> CachedToken | None:
        """What is known of ``token``: at least that its signature was good."""
        return self._entries.get(token)

    def node_stats(self) -> tuple[NodeStats, ...]:
        """What the leases of the primaries stand on."""
        now = self._steady()
        with self._lock:
            return tuple(
                self.leases.describe(node, now) for node in sorted(self.leases.primaries, key=str)
            )

    def is_served(self, entry: CachedToken) -> bool:
        """Whether the session of ``entry`` may be served from memory now."""
        now = self._steady()
        if now < entry.lease.until and now < entry.deadline:
            entry.used_at = now
            self._hits += 1
            return True
        return False

    def seconds_since_seen(self, entry: CachedToken) -> float | None:
        """How long ago the session of ``entry`` was known to live; None when that is not known."""
        if entry.loaded is None or entry.is_doubtful or entry.used_at < self._flushed_at:
            return None
        return self._steady() - entry.used_at

    def store_seconds(self, loaded: CachedSession) -> float:
        """The store's time now (seconds since the epoch), reckoned from when it was asked."""
        return self._steady() + loaded.ahead

    def stats(self) -> CacheStats:
        """What is counted."""
        return CacheStats(
            entries=len(self._entries),
            bytes=self._bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
            invalidations=self._invalidations.total,
            invalidations_per_second=self._invalidations.per_second(self._steady()),
        )

    # Loads.

    def begin(self, key: bytes) -> PendingLoad:
        """Announce a load of ``key``, before it is sent."""
        loading = PendingLoad(key, self.leases.events)
        self._misses += 1
        with self._lock:
            self._loading.setdefault(key, []).append(loading)
        return loading

    def end(self, loading: PendingLoad) -> None:
        """The load is over, whatever it brought."""
        with self._lock:
            others = self._loading.get(loading.key)
            if others is not None and loading in others:
                others.remove(loading)
                if not others:
                    del self._loading[loading.key]

    def keep(
        self, entry: CachedToken, loaded: CachedSession, loading: PendingLoad | None, node: Hashable
    ) -> None:
        """Remember what a load brought that ``node`` answered; served if nothing changed since.

        Without ``loading`` it is remembered only to be compared with what the store answers next.
        """
        with self._lock:
            lease = None if loading is None else self._lease_for(loading, node)
            if lease is None and entry.lease.until > self._steady():
                return  # what is served may be newer
            entry.lease = NEVER
            entry.loaded, entry.session = loaded, loaded.session
            entry.is_doubtful = loading is not None and not loading.is_good
            until = min(entry.expires_at, loaded.fresh_until, loaded.note_at) - loaded.ahead
            # By this machine's clock it must not have expired either.
            here = self._steady() + entry.expires_at - self._clock()
            entry.deadline = min(until, here)
            self._insert(entry)
            if lease is not None:
                entry.lease = lease

    def keep_stateless(self, entry: CachedToken, session: Session) -> None:
        """Remember what a token alone says, until it expires."""
        with self._lock:
            entry.session = session
            entry.deadline = self._steady() + entry.expires_at - self._clock()
            self._insert(entry)
            entry.lease = ALWAYS

    def _lease_for(self, loading: PendingLoad, node: Hashable) -> Lease | None:
        if not loading.is_good or node is None:
            return None
        lease = self.leases.lease(node)
        return lease if lease is not None and lease.began <= loading.began else None

    # What fills and empties it.

    def _insert(self, entry: CachedToken) -> None:
        size = _ENTRY_BYTES + len(entry.token) + len(entry.key)
        if entry.call is not None:
            size += _CALL_BYTES
        if entry.loaded is not None:
            for part in entry.loaded.raw:
                if isinstance(part, bytes):
                    size += 2 * len(part)
        known = self._entries.get(entry.token)
        if known is not entry:
            if known is not None:
                self._remove(known)
            entry.looked_at = self._steady()
            self._entries[entry.token] = entry
            beside = self._by_key.get(entry.key, ())
            beside = beside if isinstance(beside, tuple) else (beside,)
            self._by_key[entry.key] = (*beside, entry) if beside else entry
        entry.used_at = self._steady()
        self._bytes += size - entry.size
        entry.size = size
        self._drop_expired()
        while self._entries and (
            len(self._entries) > self._most_entries or self._bytes > self._most_bytes
        ):
            self._make_room()

    def _make_room(self) -> None:
        first = next(iter(self._entries.values()))
        if first.used_at > first.looked_at:
            self._to_the_end(first)
        else:
            self._evictions += 1
            self._remove(first)

    def _drop_expired(self) -> None:
        # Who came first expires first, more or less: the rest leaves when room is needed.
        now = self._clock()
        for _ in range(_LOOKED_AT):
            first = next(iter(self._entries.values()))
            if first.expires_at > now:
                return
            self._remove(first)
            if not self._entries:
                return

    def _to_the_end(self, entry: CachedToken) -> None:
        entry.looked_at = entry.used_at
        # For a moment a thread that reads without the lock does not find it, and asks the store.
        del self._entries[entry.token]
        self._entries[entry.token] = entry

    def _remove(self, entry: CachedToken) -> None:
        entry.lease = NEVER
        self._entries.pop(entry.token, None)
        self._bytes -= entry.size
        entry.size = 0
        beside = self._by_key.get(entry.key)
        if beside is entry:
            del self._by_key[entry.key]
        elif isinstance(beside, tuple):
            left = tuple(each for each in beside if each is not entry)
            self._by_key[entry.key] = left if len(left) > 1 else left[0]

    def changed(self, key: bytes) -> None:
        """``key`` was changed, or may have been."""
        with self._lock:
            for loading in self._loading.get(key, ()):
                loading.is_good = False
            self.outdated(key)

    def outdated(self, key: bytes) -> None:
        """What is remembered of ``key`` is older than what was just read; loads are judged then."""
        with self._lock:
            found = self._by_key.get(key, ())
            for entry in found if isinstance(found, tuple) else (found,):
                entry.lease = NEVER
                entry.is_doubtful = True

    # What the watch of the cluster reports.

    def pushed(self, node: Hashable, keys: Iterable[bytes] | None) -> bool:
        """``node`` pushed that ``keys`` have changed (None: all of its keys).

        Returns whether the cutoff is among them: it has to be read again soon.
        """
        with self._lock:
            now = self._steady()
            if keys is None:
                self._invalidations.note(now)
                self._flushed_at = now
                self.leases.connected(node)
                self._forget_cutoff()
                return True
            has_cutoff = False
            for key in keys:
                self._invalidations.note(now)
                if key.startswith(self.prefixes[1]):
                    has_cutoff = True
                else:
                    self.changed(key)
            if has_cutoff:
                self._forget_cutoff()
            return has_cutoff

    def set_primaries(self, nodes: Set[Hashable]) -> None:
        """These nodes own the slots."""
        with self._lock:
            self.leases.set_primaries(nodes)

    def connected(self, node: Hashable) -> None:
        """``node`` pushes what changes, from now on."""
        with self._lock:
            self.leases.connected(node)

    def lost(self, node: Hashable) -> None:
        """``node`` does not push any more, or says that it is not the owner of its slots."""
        with self._lock:
            self.leases.lost(node)

    def beat_sent(self, node: Hashable) -> int:
        """A heartbeat is about to be sent; returns its number."""
        with self._lock:
            return self.leases.beat_sent(node, self._steady())

    def beat_answered(self, node: Hashable, number: int, epoch: int, cutoff: int | None) -> bool:
        """``node`` answered a beat; whether the epoch is another one since.

        ``cutoff``: in milliseconds, where the node holds a copy of it.
        """
        with self._lock:
            sent_at = self.leases.sent_at(node, number)
            if sent_at is None:
                return False
            if cutoff is not None:
                self._cutoff.learn(cutoff, sent_at)
            return self.leases.beat_answered(
                node, number, epoch=epoch, knows_cutoff=cutoff is not None
            )

    def begin_anew(self) -> None:
        """Forget all; for the child of a fork, where a lock may be held by nobody."""
        self._lock = self._new_lock()
        with self._lock:
            self._entries.clear()
            self._by_key.clear()
            self._loading.clear()
            self._bytes = 0
            self.leases.forget()
            self._cutoff.forget()

    def doubts(self, node: Hashable) -> bool:
        """Whether what ``node`` answers now may be older than the bound.

        It told an older epoch than others, it is no primary as far as is known, or a majority has
        been silent: then it may have been replaced without its knowledge. Where nothing can be
        watched, nothing is known.
        """
        if self.refusal:
            return False
        leases = self.leases
        return (
            node in leases.outdated
            or node not in leases.primaries
            or self._steady() >= leases.majority_until
        )

    def _end_all(self) -> None:
        with self._lock:
            self.leases.end_all()

    def _forget_cutoff(self) -> None:
        self._cutoff.forget()
        self.leases.cutoff_changed(self._steady())
