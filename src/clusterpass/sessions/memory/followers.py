"""The sessions that callers follow, and which of them may have changed.

- A followed session is held under a lease, as in the near cache. A push of its key, or a cutoff
  that was raised, wakes its follower at once, which reads the session again.
- A lease that ends for another reason (a connection was lost, a failover) means that pushes may
  have been missed. Its followers are woken little by little, each at most once a second, so a
  failover does not make thousands of them ask at once.
"""

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.entries import CachedToken
from clusterpass.sessions.memory.node_state import ALWAYS, NEVER, Lease

LOOK_SECONDS: Final = 0.25
"""Seconds between two looks for leases that have ended."""
_MOST_AT_ONCE: Final = 250
_BETWEEN_READS: Final = 1.0
_FAR: Final = 2**40
"""Seconds since the epoch: a followed session depends on no token, and expires by itself."""


class Followed:
    """A session that one caller follows."""

    __slots__ = ("actor_lease", "entry", "is_due", "keys", "left", "read_at", "wake")

    def __init__(
        self,
        subject: str,
        keys: SubjectKeys,
        session_id: bytes,
        session_text: str,
        wake: Callable[[], None],
    ) -> None:
        """``wake``: called, from any thread, when the session may have changed; must not block."""
        self.entry: Final = CachedToken(
            "", subject, keys, session_id, _FAR, session_text=session_text
        )
        self.keys: set[bytes] = {keys.sessions}
        """The keys whose changes concern the session: that of its subject, and of its actor."""
        self.actor_lease: Lease = ALWAYS
        """The lease of the session of its actor, which another node may hold."""
        self.is_due = True
        """Whether the session may have changed since it was read."""
        self.left: deque[Followed] | None = None
        """Where those are noted whose callers are gone without having said so."""
        self.read_at = 0.0
        """When the session was last read, in seconds of the steady clock."""
        self.wake: Final = wake

    def leave(self) -> None:
        """Say, without a lock, that nobody follows the session any more."""
        if self.left is not None:
            self.left.append(self)

    def touch(self) -> None:
        """Have the session read again."""
        self.entry.lease = NEVER
        self.is_due = True
        self.wake()


class Followers:
    """The followed sessions of one manager. Callers must serialise the calls."""

    def __init__(self, steady: Callable[[], float]) -> None:
        """``steady``: returns seconds of the steady clock."""
        self._steady = steady
        self.clear()

    def __len__(self) -> int:
        return len(self._all)

    def clear(self) -> None:
        """Forget everybody; the callers of a parent process do not exist in a forked child."""
        self._all: dict[Followed, None] = {}
        self._by_key: dict[bytes, set[Followed]] = {}
        self._left: deque[Followed] = deque()

    def add(self, followed: Followed) -> None:
        """Wake ``followed`` from now on when one of its keys changes."""
        self._all[followed] = None
        followed.left = self._left
        for key in followed.keys:
            self._by_key.setdefault(key, set()).add(followed)

    def add_key(self, followed: Followed, key: bytes) -> None:
        """Wake ``followed`` also for ``key``, if it is followed still."""
        if key not in followed.keys and followed in self._all:
            followed.keys.add(key)
            self.add(followed)

    def remove(self, followed: Followed) -> None:
        """Forget ``followed``; do nothing if it is not known."""
        self._all.pop(followed, None)
        for key in followed.keys:
            of_key = self._by_key.get(key)
            if of_key is not None:
                of_key.discard(followed)
                if not of_key:
                    del self._by_key[key]

    def changed(self, key: bytes) -> None:
        """Wake the followers of ``key``."""
        for followed in self._by_key.get(key, ()):
            followed.touch()

    def all_changed(self) -> None:
        """Wake everybody: all sessions may have ended."""
        for followed in self._all:
            followed.touch()

    def forget_left(self) -> None:
        """Forget those whose callers are gone."""
        while self._left:
            self.remove(self._left.popleft())

    def wake_lapsed(self, go_on: Callable[[CachedToken], None]) -> None:
        """Wake some of those whose leases have ended, or whose sessions end by themselves.

        ``go_on``: gives an entry the lease under which it is as good, where slots have moved.
        """
        now, woken = self._steady(), 0
        for followed in self._all:
            entry = followed.entry
            if entry.lease.until == -inf and entry.lease is not NEVER:
                go_on(entry)
            held_until = min(entry.lease.until, followed.actor_lease.until, entry.deadline)
            if now < held_until:
                continue
            if followed.is_due or now < followed.read_at + _BETWEEN_READS:
                continue
            followed.touch()
            woken += 1
            if woken >= _MOST_AT_ONCE:
                return
