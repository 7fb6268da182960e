"""The time that most clocks agree on: those of the primaries, and this machine's.

Sessions are judged by the clock of the server that holds them. A server whose clock is wrong would
end live sessions, or prolong them; a replica may be such a server, and be promoted.

- Each heartbeat tells the clock of a primary. More than half of all clocks, this machine's
  included, have to be at most ``MOST_CLOCKS_APART`` seconds apart; then their median is agreed on.
- The agreed time goes on by the steady clock, so no clock that jumps later can change it. It is
  settled again while most clocks agree.
- A server's clock within ``CLOCK_TOLERANCE`` seconds of the agreed time is believed. Another one
  counts as ahead or behind by that much.
- A simulated clock is that of a test: it tells the time of all servers as well.
- Without an agreement (a new process, a single server whose clock differs from this machine's) a
  server is believed if its clock is not too far from this machine's.

Times are seconds of the steady clock unless a name says otherwise.
"""

import logging
from collections.abc import Hashable, Set
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Self

from clusterpass.limits import CLOCK_TOLERANCE, MOST_CLOCKS_APART
from clusterpass.model.clock import Clock, clocks_differ
from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls.call_time import CallTime

logger: Final = logging.getLogger("clusterpass.clocks")
_LONGEST_ROUND_TRIP: Final = 1.0
"""An answer that took longer tells the time of its node too roughly."""
_BETWEEN_AGREEMENTS: Final = 1.0
_BEHIND: Final = 1.0
"""By less, a clock that is behind is not told from the roughness of the measurement."""
_DRIFT: Final = 0.0005
"""How many seconds two clocks may drift apart in a second."""


@dataclass(frozen=True, slots=True)
class Told:
    """Bounds of the seconds by which the clock of a node is ahead of the steady clock."""

    least: float
    most: float
    at: float
    """When the bounds were found, in seconds of the steady clock."""

    @property
    def middle(self) -> float:
        """The best estimate of the seconds by which the clock is ahead."""
        return (self.least + self.most) / 2

    def after(self, known: Self | None) -> "Told":
        """Return the bounds that agree with ``known``, an earlier measurement, as well.

        A clock that has jumped agrees with no earlier measurement, which is then not considered.
        """
        if known is None:
            return self
        drift = (self.at - known.at) * _DRIFT
        least, most = max(self.least, known.least - drift), min(self.most, known.most + drift)
        return Told(least, most, self.at) if least <= most else self


def bounds_of_clock(milliseconds: int, sent_at: float, answered_at: float) -> tuple[float, float]:
    """Return by how many seconds the clock of a server is ahead, at least and at most.

    ``milliseconds``: the clock, without what it had of the next millisecond, as told in a reply
    that was asked for at ``sent_at`` and had come by ``answered_at``.
    """
    return milliseconds / 1000 - answered_at, (milliseconds + 1) / 1000 - sent_at


