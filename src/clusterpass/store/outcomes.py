"""What is sent to a server, and what a driver makes of the answer: replies, or a fault."""

from dataclasses import dataclass
from typing import Any, Literal

Command = tuple[bytes | int, ...]
Wait = Command
"""A command that waits until what was written before it on its connection is confirmed."""
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


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that a server answered, as ``CODE message``."""

    code: str
    message: str


@dataclass(slots=True)
class Replies:
    """One reply for each command: a value, or a :class:`ServerError`."""

    values: list[Any]
    confirmed: Any = 0
    """The reply to the command that waits, where one was sent."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The node could not be asked, or did not answer in time."""

    kind: FaultKind
    stale: bool = False
    """The connection had been idle and turned out to be closed: nothing is known of the node."""
