"""The two clocks of this machine: a monotonic one for intervals, and the wall clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final


def _steady_clock() -> Callable[[], float]:
    # Linux stops CLOCK_MONOTONIC while the machine is suspended, so entries cached before the
    # suspension would look fresh after it. Other systems offer nothing better than monotonic().
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    if boot_time is None:
        return time.monotonic
    return partial(time.clock_gettime, boot_time)


steady_seconds: Final = _steady_clock()
"""Seconds of a monotonic clock that keeps running while the machine is suspended."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Both clocks, injected so that decisions can be tested.

    The store's own time is not among them; each reply of the store carries it.
    """

    steady: Callable[[], float] = steady_seconds
    """Returns seconds of the monotonic clock."""
    wall: Callable[[], float] = time.time
    """Returns seconds since the epoch, by this machine's clock."""
    is_simulated: bool = False
    """Whether this is the clock of a test, which sets the time of the store as well."""


class _InUse:
    clock = Clock()


def clock_in_use(*, for_tests: bool) -> Clock:
    """The clock of a store or a manager that is made now.

    ``for_tests``: whether its namespace is one for tests; the clock of a test is for these alone.
    """
    clock = _InUse.clock
    return clock if for_tests or not clock.is_simulated else Clock()


def use_clock(clock: Clock) -> Clock:
    """Give ``clock`` to the stores and managers that are made from now on; return the former."""
    former, _InUse.clock = _InUse.clock, clock
    return former


def clocks_differ(milliseconds: int) -> str:
    """The message of a StoreUnavailable with the reason ``clock``.

    ``milliseconds``: by how much the server's clock is ahead of this machine's.
    """
    where = "ahead of" if milliseconds > 0 else "behind"
    return (
        f"The clock of a server of the session store is {abs(milliseconds) / 1000:,.0f} s {where}"
        " the clock of this machine; nothing was changed. Synchronise both by NTP."
    )
