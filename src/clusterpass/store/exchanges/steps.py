"""What an exchange asks of a driver. An exchange does no I/O itself.

An :data:`Exchange` is a generator. It yields a step (send, look up the slots, pause), receives its
outcome, and returns its result. The synchronous and the asynchronous driver are two small loops
that carry the steps out.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from clusterpass.store.location import Address
from clusterpass.store.outcomes import Command, Fault, Replies, Wait

Result = TypeVar("Result")


@dataclass(slots=True)
class Send:
    """Send ``commands`` on one connection; the outcome is :class:`Replies` or :class:`Fault`."""

    address: Address
    commands: tuple[Command, ...]
    wait: Wait | None = None
    """The command that waits, after them and on the same connection, until they are confirmed."""


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
    """Wait for so many seconds."""

    seconds: float


Step = Send | LookUp | Pause
Exchange = Generator[Step, Replies | Fault | None, Result]
