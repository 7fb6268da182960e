"""A near cache over clocks that tests move, with a node whose lease runs."""

import threading
from math import inf

from clusterpass.model.values import Session
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.near_cache import NearCache

BOUND = 1.0
WALL = 1_000_000
NODE = "a"


class Scene:
    """A cache over one node that has a lease for as long as the test wants."""

    def __init__(self, entries: int = 100, size: int = 10**9) -> None:
        self.now, self.wall = 10.0, float(WALL)
        self.cutoff = Cutoff(lambda: self.now)
        self.cache = NearCache(
            Leases(BOUND, has_epochs=False),
            self.cutoff,
            key_prefix=b"cp:{",
            cutoff_prefix=b"cp:not-before:{",
            most_entries=entries,
            most_bytes=size,
            steady=lambda: self.now,
            clock=lambda: self.wall,
            lock=threading.RLock,
        )
        self.cache.set_primaries(frozenset({NODE}))
        self.cache.connected(NODE)
        self.beat()
        self.beat()

    def beat(self) -> None:
        self.cache.beat_answered(NODE, self.cache.beat_sent(NODE), 0, 0)

    def entry(self, token="token", subject="alice", expires_at=WALL + 900) -> CachedToken:
        key = b"cp:{%b}" % subject.encode()
        return CachedToken(token, subject, SubjectKeys(key, b"", 0), b"s" * 16, expires_at)

    def loaded(self, subject="alice", **changed) -> CachedSession:
        values = {
            "ahead": WALL - self.now,
            "created_milliseconds": 1,
            "fresh_until": WALL + 10_000,
            "note_at": inf,
        } | changed
        return CachedSession(Session(subject, "s", None, 0, 0, 0), [b"raw"], **values)

    def keep(
        self, entry: CachedToken, loaded: CachedSession | None = None, node: str = NODE
    ) -> None:
        loading = self.cache.begin(entry.key)
        self.cache.keep(entry, loaded or self.loaded(entry.subject), loading, node)
        self.cache.end(loading)
