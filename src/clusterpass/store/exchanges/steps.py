"""The steps that an exchange asks a driver to take. Pure.

An :data:`Exchange` is a generator that does no I/O: the generator yields a step (send, look up the
slots, pause), receives the outcome, and returns a result. The synchronous and the asynchronous
driver are two small loops that take the steps.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from clusterpass.store.address import Address
from clusterpass.store.outcomes import Command, Fault, Replies, Wait

Result = TypeVar("Result")


@dataclass(slots=True)
class Send:
    """Send ``commands`` on one connection. The outcome is :class:`Replies` or :class:`Fault`."""

    address: Address
    commands: tuple[Command, ...]
    wait: Wait | None = None
    """The command that follows on the same connection and waits until the writes are confirmed."""
    until: float | None = field(default=None, compare=False)
    """Until when a free connection may be waited for, in seconds of the monotonic clock; None: for
    the time limit of one attempt."""
    urgent: bool = field(default=False, compare=False)
    """Whether to send at once, past whatever waits for its turn: what is believed depends on it."""
    fresh: bool = field(default=False, compare=False)
    """Whether to open a new connection, unless one that is shared was heard from just now."""


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


@dataclass(frozen=True, slots=True)
class Agree:
    """Ask a majority whether ``node`` had been replaced when it answered, and read the journals.

    The outcome is a bool: whether the reply may be believed. One question serves everybody whose
    reply came before it was asked.
    """

    node: Address
    answered_at: float
    """When the reply came that is in doubt, in seconds of the steady clock."""
    until: float
    """The time after which nobody is asked, in seconds of the monotonic clock."""
    made_at: float = 0.0
    """When the request was made that got the reply, in seconds of the steady clock."""
    is_durable: bool = False
    """Whether every replica has confirmed the reply, so that only the journals are in question."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connections to ``node``: it is a replica now, or a name leads elsewhere."""

    node: Address


PROBE_SECONDS: Final = 0.05
"""How long who has a node probed waits for the outcome at most."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Begin an exchange in the background that finds out whether ``node`` answers again.

    The outcome is None. It comes with the end of that exchange, or after ``seconds``.
    """

    node: Address
    slot: int
    """A slot that ``node`` owns, as far as is known."""
    seconds: float


Step = Send | LookUp | Pause | Agree | Drop | Probe
Exchange = Generator[Step, Replies | Fault | bool | None, Result]
"""A generator of steps that receives the outcome of each and returns a result."""
