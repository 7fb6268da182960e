"""Commands, and the outcome of sending them: replies or a fault. Pure values."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from clusterpass.model.store_causes import StoreCause

Command = tuple[bytes | int, ...]
"""A command and its arguments."""
Wait = Command
"""WAIT or WAITAOF: a command that waits until the earlier writes of its connection are confirmed.
The last argument is the longest wait, in milliseconds.
"""
_SHARE_OF_TIME_LEFT: Final = 0.9
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


Attached = tuple[tuple[bytes, bytes], ...]
"""The host and the port of each replica in a reply to ROLE, where it tells its port."""


@dataclass(slots=True)
class Replies:
    """The replies to commands, in order: values or :class:`ServerError`, one for each command."""

    values: list[Any]
    confirmed: Any = 0
    """The reply to the :data:`Wait` that followed the commands; 0 where none was sent."""
    attached: Attached | None = ()
    """Which replicas the node said to have after that; none where it does not tell. None: it is a
    replica itself."""


_NO_PORT: Final = b"0"
ROLE: Final = (b"ROLE",)
"""The command that follows a :data:`Wait`: how many replicas there are by then. The slot map may be
older than a replica, whose confirmation would then be taken for that of another one."""


def read_attached(role: Any) -> Attached | None:
    """The connected replicas in a reply to ROLE: none for an error, None for that of a replica.

    A replica tells its port. Most tools that copy the data do not, and are left out.
    """
    match role:
        case [b"master", _, list(replicas)]:
            attached: list[tuple[bytes, bytes]] = []
            for each in replicas:  # once for each confirmed write: no generator
                if each[1] != _NO_PORT:
                    attached.append((each[0], each[1]))  # noqa: PERF401
            return tuple(attached)
        case [b"slave", *_]:
            return None
    return ()


_CONNECTED: Final = b"connected_slaves:"


def read_connected(info: Any) -> int | None:
    """The number of replicas in a reply to INFO replication; None where it tells none."""
    if not isinstance(info, bytes):
        return None
    _, named, rest = info.partition(_CONNECTED)
    digits = rest.split(b"\r", 1)[0]
    return int(digits) if named and digits.isdigit() else None


def confirmed_replies(values: list[Any]) -> Replies:
    """The replies of a node to commands that a :data:`Wait` and ROLE have followed."""
    return Replies(values[:-2], values[-2], read_attached(values[-1]))


@dataclass(frozen=True, slots=True)
class Fault:
    """A request that got no reply, or one that a retry may cure."""

    kind: FaultKind
    stale: bool = False
    """Whether the connection was found closed after idling, which says nothing about the node."""
    idle_since: float | None = field(default=None, compare=False)
    """Where a connection that had worked got no reply: since when it had idled before, in seconds
    of the monotonic clock. Connections that have idled as long may be as dead."""
    cause: StoreCause | None = field(default=None, compare=False)
    """What operators are told; None: what follows from the kind."""
    error: OSError | None = field(default=None, compare=False, repr=False)
    """What the operating system said, if anything."""
    node: str | None = field(default=None, compare=False)
    """The node that was asked, as ``host:port``, where the call is for another one."""


def within(wait: Wait, seconds: float) -> Wait:
    """``wait``, shortened so that the reply arrives within ``seconds``."""
    *command, milliseconds = wait
    assert isinstance(milliseconds, int)
    # Zero would mean to wait for ever.
    left = max(1, int(seconds * _SHARE_OF_TIME_LEFT * 1000))
    return wait if milliseconds <= left else (*command, left)
