"""The sessions that callers follow, and which of them may have changed.

- A followed session is held under a lease, as in the near cache. When its key is pushed, or the
  cutoff is raised, its follower is woken at once and reads the session again.
- If a lease ends for another reason (a lost connection, a failover), pushes may have been missed.
  Its followers are woken little by little, each at most once a second, so that a failover does not
  make thousands of them ask at once.
- Followers are indexed by their leases, of which there are as many as nodes, and by the times at
  which their sessions end by themselves. While no lease has ended, a check therefore costs nothing,
  however many followers there are.
"""

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Final

from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.entries import CachedToken
from clusterpass.sessions.memory.node_state import ALWAYS, NEVER, Lease

LOOK_SECONDS: Final = 0.25
"""Seconds between two looks for leases that have ended."""
_MOST_AT_ONCE: Final = 250
_BETWEEN_READS: Final = 1.0
_FEW: Final = 64
_FAR: Final = 2**40
"""Seconds since the epoch: a followed session depends on no token, and expires by itself."""


class Followed:
    """A session that one caller follows."""

    __slots__ = (
        "actor_lease",
        "entry",
        "filed_as",
        "filed_by",
        "is_due",
        "keys",
        "left",
        "read_at",
        "wake",
    )

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
        """The lease of the session of the impersonation's actor, which another node may hold."""
        self.filed_as = 0
        """The number of the entry's place among the deadlines; 0: there is none."""
        self.filed_by: tuple[Lease, ...] = ()
        """The leases by which the entry is filed, among those of :class:`Followers`."""
        self.is_due = True
        """Whether the session may have changed since it was read."""
        self.left: deque[Followed] | None = None
        """The list of followed sessions whose callers are gone without having said so."""
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
        self._numbers: Final = count(1)
        self.clear()

    def __len__(self) -> int:
        return len(self._all)

    def clear(self) -> None:
        """Forget everybody; the callers of a parent process do not exist in a forked child."""
        self._all: dict[Followed, None] = {}
        self._by_key: dict[bytes, set[Followed]] = {}
        self._left: deque[Followed] = deque()
        self._by_lease: dict[Lease, dict[Followed, None]] = {}
        """The followers that are not due, by each lease that they are held under."""
        self._deadlines: list[tuple[float, int, Followed]] = []
        """A heap of when their sessions end by themselves, with the number of the place. A place
        that has another number than ``filed_as`` counts no more."""

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
        self._unfile(followed)
        for key in followed.keys:
            of_key = self._by_key.get(key)
            if of_key is not None:
                of_key.discard(followed)
                if not of_key:
                    del self._by_key[key]

    def changed(self, key: bytes) -> None:
        """Wake the followers of ``key``."""
        for followed in self._by_key.get(key, ()):
            self._touch(followed)

    def all_changed(self) -> None:
        """Wake everybody: all sessions may have ended."""
        for followed in self._all:
            self._touch(followed)

    def forget_left(self) -> None:
        """Forget those whose callers are gone."""
        while self._left:
            self.remove(self._left.popleft())

    def was_read(self, followed: Followed) -> None:
        """Take note of the leases under which ``followed`` is held, after it was read."""
        self._unfile(followed)
        if followed in self._all and not followed.is_due:
            self._file(followed)

    def wake_lapsed(self, go_on: Callable[[CachedToken], None]) -> None:
        """Wake some of those whose leases have ended, or whose sessions end by themselves.

        ``go_on``: gives an entry the lease under which it is as good, where slots have moved.
        """
        now, room = self._steady(), _MOST_AT_ONCE
        for lease in [each for each in self._by_lease if now >= each.until]:
            for followed in [*self._by_lease.get(lease, ())]:
                room -= self._has_woken(followed, now, go_on)
                if not room:
                    return
        while room and self._deadlines and self._deadlines[0][0] <= now:
            _, number, followed = heappop(self._deadlines)
            if number != followed.filed_as:
                continue
            if self._has_woken(followed, now, go_on):
                room -= 1
            elif not followed.is_due:  # it was read a moment ago
                heappush(self._deadlines, (followed.read_at + _BETWEEN_READS, number, followed))

    def _has_woken(
        self, followed: Followed, now: float, go_on: Callable[[CachedToken], None]
    ) -> bool:
        """Wake ``followed`` if it is held no longer, and was not read just now; return whether."""
        if followed.is_due:
            self._unfile(followed)
            return False
        entry, lease = followed.entry, followed.entry.lease
        if lease.until == -inf and lease is not NEVER:
            go_on(entry)
            if entry.lease is not lease:
                self.was_read(followed)
        held_until = min(entry.lease.until, followed.actor_lease.until, entry.deadline)
        if now < max(held_until, followed.read_at + _BETWEEN_READS):
            return False
        self._touch(followed)
        return True

    def _touch(self, followed: Followed) -> None:
        """Have ``followed`` read again; there is nothing to look after until it is."""
        self._unfile(followed)
        followed.touch()

    def _file(self, followed: Followed) -> None:
        entry = followed.entry
        followed.filed_by = (entry.lease, followed.actor_lease)
        for lease in followed.filed_by:
            if lease is not ALWAYS:
                self._by_lease.setdefault(lease, {})[followed] = None
        if entry.deadline < inf:
            followed.filed_as = next(self._numbers)
            heappush(self._deadlines, (entry.deadline, followed.filed_as, followed))
            if len(self._deadlines) > 2 * len(self._all) + _FEW:
                self._deadlines = [each for each in self._deadlines if each[1] == each[2].filed_as]
                heapify(self._deadlines)

    def _unfile(self, followed: Followed) -> None:
        for lease in followed.filed_by:
            of_lease = self._by_lease.get(lease)
            if of_lease is not None:
                of_lease.pop(followed, None)
                if not of_lease:
                    del self._by_lease[lease]
        followed.filed_by, followed.filed_as = (), 0
