"""Measures one app: starts it, visits it, checks it, and takes its store away."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.apps import lines, packages, trips
from benchmarks.apps.candidates import Candidate
from benchmarks.apps.check_access import ACCESS
from benchmarks.apps.check_endings import ENDINGS
from benchmarks.apps.check_runner import Outcome, carry_out
from benchmarks.apps.serving import serve
from benchmarks.apps.visitor import visiting
from clusterpass import EmbeddedCluster

CHECKS = {**ACCESS, **ENDINGS}
"""In the order of the table; the outage comes last."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One column of the table: everything that was measured of one app."""

    candidate: Candidate
    lines: lines.Lines
    packages: int
    client: trips.Visit
    browser: trips.Visit
    heard_after: float
    """Seconds."""
    outcomes: Mapping[str, Outcome]

    @property
    def passed(self) -> int:
        """The number of checks it passes."""
        return sum(outcome.mark == "yes" for outcome in self.outcomes.values())


def measure(candidate: Candidate, cluster: EmbeddedCluster) -> Measured:
    """``candidate`` on two servers over ``cluster``, which is paused for the check of an outage."""
    with serve(candidate, cluster) as served:
        with visiting(served) as visitor:
            client, browser = trips.of_client(visitor), trips.of_browser(visitor)
            heard_after = trips.heard_after(visitor)
        outcomes = carry_out(served, CHECKS)
    return Measured(
        candidate=candidate,
        lines=lines.count(candidate),
        packages=packages.count(candidate.requirements),
        client=client,
        browser=browser,
        heard_after=heard_after,
        outcomes=outcomes,
    )
