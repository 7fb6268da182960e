"""A small cluster and its network in memory, to see whether what a cache serves is ever too old.

It knows nothing of how leases are reckoned. A shard with one key lies on ``a``; ``a2`` is its
replica; ``b`` and ``c`` are the other primaries. Time passes in steps; connections deliver in
order, late or never; nodes answer when they come to it; a promotion needs the votes of most
primaries, which raise their epoch first; who was replaced goes on answering until it learns of it.
Writes are acknowledged by whoever owns the shard then. The cache under test is the real one.
"""

import threading
from dataclasses import dataclass, field
from random import Random
from typing import Any

from clusterpass.model.values import Session
from clusterpass.protocol.keyspace import SubjectKeys
from clusterpass.sessions.memory.cutoff import Cutoff
from clusterpass.sessions.memory.entries import CachedSession, CachedToken
from clusterpass.sessions.memory.leases import Leases
from clusterpass.sessions.memory.near_cache import NearCache

BOUND = 1.0
KEY = b"cp:{alice}"
TOKEN = "token"
FAR = 4_000_000_000


@dataclass
class Node:
    """A server: its epoch, and what is on its way to and from the client."""

    name: str
    epoch: int = 1
    is_stopped: bool = False
    requests: list[tuple[Any, ...]] = field(default_factory=list)
    replies: list[tuple[Any, ...]] = field(default_factory=list)
    is_connected: bool = False
    """Whether what it sends can arrive; it may be broken without the client's knowledge."""
    thinks_it_owns: bool = False


