"""The steps that an exchange asks a driver to take. Pure.

An :data:`Exchange` is a generator that does no I/O: the generator yields a step (send, look up the
slots, pause), receives the outcome, and returns a result. The synchronous and the asynchronous
driver are two small loops that take the steps.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from clusterpass.store.location import Address
from clusterpass.store.outcomes import Command, Fault, Replies, Wait

Result = TypeVar("Result")


@dataclass(slots=True)
class Send:
    """Send ``commands`` on one connection. The outcome is :class:`Replies` or :class:`Fault`."""

    address: Address
    commands: tuple[Command, ...]
    wait: Wait | None = None
    """The command that follows on the same connection and waits until the writes are confirmed."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look up the slots, unless the store's map is newer than ``seen``. The outcome is None."""

    seen: int
    """The version of the slot map that the exchange has seen."""
    suspect: Address | None
    """The node to ask last, as it may be down."""
    until: float
    """The time after which no look-up starts, in seconds of the monotonic clock."""
    counts_replicas: bool = False
    """Whether a single server, which has no slots to look up, is asked for its replicas."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for ``seconds``. The outcome is None."""

    seconds: float


Step = Send | LookUp | Pause
Exchange = Generator[Step, Replies | Fault | None, Result]
"""A generator of steps that receives the outcome of each and returns a result."""
