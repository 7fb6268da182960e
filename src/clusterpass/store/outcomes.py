"""Commands, and the outcome of sending them: replies or a fault. Pure values."""

from dataclasses import dataclass
from typing import Any, Literal

Command = tuple[bytes | int, ...]
"""A command and its arguments."""
Wait = Command
"""WAIT or WAITAOF: a command that waits until the earlier writes of its connection are confirmed.
"""
FaultKind = Literal[
    "timeout",
    "connection",
    "cluster_down",
    "loading",
    "moving",
    "busy",
    "full",
    "circuit_open",
    "doubted",
    "unconfirmed",
    "closed",
]


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error reply of a server, ``CODE message`` on the wire."""

    code: str
    message: str


@dataclass(slots=True)
class Replies:
    """The replies to commands, in order: values or :class:`ServerError`, one for each command."""

    values: list[Any]
    confirmed: Any = 0
    """The reply to the :data:`Wait` that followed the commands; 0 where none was sent."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A request that got no reply, or one that a retry may cure."""

    kind: FaultKind
    stale: bool = False
    """Whether the connection was found closed after idling, which says nothing about the node."""
