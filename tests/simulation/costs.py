"""Costs of a request on a server, and the designs that the simulation compares.

Microseconds of one core of a server, measured on six nodes of Valkey 9.1 over loopback, with one
request in flight and everything that the kernel does for it.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

_BROADCAST = ((1, 24.0), (10, 126.0), (100, 680.0), (1_000, 11_000.0))
"""Cost of one changed key in broadcast mode, for each number of tracking connections."""


@dataclass(frozen=True)
class Costs:
    """The parameters, in microseconds."""

    beat: float = 33.0
    """GET, CLUSTER INFO, TIME and HMGET, as one heartbeat."""
    load: float = 36.0
    """The script that reads a session."""
    write: float = 90.0
    """A script that changes a session, with WAIT and ROLE, at the primary."""
    look_up: float = 60.0
    """CLUSTER SLOTS and CLUSTER NODES."""
    inquiry: float = 75.0
    """CLUSTER INFO and the script that reads a journal."""
    fill: float = 90.0
    """The script that fills a journal."""
    redirect: float = 10.0
    """An answer without work: MOVED."""
    connect: float = 77.0
    """A new connection: accept, HELLO, CLIENT TRACKING, close."""
    holder: float = 22.5
    """A push to one holder of a key, with default tracking: 30 to 60 for two holders."""

    @staticmethod
    def broadcast(trackers: float) -> float:
        """What the push of one changed key costs; between the measured points and beyond the last,
        the logarithms lie on lines."""
        if trackers < 1:
            return 0.0
        points = list(pairwise(_BROADCAST))
        (n0, c0), (n1, c1) = next(
            ((low, high) for low, high in points if trackers <= high[0]), points[-1]
        )
        slope = log(c1 / c0) / log(n1 / n0)
        return c0 * exp(slope * log(trackers / n0))


@dataclass(frozen=True)
class Design:
    """A design: how changes are pushed, and which process sends heartbeats."""

    name: str
    hears_all: bool
    """Whether every process hears of every change, and so beats at all times; otherwise it hears
    of what it has read, and rests while nothing is read."""


DESIGNS = {
    each.name: each
    for each in (
        Design("today", hears_all=False),
        Design("before", hears_all=True),
    )
}
"""``before`` is how a process works that listens to the whole cluster, and how all did once."""