class Clocks:
    """The clocks as one manager knows them. Callers of :meth:`told` must take turns."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[Hashable, Told] = {}
        self._offset: float | None = None
        """By how many seconds the agreed time is ahead of the steady clock; None: none is agreed
        on yet."""
        self._settled_at = -inf
        self._wrong: set[Hashable] = set()
        """The nodes whose clocks were reported as wrong."""

    @property
    def is_agreed(self) -> bool:
        """Whether most clocks have agreed, now or before."""
        return self._offset is not None or self._clock.is_simulated

    def told(
        self, node: Hashable, milliseconds: int, sent_at: float, primaries: Set[Hashable]
    ) -> None:
        """Take note that ``node``, asked at ``sent_at``, told its clock as ``milliseconds``.

        ``primaries``: all of them, whether they answer or not.
        """
        now = self._clock.steady()
        is_late = now - sent_at > _LONGEST_ROUND_TRIP
        if is_late or node not in primaries or self._clock.is_simulated:
            return
        known = self._told.get(node)
        least, most = bounds_of_clock(milliseconds, sent_at, now)
        told = Told(least, most, now).after(known)
        self._told[node] = told
        is_news = known is None or abs(told.middle - known.middle) > CLOCK_TOLERANCE / 2
        if is_news or now - self._settled_at >= _BETWEEN_AGREEMENTS:
            self._settled_at = now
            self._settle(primaries)
            self._report()

    def call_time(self) -> CallTime:
        """Return the time now, for a script to judge its server's clock by."""
        if self._clock.is_simulated:
            now = int(self._clock.wall() * 1000)
            return CallTime(now, is_agreed=True, is_simulated=True)
        if self._offset is None:
            return CallTime(int(self._clock.wall() * 1000), is_agreed=False)
        seconds = self._clock.steady() + self._offset
        return CallTime(int(seconds * 1000), is_agreed=True)

    def judge(self, milliseconds: int, sent_at: float) -> int:
        """Return the time, in milliseconds since the epoch, by which to judge what was read.

        ``milliseconds``: the server's clock in a reply, asked for at ``sent_at``. Raises
        StoreUnavailable when the clock is too far from this machine's and no time is agreed on.
        """
        offset = self._offset
        if self._clock.is_simulated:
            return int(self._clock.wall() * 1000)
        if offset is None:
            ahead = milliseconds - int(self._clock.wall() * 1000)
            if abs(ahead) > MOST_CLOCKS_APART * 1000:
                raise StoreUnavailable(clocks_differ(ahead), reason="clock", cause="clock")
            return milliseconds
        agreed = sent_at + offset
        if -CLOCK_TOLERANCE <= milliseconds / 1000 - agreed <= CLOCK_TOLERANCE:
            return milliseconds
        # This process may have stood still since it asked.
        latest = self._clock.steady() + offset + CLOCK_TOLERANCE
        return int(max((agreed - CLOCK_TOLERANCE) * 1000, min(milliseconds, latest * 1000)))

    def most_ahead(self, least: float, most: float) -> float:
        """Return by how many seconds the clock that timed a session may be ahead of the steady one.

        ``least``, ``most``: the bounds of the clock of the server that reports the session, as
        its reply shows. They are far apart where the reply was held; then the bounds count that are
        known of those servers' clocks that may be this one. A clock that is behind what most clocks
        agree on does not count: another server may have timed the session.
        """
        possible = [
            each.most
            for each in tuple(self._told.values())
            if each.least <= most and least <= each.most
        ]
        if possible:
            most = min(most, max(possible))
        agreed = self._offset
        return most if agreed is None or agreed - most <= _BEHIND else agreed

    def judge_reply(self, reply: list[Any], sent_at: float) -> list[Any]:
        """Return ``reply``, whose first member is the server's clock, with the judged time there.

        ``sent_at`` and what is raised are those of :meth:`judge`.
        """
        told = self.judge(reply[0], sent_at)
        return reply if told == reply[0] else [told, *reply[1:]]

    def _settle(self, primaries: Set[Hashable]) -> None:
        """Agree on a time where more than half of the clocks are close to each other."""
        for node in self._told.keys() - primaries:
            del self._told[node]
        here = self._clock.wall() - self._clock.steady()
        told = sorted(each.middle for each in self._told.values())
        clocks = sorted([*told, here])
        for middle in (clocks[(len(clocks) - 1) // 2], clocks[len(clocks) // 2]):
            near = [each for each in clocks if abs(each - middle) <= MOST_CLOCKS_APART]
            if 2 * len(near) > len(primaries) + 1:
                # This machine's clock counts for the majority only: the servers tell the time.
                servers = [each for each in told if abs(each - middle) <= MOST_CLOCKS_APART]
                self._offset = servers[(len(servers) - 1) // 2]
                return

    def _report(self) -> None:
        """Log which clocks became wrong, once for each time."""
        if self._offset is None:
            return
        for node, told in self._told.items():
            ahead = told.middle - self._offset
            if abs(ahead) <= CLOCK_TOLERANCE:
                self._wrong.discard(node)
            elif node not in self._wrong:
                self._wrong.add(node)
                logger.warning(
                    "the clock of %s is %.0f s %s what most clocks agree on, and is not used",
                    node,
                    abs(ahead),
                    "ahead of" if ahead > 0 else "behind",
                )
