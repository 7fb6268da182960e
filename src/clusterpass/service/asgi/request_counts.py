"""Counts the requests of one worker, by route and status."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from clusterpass.metrics.families import Durations

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
ANY_METHOD: Final = "*"
"""The method of what proxies ask: it is that of another request."""


class Warm:
    """The number of requests for one route that were answered from memory."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class RequestCounts:
    """The requests of one worker."""

    def __init__(self) -> None:
        self.on_note: Callable[[str, str], None] | None = None
        """Called with the route and the method of each request that is timed; None: nobody is."""
        self.timed: Final[defaultdict[tuple[str, str, int], Durations]] = defaultdict(Durations)
        """The requests by route, method and status."""
        self.warm: Final[defaultdict[tuple[str, str], Warm]] = defaultdict(Warm)
        """Requests answered from memory, by route and method, which are not timed: taking the time
        would cost as much as counting several of them."""

    def note(self, route: str, method: str, status: int, started: float) -> None:
        """Count a request that has ended.

        ``route``: a path as a pattern, of which there are few. ``started``: when the request
        arrived, in seconds of ``time.perf_counter``.
        """
        known = method if method in _METHODS or method == ANY_METHOD else "OTHER"
        self.timed[route, known, status].note(time.perf_counter() - started)
        if self.on_note is not None:
            self.on_note(route, known)
