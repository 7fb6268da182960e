"""The watch of a simulated process: that of the library, over connections of the simulation."""

from collections.abc import Callable, Coroutine
from functools import cache
from typing import TYPE_CHECKING, Any

from clusterpass.store.address import Address
from clusterpass.store.drivers.watch import Watch
from clusterpass.store.exchanges.steps import Exchange, LookUp
from clusterpass.store.outcomes import Fault
from clusterpass.store.wire.resp import pack

from .clock import Future
from .connection import Connection, Link
from .tasks import Later, Task, Waiting

if TYPE_CHECKING:
    from .store import SimulatedStore


class SimulatedNodes:
    """What a watch needs of :class:`clusterpass.store.drivers.nodes.Nodes` and of an event loop."""

    def __init__(self, store: "SimulatedStore", later: Later) -> None:
        self._store, self._later = store, later
        self.loop = self.background = self

    def connection(self, address: Address) -> "PackedConnection | None":
        """The connection to ``address``, if it is open."""
        link = self._store.open_link(address)
        connection = None if link is None else link.connection
        return None if connection is None else PackedConnection(connection)

    def link(self, address: Address) -> "OpeningLink":
        return OpeningLink(self._store.link(address))

    def drop(self, address: Address) -> None:
        self._store.drop(address)

    async def look_up(self, wanted: LookUp, _: object) -> None:
        await Waiting(self._store.look_up(wanted))

    async def drive(self, steps: Exchange[Any], _: object) -> Any:
        return await Waiting(self._store.drive(steps))

    # The event loop.

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> Task:
        return Task(self._later, coroutine)

    def call_soon_threadsafe(self, do: Callable[[], None]) -> None:
        self._later(0.0, do)


class PackedConnection:
    """A connection that takes packed commands."""

    is_plain = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def is_open(self) -> bool:
        return not self._connection.is_closed

    def ask(self, packed: bytes, count: int, *, urgent: bool = False) -> Future:
        """The replies, or a fault; ``urgent``: no request waits for its turn here."""
        commands = commands_in(packed)
        assert len(commands) == count
        return self._connection.ask(commands)


class OpeningLink:
    """A link that a watch opens."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def open(self) -> Fault | None:
        fault: Fault | None = await self._link.open()
        return fault


class SimulatedWatch(Watch):
    """The watch of one process, and the listener of its links."""

    def begin(self, later: Later) -> None:
        """Take turns from now on. A failure of the watch ends the run."""
        store: Any = self._store
        nodes: Any = SimulatedNodes(store, later)
        Task(later, self._run_until_failure(nodes)).add_done_callback(_fail)


def _fail(task: Task) -> None:
    error = task.exception()
    assert error is not None
    raise error


@cache
def commands_in(packed: bytes) -> tuple[tuple[bytes, ...], ...]:
    """The commands that ``packed`` encodes."""
    words: list[list[bytes]] = []
    rest = packed
    while rest:
        head, _, rest = rest.partition(b"\r\n")
        if head[:1] == b"*":
            words.append([])
        else:
            size = int(head[1:])
            words[-1].append(rest[:size])
            rest = rest[size + 2 :]
    commands = tuple(map(tuple, words))
    assert pack(commands) == packed
    return commands
