"""The tolerance for wrong server clocks: seconds by which times may differ, early deletions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clusterpass.limits import CLOCK_TOLERANCE

from .history import Fault

_NAMES = frozenset({"jump_server_clock", "promote_replica_with_wrong_clock"})
_AHEAD = re.compile(r" by ([+-]\d+) s")
_ROUNDING = 1.0
"""Seconds: the store keeps whole ones."""


@dataclass(frozen=True, slots=True)
class _WrongClock:
    began: float
    until: float
    """The time of a subject may stand still for a while after the clock was put right."""
    ahead: int


class ServerClocks:
    """Time spans in which the clock of a server was wrong."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._wrong = [
            _WrongClock(
                fault.began, fault.ended + CLOCK_TOLERANCE + _ROUNDING, _seconds_ahead(fault)
            )
            for fault in faults
            if fault.name in _NAMES
        ]

    def off(self, since: float, until: float) -> float:
        """Return by how many seconds times between the two may differ.

        Twice the tolerance when one server was behind and one ahead: a time may be written by the
        first and judged by the second.
        """
        met = [each for each in self._wrong if each.began <= until and each.until >= since]
        directions = {each.ahead > 0 for each in met}
        return float(CLOCK_TOLERANCE * len(directions))

    def deleted_at(self, since: float, ends_at: float) -> float:
        """Return when a key written at ``since`` may be deleted although it ends at ``ends_at``.

        A server deletes keys by its own clock, so one that is ahead deletes what had less time
        left than that. Infinity: it is not deleted.
        """
        return min(
            (
                max(since, each.began)
                for each in self._wrong
                if each.until >= since and each.began < ends_at <= each.until + each.ahead
            ),
            default=float("inf"),
        )


def _seconds_ahead(fault: Fault) -> int:
    found = _AHEAD.search(fault.detail)
    return int(found[1]) if found else 0
