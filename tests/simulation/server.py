"""One server: a queue of requests at one core, the data, and what it pushes."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clusterpass.protocol.keyspace import slot_of
from clusterpass.store.address import Address
from clusterpass.store.outcomes import Replies, ServerError

from .clock import Clock
from .costs import Costs, Design
from .journals import APPEND, KINDS, StoredJournal
from .scripts import END, READ, REFRESH
from .server_load import Meter

if TYPE_CHECKING:
    from .cluster import Cluster
    from .connection import Connection

_WRITES = {END.sha1, REFRESH.sha1}
_REPLICATED_AFTER = 0.0008
"""Seconds until a replica has a write, and has said so."""


@dataclass(slots=True, eq=False)
class Request:
    """Commands of one connection, and what is to happen with the replies."""

    connection: "Connection"
    commands: tuple[tuple[Any, ...], ...]
    wait: tuple[Any, ...] | None
    weight: int
    """How many processes send the request, one of which is simulated."""
    kind: str
    cost: float
    """Microseconds, each."""
    answer: Callable[[Replies], None]


class Server:
    """A primary or a replica."""

    def __init__(
        self, cluster: "Cluster", address: Address, shard: int, *, clock: Clock, meter: Meter
    ) -> None:
        self.cluster = cluster
        self.address = address
        self.shard = shard
        self.clock = clock
        self.meter = meter
        self.costs: Costs = cluster.costs
        self.design: Design = cluster.design
        self.is_up = True
        self.is_primary = False
        self.is_parted = False
        """Whether it is cut off from the other servers, and does not hear of anything."""
        self.epoch = self.config_epoch = 1
        self.data: dict[bytes, tuple[int, bool]] = {}
        """For each key, the version of a session and whether it is live."""
        self.journals: dict[int, StoredJournal] = {}
        self.readers: dict[bytes, set[Connection]] = {}
        """Who has read a key since it last changed."""
        self.tracking: dict[Connection, int] = {}
        """The connections that track changes, with the number of processes that each stands for."""
        self.view: tuple[list[Any], bytes] | None = None
        """How it saw the cluster when it was cut off."""
        self._queue: deque[Request] = deque()
        self._is_busy = False

    def __repr__(self) -> str:
        return str(self.address)

    @property
    def own_mark(self) -> bytes:
        return f"{self.address.port:040d}:{self.config_epoch}".encode()

    # Work.

    def kind_of(self, commands: tuple[tuple[Any, ...], ...]) -> str:
        """Return the kind of request that ``commands`` are."""
        last = commands[-1]
        if last[0] in {b"EVALSHA", b"EVAL"}:
            if last[1] == READ.sha1:
                return "load"
            return KINDS.get(last[1], "write")
        match commands[0][:2]:
            case (b"CLUSTER", b"SLOTS"):
                return "look_up"
            case (b"HELLO", *_):
                return "connect"
            case (b"CLUSTER", b"INFO"):
                return "inquiry"
        return "beat"

    def receive(self, request: Request) -> None:
        """Take a request that has arrived."""
        if not self.is_up or request.connection.is_closed:
            return
        cost = getattr(self.costs, request.kind)
        extra = sum(self._push_cost(key) for key in _written(request.commands))
        request.cost = cost + extra
        self.meter.add(self.clock.now, self.address, request.kind, cost * request.weight)
        if extra:
            self.meter.add(self.clock.now, self.address, "push", extra * request.weight)
        self._queue.append(request)
        if not self._is_busy:
            self._begin()

    def burden(self, kind: str, microseconds: float, pushes: float = 0.0) -> None:
        """Do work for a process that is not simulated."""
        if self.is_up:
            self.meter.add(self.clock.now, self.address, kind, microseconds)
            if pushes:
                self.meter.add(self.clock.now, self.address, "push", pushes)
            self._queue.append(
                Request(NOBODY, (), None, 1, kind, microseconds + pushes, lambda _: None)
            )
            if not self._is_busy:
                self._begin()

    def push_cost(self, holders: int) -> float:
        """Return the cost of pushing a changed key that ``holders`` processes hold."""
        if self.design.hears_all:
            return self.costs.broadcast(sum(self.tracking.values()))
        return holders * self.costs.holder

    def _push_cost(self, key: bytes) -> float:
        return self.push_cost(sum(not each.is_closed for each in self.readers.get(key, ())))

    def _begin(self) -> None:
        queue = self._queue
        while queue:
            request = queue.popleft()
            if request.connection.is_closed:
                continue  # its sender has hung up
            self._is_busy = True
            # Which of the processes that it stands for is the simulated one, is left to chance.
            share = 1.0 if request.weight == 1 else self.clock.random.random()
            each = request.cost / 1e6
            whole = each * request.weight
            own = max(each, whole * share)
            self.clock.after(own, self._execute, request, whole - own)
            return
        self._is_busy = False

    def _execute(self, request: Request, rest: float) -> None:
        if self.is_up:
            if request.commands and not request.connection.is_closed:
                self._answer(request)
            if rest > 0:
                self.clock.after(rest, self._begin)
            else:
                self._begin()

    def stop(self) -> None:
        """Fall silent for good."""
        self.is_up = False
        self._queue.clear()

    # Replies.

    def _answer(self, request: Request) -> None:
        values = [self._reply(request.connection, command) for command in request.commands]
        if request.wait is None:
            request.answer(Replies(values))
            return
        replicas = self.cluster.replicas_of(self)
        wanted = request.wait[1]
        seconds = _REPLICATED_AFTER if len(replicas) >= wanted else request.wait[2] / 1000
        attached = tuple((r.address.host.encode(), b"%d" % r.address.port) for r in replicas)
        self.clock.after(seconds, request.answer, Replies(values, len(replicas), attached))

    def _reply(self, connection: "Connection", command: tuple[Any, ...]) -> Any:
        match command:
            case (b"EVALSHA" | b"EVAL", script, int(count), *rest):
                return self._run(connection, script, rest[:count], tuple(rest[count:]))
            case (b"GET", key):
                return self._moved(slot_of(key)) or None
            case (b"HMGET", key, *_):
                slot = slot_of(key)
                return self._moved(slot) or self._journal(slot).told()
            case (b"TIME",):
                now = self.clock.wall()
                return [b"%d" % int(now), b"%d" % int(now % 1 * 1e6)]
            case (b"CLUSTER", b"INFO"):
                return (
                    f"cluster_state:ok\r\ncluster_current_epoch:{self.epoch}\r\n"
                    f"cluster_my_epoch:{self._told_own_epoch()}\r\n"
                ).encode()
            case (b"CLUSTER", b"SLOTS"):
                return (self.view or self.cluster.view())[0]
            case (b"CLUSTER", b"NODES"):
                return (self.view or self.cluster.view())[1]
            case (b"HELLO", *_):
                return b"OK"
        raise AssertionError(command)

    def _run(
        self, connection: "Connection", script: bytes, keys: list[bytes], arguments: tuple[Any, ...]
    ) -> Any:
        slot = slot_of(keys[0])
        if moved := self._moved(slot):
            return moved
        if script == READ.sha1:
            if connection.tracks:
                self.readers.setdefault(keys[0], set()).add(connection)
            return [int(self.clock.wall() * 1000), *self.data[keys[0]]]
        if script in _WRITES:
            version, is_live = self.data[keys[0]]
            self._write(keys[0], (version + 1, is_live and script != END.sha1))
            return [int(self.clock.wall() * 1000), b"OK"]
        if script == APPEND.sha1:
            return self._journal(slot).append(arguments[0], arguments[1])
        journal = self._journal(slot)
        if KINDS[script] == "inquiry":
            return journal.read(arguments[0], self.own_mark)
        return journal.fill(arguments, self.own_mark)

    def _told_own_epoch(self) -> int:
        """The config epoch: a replica tells that of its primary."""
        of_replica = not self.is_primary and not self.is_parted
        return (self.cluster.shards[self.shard].primary if of_replica else self).config_epoch

    def _journal(self, slot: int) -> StoredJournal:
        return self.journals.setdefault(slot, StoredJournal(self.own_mark))

    def _moved(self, slot: int) -> ServerError | None:
        if self.is_parted and self.is_primary:
            return None  # it takes itself for the owner
        owner = self.cluster.owner_of(slot)
        if owner is self:
            return None
        return ServerError("MOVED", f"{slot} {owner.address.host}:{owner.address.port}")

    # Changes.

    def _write(self, key: bytes, value: tuple[int, bool]) -> None:
        self.data[key] = value
        for replica in self.cluster.replicas_of(self):
            self.clock.after(_REPLICATED_AFTER / 2, replica.data.__setitem__, key, value)
        self.push(key)

    def push(self, key: bytes) -> None:
        """Tell everybody who has read ``key``; it means nothing to others, who may be told too."""
        for connection in sorted(self.readers.pop(key, ()), key=lambda each: each.number):
            connection.push([key])


class _Nobody:
    is_closed = False


NOBODY: Any = _Nobody()
"""The connection of processes that are not simulated."""


def _written(commands: tuple[tuple[Any, ...], ...]) -> list[bytes]:
    """The keys of sessions that ``commands`` change."""
    return [
        command[3] for command in commands if command[0] == b"EVALSHA" and command[1] in _WRITES
    ]
