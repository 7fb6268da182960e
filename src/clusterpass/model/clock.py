"""The clocks of this machine: one that never jumps, and one that tells the time of day."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final


def _steady_clock() -> Callable[[], float]:
    # Linux stops CLOCK_MONOTONIC while the machine is suspended; what was known before would then
    # be taken for fresh. Elsewhere the monotonic clock is the best there is.
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    if boot_time is None:
        return time.monotonic
    return partial(time.clock_gettime, boot_time)


steady_seconds: Final = _steady_clock()
"""Seconds since some moment in the past; goes on while the machine sleeps."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Both clocks, as decisions are handed them. The store's own time comes with its answers."""

    steady: Callable[[], float] = steady_seconds
    """Seconds of a clock that never jumps."""
    wall: Callable[[], float] = time.time
    """Seconds since the epoch, by this machine's clock."""
