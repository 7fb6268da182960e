"""Pinned shortfalls: scenarios that exceed the bound on amplification, and by how much.

A shortfall is known: the tests fail when it grows, and the number here goes down when it shrinks.
"""

from .invariants import MOST_AMPLIFIED, MOST_SECONDS

PROCESSES, SAMPLED, SECONDS = 100, 10, 16.0
"""The short form: with which numbers these were found, at 50 verifies a second and process."""
SHORTFALLS: dict[str, tuple[float, float]] = {
    # What was read from the lost primary is read again from its successor, at first by all those
    # who have waited. Until then everybody looks for it.
    "failover": (4.5, 5.0),
    "replaced": (5.4, 5.0),
    # Each primary that takes an epoch has to fill its journal anew, which everybody reads.
    "moved-around": (2.5, 5.0),
    # New processes know nothing.
    "deploy": (2.6, 5.0),
}
"""For each scenario, the peak in steady loads, and the seconds until the load is back."""
NEAR: dict[str, tuple[float, float]] = {
    # Leases of a few seconds ago have run out; the connections open again one by one.
    "cut-off": (2.5, 5.0),
}
"""Scenarios that are at the bound, by a little more or less: the same figures."""


def bounds(name: str) -> tuple[float, float]:
    """The highest peak and the longest time that scenario ``name`` may have."""
    peak, seconds = {**SHORTFALLS, **NEAR}.get(name, (0.0, 0.0))
    return max(MOST_AMPLIFIED, peak), max(MOST_SECONDS, seconds)
