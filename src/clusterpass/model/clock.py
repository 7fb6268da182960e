"""A clock that never jumps and that goes on while the machine sleeps."""

import time
from collections.abc import Callable
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
"""Seconds since some moment in the past."""
