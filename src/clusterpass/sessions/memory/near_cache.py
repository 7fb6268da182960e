"""The near cache: tokens and sessions in memory, so that a verify need not ask the store.

Each access token has one entry with two layers: that its signature is valid (until the token
expires), and the session it belongs to (while its :class:`Lease` allows). The cluster pushes the
names of changed keys, and a push invalidates the session in exactly the entries of that key.

- A load is announced before it is sent. Its result is not served when its key changes before the
  answer arrives, or when the generation of the answering node began after the load.
- What is served is read without a lock (:class:`CachedReads`). The lease of an entry is set last
  and removed first.
- The numbers of entries and bytes are bounded. The :class:`TokenIndex` keeps the entries that were
  used last as objects, packs the others, and decides which one leaves, all in constant time.
- Times are seconds of the steady clock unless a name says otherwise. The clocks are arguments.
"""

import math
from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractContextManager
from typing import Any, Final

from clusterpass.model.counters import Counters
from clusterpass.model.forks import renew_in_child
from clusterpass.model.values import Session
from clusterpass.sessions.memory.cached_reads import CachedReads
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.followed_sessions import Followed
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.node_state import ALWAYS, NEVER
from clusterpass.sessions.memory.pending_loads import PendingLoad, PendingLoads
from clusterpass.sessions.memory.token_index import TokenIndex