class World:
    """All of it; every method is an event."""

    def __init__(self, leases: type[Leases] = Leases, seed: int = 0) -> None:
        self.random = Random(seed)
        self.now = 100.0
        self.nodes = {name: Node(name) for name in ("a", "a2", "b", "c")}
        self.version = 0
        self.acknowledged = {0: 0.0}
        self.owner = self.nodes["a"]
        self.owner.thinks_it_owns = True
        self.cache = NearCache(
            leases(BOUND),
            Cutoff(lambda: self.now),
            key_prefix=b"cp:{",
            cutoff_prefix=b"cp:not-before:{",
            most_entries=10,
            most_bytes=10**9,
            steady=lambda: self.now,
            clock=lambda: 1_000.0 + self.now,
            lock=threading.RLock,
        )
        self.entry = CachedToken(TOKEN, "alice", SubjectKeys(KEY, b"", 0), b"s" * 16, FAR)
        self.known_owner = "a"
        self.served = 0
        self.cache.set_primaries(frozenset({"a", "b", "c"}))
        for name in ("a", "b", "c"):
            self.connect(name)

    # What happens to the client.

    def connect(self, name: str) -> None:
        node = self.nodes[name]
        if node.is_stopped:
            return
        node.requests.clear()
        node.replies.clear()
        node.is_connected = True
        self.cache.connected(name)

    def notice_loss(self, name: str) -> None:
        self.nodes[name].is_connected = False
        self.cache.lost(name)

    def beat(self, name: str) -> None:
        if self.cache.leases.lease(name) is not None:
            number = self.cache.beat_sent(name)
            self._send(name, ("beat", number))

    def load(self) -> None:
        loading = self.cache.begin(KEY)
        self._send(self.known_owner, ("load", loading))

    def look_up(self) -> None:
        """The client hears of the owner from a node that knows."""
        newest = max(self.nodes.values(), key=lambda node: node.epoch)
        if newest.epoch >= self.owner.epoch and not newest.is_stopped:
            self.known_owner = self.owner.name
            self.cache.set_primaries(frozenset({self.owner.name, "b", "c"}))
            self.cache.mapped(0.0, {})

    # What happens to the network and the nodes.

    def _send(self, name: str, request: tuple[Any, ...]) -> None:
        if self.nodes[name].is_connected:
            self.nodes[name].requests.append(request)

    def lose_silently(self, name: str) -> None:
        """From now on nothing arrives in either direction."""
        node = self.nodes[name]
        node.is_connected = False
        node.replies.clear()
        node.requests.clear()

    def stop(self, name: str) -> None:
        self.nodes[name].is_stopped = True

    def go_on(self, name: str) -> None:
        self.nodes[name].is_stopped = False

    def work(self, name: str) -> None:
        """A node answers what has arrived."""
        node = self.nodes[name]
        if node.is_stopped:
            return
        for kind, about in node.requests:
            if kind == "beat":
                owns = node.thinks_it_owns or name in {"b", "c"}
                node.replies.append(("beat", about, node.epoch if owns else None))
            elif node.thinks_it_owns:
                node.replies.append(("load", about, node_version(self, node)))
            else:
                node.replies.append(("load", about, None))
        node.requests.clear()

    def deliver(self, name: str) -> None:
        """The client handles one message."""
        node = self.nodes[name]
        if not node.is_connected or not node.replies:
            return
        kind, about, value = node.replies.pop(0)
        if kind == "push":
            self.cache.pushed(name, [KEY])
        elif kind == "beat":
            if value is None:  # MOVED
                self.cache.lost(name)
                self.cache.connected(name)
            elif self.cache.beat_answered(name, about, value, 0):
                self.look_up()
        else:
            if value is not None and not self.cache.doubts(name):
                self.cache.keep(self.entry, self._loaded(value), about, name)
            self.cache.end(about)

    def write(self) -> None:
        """The owner changes the value; its push is on its way before the acknowledgement is."""
        node = self.owner
        if node.is_stopped:
            return
        self.version += 1
        self.acknowledged[self.version] = self.now
        if node.is_connected:
            node.replies.append(("push", None, None))

    def promote(self) -> None:
        """The replica takes over: the others vote, then it owns, then, some time, all know."""
        if self.owner.name == "a2":
            return
        old, new = self.owner, self.nodes["a2"]
        new.epoch = max(node.epoch for node in self.nodes.values()) + 1
        self.nodes["b"].epoch = self.nodes["c"].epoch = new.epoch
        self.frozen_version = self.version
        old.thinks_it_owns = True  # it goes on answering
        new.thinks_it_owns = True
        self.owner = new

    def learn(self) -> None:
        """The replaced primary hears that it is none any more."""
        if self.owner.name == "a2" and not self.nodes["a"].is_stopped:
            self.nodes["a"].thinks_it_owns = False
            self.nodes["a"].epoch = self.owner.epoch

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    # The judgement.

    def staleness(self) -> float:
        """Return by how many seconds the entry served now lags behind an acknowledged one, or 0."""
        session = self.cache.find(TOKEN)
        if session is None:
            return 0.0
        self.served += 1
        served = int(session.device or "0")
        later = [at for version, at in self.acknowledged.items() if version > served]
        return self.now - min(later) if later else 0.0

    def _loaded(self, version: int) -> CachedSession:
        session = Session("alice", "s", str(version), 0, 0, FAR)
        return CachedSession(
            session,
            [str(version).encode()],
            ahead=1_000.0,
            created_milliseconds=10**12,
            fresh_until=FAR,
            note_at=FAR,
        )

    def something(self) -> None:
        """One event at random; those that make progress are more frequent."""
        random, name = self.random, self.random.choice(["a", "a2", "b", "c"])
        match random.choices(
            ("time", "beat", "work", "deliver", "load", "write", "calm", "rare"),
            (3, 6, 8, 12, 2, 1, 3, 0.6),
        )[0]:
            case "time":
                self.pass_time(random.choice([0.01, 0.05, 0.1, 0.2, 0.6]))
            case "beat":
                for each in ("a", "a2", "b", "c"):
                    self.beat(each)
            case "work":
                self.work(name)
            case "deliver":
                self.deliver(name)
            case "load":
                self.load()
            case "write":
                self.write()
            case "calm":
                self._go_well()
            case _:
                self._something_rare(name)

    def _go_well(self) -> None:
        """For a moment everything answers and arrives."""
        self.pass_time(0.05)
        if self.random.random() < 0.2:
            self.load()
        for name in self.nodes:
            self.beat(name)
            self.work(name)
            while self.nodes[name].is_connected and self.nodes[name].replies:
                self.deliver(name)

    def _something_rare(self, name: str) -> None:
        random = self.random
        match random.choice(
            [
                "silent",
                "broken",
                "broken",
                "loss",
                "connect",
                "connect",
                "stop",
                "go on",
                "promote",
                "learn",
                "look",
            ]
        ):
            case "silent":
                self.lose_silently(name)
            case "broken":
                self.lose_silently(self.owner.name)
                self.write()
                self.notice_loss(self.owner.name)
                self.connect(self.owner.name)
            case "loss":
                self.notice_loss(name)
            case "connect":
                self.connect(name)
            case "stop":
                self.stop(name)
            case "go on":
                for each in self.nodes:
                    self.go_on(each)
            case "promote":
                self.promote()
            case "learn":
                self.learn()
            case _:
                self.look_up()


def node_version(world: World, node: Node) -> int:
    """What a node that thinks that it owns the shard has: a replaced one, what it had then."""
    return world.version if node is world.owner else world.frozen_version
