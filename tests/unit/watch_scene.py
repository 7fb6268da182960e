"""A watch without servers: nodes that answer from a list, and an observer that keeps reports."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from clusterpass.store.address import Address
from clusterpass.store.drivers.base import StoreBase
from clusterpass.store.drivers.nodes import Nodes
from clusterpass.store.drivers.watch import Watch
from clusterpass.store.outcomes import Fault, ServerError
from clusterpass.store.store_url import parse_store_url
from clusterpass.store.topology.slots import SLOTS, Shard, SlotMap
from clusterpass.store.wire.background import BackgroundTasks

INFO = b"cluster_state:ok\r\ncluster_current_epoch:7\r\ncluster_my_epoch:5\r\n"
PULSE = [b"17", INFO, [b"1800000000", b"123456"]]
NO = ServerError("NOPERM", "no")
ABORTED = ServerError("EXECABORT", "no")
BUSY = ServerError("BUSY", "a script runs")
A, B = Address("a", 1), Address("b", 2)


class Observer:
    """Notes what it is told, in order."""

    def __init__(self, prefixes: tuple[bytes, ...] = (b"cp:{",)) -> None:
        self.prefixes = prefixes
        self.wants_all = False
        self.is_followed = True
        self.held = self.activity = 0
        self.refusal = "before"
        self.journal = None
        self.told: list[tuple[Any, ...]] = []
        self.moved: list[Any] = []
        self.is_urgent = self.has_changed = False

    def connected(self, node: Any, *, pushes: bool = True) -> None:
        self.told.append(("connected", node, pushes))

    def lost(self, node: Any) -> None:
        self.told.append(("lost", node))

    def unjudged(self, node: Any) -> None:
        self.told.append(("unjudged", node))

    def set_primaries(self, nodes: Any, journals: Any = frozenset()) -> None:
        self.told.append(("primaries", sorted(nodes), sorted(journals)))

    def pushed(self, node: Any, keys: Any) -> bool:
        self.told.append(("pushed", node, keys))
        return self.is_urgent

    def beat_sent(self, node: Any) -> int:
        self.told.append(("beat", node))
        return 41

    def time_told(self, node: Any, number: int, milliseconds: int) -> None:
        self.told.append(("time", node, number, milliseconds))

    def mapped(self, seconds: float, moved: Any) -> None:
        self.moved.append(moved)

    def beat_answered(self, *answer: Any, own_epoch: int | None = None) -> bool:
        self.told.append(("answered", *answer))
        return self.has_changed


class Connection:
    """A connection on which the test answers."""

    def __init__(self) -> None:
        self.is_open, self.is_plain = True, False
        self.asked: list[tuple[bytes, int, bool]] = []
        self.futures: list[asyncio.Future[Any]] = []

    def ask(self, packed: bytes, count: int, *, urgent: bool = False) -> Any:
        self.asked.append((packed, count, urgent))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


class Links:
    """The nodes of an event loop, of which the test says which are connected."""

    def __init__(self) -> None:
        self.background = BackgroundTasks()
        self.connections: dict[Address, Connection] = {}
        self.dropped: list[Address] = []
        self.opened: list[Address] = []
        self.looked_up: list[Any] = []
        self.failure: Exception | None = None
        self.fault: Fault | None = None
        self.found: Callable[[], None] | None = None
        """What a look-up does."""

    def connection(self, address: Address) -> Connection | None:
        return self.connections.get(address)

    def drop(self, address: Address) -> None:
        self.dropped.append(address)

    def link(self, address: Address) -> "Links":
        self.opened.append(address)
        return self

    async def open(self) -> Fault | None:
        if self.failure is not None:
            raise self.failure
        return self.fault

    async def look_up(self, wanted: Any, search: Any) -> None:
        self.looked_up.append(wanted)
        if self.failure is not None:
            raise self.failure
        if self.found is not None:
            self.found()


class Scene:
    """A watch over two primaries, and its turns."""

    def __init__(self, prefixes: tuple[bytes, ...] = (b"cp:{",)) -> None:
        self.store = StoreBase(parse_store_url("redis+cluster://a:1"))
        half = SLOTS // 2
        self.store.slots = SlotMap(
            [Shard(A, 1)] * half + [Shard(B, 1)] * half, 3, is_replicated=True
        )
        self.observer = Observer(prefixes)
        self.watch = Watch(self.store, cast("Any", self.observer), 0.5)
        self.links = Links()

    def turn(self) -> list[tuple[Any, ...]]:
        """Return the events that the observer gets in one turn."""
        self.observer.told.clear()
        self.watch._turn(cast("Nodes", self.links))
        return self.observer.told.copy()

    async def answer(self, connection: Connection, outcome: Any) -> list[tuple[Any, ...]]:
        """What the observer is told when the latest request on a connection is answered."""
        self.observer.told.clear()
        connection.futures[-1].set_result(outcome)
        await settle()
        return self.observer.told.copy()

    async def met(self) -> Connection:
        """The connection of a node that pushes, with a heartbeat under way."""
        connection = self.links.connections[A] = Connection()
        self.turn()
        self.watch.connected(A, self.watch.pushes)
        self.turn()
        await settle()
        return connection


async def settle() -> None:
    """Let the tasks run that are ready."""
    for _ in range(5):
        await asyncio.sleep(0)
