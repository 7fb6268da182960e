"""What is asked of a driver, and what comes back: no I/O here.

An :class:`Exchange` is a generator. It yields what is to be done (send, look up the slots, pause),
receives the outcome, and returns its result. The synchronous and the asynchronous store are two
small loops that do what it asks.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from clusterpass.store.location import Address

Command = tuple[bytes | int, ...]
FaultKind = Literal[
    "timeout",
    "connection",
    "cluster_down",
    "loading",
    "moving",
    "busy",
    "full",
    "circuit_open",
    "unconfirmed",
    "closed",
]
Reply = TypeVar("Reply")
Wait = Command
"""A command that waits until what was written before it on its connection is confirmed."""


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that a server answered, as ``CODE message``."""

    code: str
    message: str


@dataclass(slots=True)
class Send:
    """Send ``commands`` on one connection; the outcome is :class:`Replies` or :class:`Fault`."""

    address: Address
    commands: tuple[Command, ...]
    wait: Wait | None = None
    """What waits, after them and on the same connection, until they are confirmed."""


@dataclass(slots=True)
class Replies:
    """One reply a command: a value, or a :class:`ServerError`."""

    values: list[Any]
    confirmed: Any = 0
    """The reply to what waits, where that was asked for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The node could not be asked, or did not answer in time."""

    kind: FaultKind
    stale: bool = False
    """The connection had been idle and turned out to be closed: nothing is known of the node."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look up the slots, asking the ``suspect`` last; not if the map is newer than ``seen``.

    Nothing is begun after ``until``, in seconds of the monotonic clock. ``counts_replicas``: also
    of one server, which has no slots to look up but may have replicas.
    """

    seen: int
    suspect: Address | None
    until: float
    counts_replicas: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


Instruction = Send | LookUp | Pause
Exchange = Generator[Instruction, Replies | Fault | None, Reply]
