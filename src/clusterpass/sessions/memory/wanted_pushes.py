"""The keys whose changes nodes push for watched sessions and listeners, and who is woken by them.

Where the near cache serves nothing, no pushes are needed until somebody follows a session or
listens to all changes.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final

from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.entries import CachedToken
from clusterpass.sessions.memory.followed_sessions import Followed, Followers
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.node_state import NEVER
from clusterpass.sessions.memory.node_trust import NodeTrust


class Following(NodeTrust):
    """The followers of one manager, and the evidence about nodes that keeps them current."""

    def __init__(
        self,
        leases: Leases,
        cutoff: Cutoff,
        *,
        pushed_prefixes: tuple[bytes, ...],
        steady: Callable[[], float],
        lock: Callable[[], AbstractContextManager[Any]],
        serves: bool,
    ) -> None:
        """``pushed_prefixes``: those of the keys whose changes are of interest.

        ``serves``: whether they are at once, because sessions are served from memory.
        """
        super().__init__(leases, cutoff, steady=steady, lock=lock)
        self._pushed_prefixes: Final = pushed_prefixes
        self.prefixes: tuple[bytes, ...] = pushed_prefixes if serves else ()
        """The prefixes of the keys whose changes nodes have to push; none where nothing is served
        from memory (``serves``) and nobody has called :meth:`want_pushes`: then heartbeats alone
        tell which nodes may be believed."""
        self.on_pushed: Callable[[Iterable[bytes]], None] | None = None
        """Called, without the lock, with the keys that a node says have changed; None: nobody."""
        self.wants_all = False
        """Whether all changes are of interest, not only those of what was read here."""
        self.followers: Final = Followers(steady)

    @property
    def is_followed(self) -> bool:
        """Whether a session is followed, or all changes are of interest."""
        return self.wants_all or len(self.followers) > 0

    def want_all_pushes(self) -> None:
        """Have the nodes push all changes from now on, whatever is read here."""
        self.wants_all = True
        self.want_pushes()

    def want_pushes(self) -> None:
        """Have the nodes push changes from now on, also where nothing is served from memory."""
        self.prefixes = self._pushed_prefixes
        self.note_use()

    def begin_following(self, followed: Followed) -> None:
        """Wake ``followed`` when it may have changed; the nodes push changes from now on."""
        self.want_pushes()
        with self._lock:
            self.followers.add(followed)

    def follow_actor(self, followed: Followed, key: bytes) -> None:
        """Wake ``followed``, an impersonation, also when ``key`` changes, of its actor."""
        with self._lock:
            self.followers.add_key(followed, key)

    def end_following(self, followed: Followed) -> None:
        """Wake ``followed`` no longer."""
        with self._lock:
            self.followers.remove(followed)

    def wake_followers(self) -> None:
        """Have all followed sessions read again."""
        with self._lock:
            self.followers.all_changed()

    def _go_on_under_new_lease(self, entry: CachedToken) -> None:
        """Give ``entry`` the present lease of its node, if slots have moved, but not its own."""
        with self._lock:
            lease = self.leases.successor(entry.lease, entry.keys.slot)
            if lease is not None and entry.lease is not NEVER:
                entry.lease = lease

    def look_after_followers(self) -> int:
        """Wake followers whose sessions were not heard of lately; return how many there are."""
        with self._lock:
            self.followers.forget_left()
            self.followers.wake_lapsed(self._go_on_under_new_lease)
            return len(self.followers)