class NearCache(CachedReads):
    """The near cache of one manager, which the evidence about nodes allows to serve."""

    def __init__(
        self,
        leases: Leases,
        cutoff: Cutoff,
        *,
        key_prefix: bytes,
        cutoff_prefix: bytes,
        secrets_prefix: bytes = b"\0",
        most_entries: int,
        most_bytes: int,
        steady: Callable[[], float],
        clock: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
        serves: bool = True,
    ) -> None:
        """``key_prefix``, ``cutoff_prefix``, ``secrets_prefix``: the prefixes of session keys, of
        cutoff copies, and of the secrets of the namespace.

        ``most_entries``, ``most_bytes``: the limits of the cache. ``steady``, ``clock``: return
        seconds of the steady clock, and since the epoch. ``lock``: creates a reentrant lock.
        """
        self._loading: Final = PendingLoads()
        tokens = TokenIndex(
            most_entries,
            most_bytes,
            leases=leases,
            loading=self._loading,
            steady=steady,
            clock=clock,
        )
        super().__init__(
            leases,
            cutoff,
            tokens,
            pushed_prefixes=(key_prefix, cutoff_prefix),
            steady=steady,
            clock=clock,
            lock=lock,
            serves=serves,
        )
        self._cutoff_prefix = cutoff_prefix
        self._secrets_prefix = secrets_prefix
        self.on_secrets: Callable[[bool], None] = _nothing
        """Called with True when the secrets have changed, with False when they may have."""
        self.counters = Counters()
        self.refusal = ""
        """Why sessions cannot be served from memory in ``cached`` mode; empty when they can."""
        cutoff.on_raised = self._end_all
        renew_in_child(self)

    # Loads.

    def begin(self, key: bytes, token: str = "") -> PendingLoad:
        """Announce a load of ``key``, before it is sent. The entry of ``token`` stays meanwhile."""
        loading = PendingLoad(key, token, self.leases.events, self._steady())
        self._misses += 1
        with self._lock:
            self._loading.begin(loading)
        return loading

    def end(self, loading: PendingLoad) -> None:
        """Mark a load as finished, whether or not it succeeded."""
        with self._lock:
            self._loading.end(loading)

    def keep(
        self, entry: CachedToken, loaded: CachedSession, loading: PendingLoad | None, node: Hashable
    ) -> None:
        """Keep what ``node`` answered; serve it if nothing has changed since the load began.

        Without ``loading`` the answer is kept only to be compared with the next one.
        """
        with self._lock:
            if self._take(entry, loaded, loading, node):
                self._tokens.put(entry)

    def follow(
        self, followed: Followed, loaded: CachedSession, loading: PendingLoad, node: Hashable
    ) -> None:
        """Take note of what ``node`` answered about a session that somebody follows."""
        with self._lock:
            self._take(followed.entry, loaded, loading, node)
            self._look_again(followed, loading)

    def hold_actor(self, followed: Followed, loading: PendingLoad, node: Hashable) -> None:
        """Take note of what ``node`` answered about the actor of a followed impersonation."""
        with self._lock:
            is_held = loading.is_good and loading.is_heard
            lease = self.leases.lease_since(loading.began, node) if is_held else None
            followed.actor_lease = lease or NEVER
            self._look_again(followed, loading)

    def _look_again(self, followed: Followed, loading: PendingLoad) -> None:
        followed.is_due = followed.is_due or not loading.is_good
        if not loading.is_heard and not self.refusal:
            followed.read_at = -math.inf  # at the next look, as pushes are about to begin
        self.followers.was_read(followed)

    def _take(
        self, entry: CachedToken, loaded: CachedSession, loading: PendingLoad | None, node: Hashable
    ) -> bool:
        """Write an answer into ``entry``; return False if what is served may be newer."""
        lease = None
        if loading is not None and loading.is_good and loading.is_heard:
            lease = self.leases.lease_since(loading.began, node)
        if lease is None and entry.lease.until > self._steady():
            return False
        entry.lease = NEVER
        if entry.session is not loaded.session:
            entry.response = None
        entry.loaded, entry.session = loaded, loaded.session
        entry.is_doubtful = loading is not None and not loading.is_good
        entry.asked_at = -math.inf if loading is None else loading.asked_at
        if loading is not None:
            until = min(loaded.fresh_until, loaded.note_at) - loaded.ahead
            entry.deadline = self._served_until(entry.expires_at, loaded.ahead, until)
        if lease is not None:
            entry.lease = lease
        return True

    def keep_stateless(self, entry: CachedToken, session: Session) -> None:
        """Keep and serve the session that a token describes by itself, until the token expires."""
        with self._lock:
            entry.lease, entry.response = NEVER, None
            entry.session = session
            entry.deadline = self._steady() + entry.expires_at - self._clock()
            entry.lease = ALWAYS
            self._tokens.put(entry)

    # Changes.

    def changed(self, key: bytes) -> None:
        """Invalidate the sessions of ``key``, which has or may have changed, and loads of it."""
        with self._lock:
            self._loading.changed(key)
            self._tokens.doubt(key)
            self.followers.changed(key)

    def note_ending(self, key: bytes) -> None:
        """Take note that sessions of ``key`` are about to be ended by this process.

        How long it takes until the node pushes that is measured, where it is certain to do so.
        """
        with self._lock:
            now = self._steady()
            if self._tokens.is_leased(key, now):
                self.counters.ending_sent(key, now)

    def unheard(self, key: bytes) -> None:
        """Take note that no node pushes when what was just read of ``key`` changes.

        The answer is as good as any for those who ask now, but is not served later.
        """
        with self._lock:
            self._loading.unheard(key)

    def outdated(self, key: bytes) -> None:
        """Invalidate the sessions of ``key``, but not the loads of it that are in flight."""
        with self._lock:
            self._tokens.doubt(key)
            self.followers.changed(key)

    def pushed(self, node: Hashable, keys: Collection[bytes] | None) -> bool:
        """Handle the invalidation of ``keys`` that ``node`` pushed (None: all of its keys).

        Returns whether the cutoff is among them and has to be read again soon.
        """
        has_cutoff, has_secrets = keys is None, False
        with self._lock:
            now = self._steady()
            if keys is None:
                self._invalidations.note(now)
                self._flushed_at = now
                self.leases.connected(node)
            else:
                self._invalidations.note(now, len(keys))
                self.counters.pushed(keys, now)
            for key in keys or ():
                if key.startswith(self._cutoff_prefix):
                    has_cutoff = True
                elif key.startswith(self._secrets_prefix):
                    has_secrets = True
                else:
                    self._loading.changed(key)
                    self._tokens.doubt(key)
                    self.followers.changed(key)
            if has_cutoff:
                self._cutoff.forget()
                self.leases.cutoff_changed(now)
        if has_secrets or keys is None:
            self.on_secrets(has_secrets)
        if keys and self.on_pushed is not None:
            self.on_pushed(keys)
        return has_cutoff

    def lost(self, node: Hashable) -> None:
        """End the generation of ``node``, which may have told of other secrets meanwhile."""
        super().lost(node)
        self.on_secrets(False)

    def forget_tokens(self) -> None:
        """Forget that signatures were verified, as a key that has signed tokens is trusted no more.

        A verify that is under way still gets its answer, which is not kept.
        """
        with self._lock:
            self._tokens.begin_era()

    def begin_anew(self) -> None:
        """Empty the cache and replace the lock; called in a forked child."""
        self._lock = self._new_lock()
        with self._lock:
            self._tokens.clear()
            self._loading.clear()
            self.followers.clear()
            self.leases.forget()
            self._cutoff.forget()
            self.uses_to_record.begin_anew()
        self.on_use = None

    def _end_all(self) -> None:
        with self._lock:
            self.leases.end_all()
            self.followers.all_changed()


def _nothing(is_certain: bool) -> None:
    """Nobody uses the secrets in the store."""
