"""The verdict on the runs of a campaign: violations, and figures as text."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .history import History
from .lifelines import Violation

_AFTERMATH = 10.0
"""Seconds for which a fault is worth naming."""
_MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checker's findings on one run."""

    history: History
    violations: list[Violation]
    counted: list[dict[str, Any]]
    seconds: float
    trail: list[str] = field(default_factory=list)
    """What is wrong with the audit trail."""


@dataclass(slots=True)
class Total:
    """The sum over several runs, whose histories are not kept."""

    operations: int = 0
    seconds: float = 0.0
    violations: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """Count one."""
        self.operations += len(verdict.history.operations)
        self.seconds += verdict.seconds
        self.violations += len(verdict.violations) + len(verdict.trail)
        self.outcomes += Counter(
            (each.verb, "journaled" if each.journaled else each.outcome or "killed")
            for each in verdict.history.operations
        )
        self.faults += Counter(each.name for each in verdict.history.faults)

    def lines(self) -> list[str]:
        """For people."""
        found = [
            f"{self.operations:,} operations, {self.faults.total()} faults in"
            f" {self.seconds:.0f} s ({self.operations / max(1, self.seconds):,.0f} a second):"
            f" {self.violations} violations",
            "faults: "
            + ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items())),
        ]
        for verb in sorted({verb for verb, _ in self.outcomes}):
            told = {o: n for (v, o), n in sorted(self.outcomes.items()) if v == verb}
            words = ", ".join(f"{name} {count:,}" for name, count in told.items())
            found.append(f"{verb}: {words}")
        return found


def summary(verdict: Verdict) -> str:
    """The figures of one run, and its violations."""
    total = Total()
    total.add(verdict)
    return "\n".join([*total.lines(), *details(verdict)])


def details(verdict: Verdict) -> list[str]:
    """Return the counters of each process, and the violations."""
    lines = [str(each) for each in verdict.counted]
    lines += [f"audit trail: {each}" for each in verdict.trail]
    kinds = Counter(each.promise for each in verdict.violations)
    lines += [f"{count} times: {promise}" for promise, count in kinds.most_common()]
    for each in verdict.violations[:_MOST_TOLD]:
        lines.append(f"{each}; {_faults_before(verdict.history, each)}")
    return lines


def _faults_before(history: History, violation: Violation) -> str:
    """Return the faults that came shortly before, or were in progress."""
    at = violation.operation.began
    near = [
        f"{fault.name} from {fault.began:.3f} to {fault.ended:.3f} ({fault.detail})"
        for fault in history.faults
        if fault.began <= at <= fault.ended + _AFTERMATH
    ]
    return f"faults: {', '.join(near) or 'none'}"
