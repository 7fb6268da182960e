"""Trials of one mutant: runs of the tests over the changed code, and the verdict.

A mutant is found when a test fails over the changed code and passes over the unchanged code right
after. It is also found when the run takes too long or ends with an unusual exit status, and the
same run over the unchanged code passes.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .chosen_plugin import CHOSEN, LAST
from .layers import needs_cluster
from .mutant import Mutant
from .process import run_limited
from .recorded import LONGEST_TEST, Recorded
from .scratch_copy import ScratchCopy

PASSED, TESTS_FAILED, NONE_COLLECTED = 0, 1, 5


@dataclass(frozen=True, slots=True)
class Run:
    """The end of a run of pytest."""

    status: int | None
    """None: it was killed because it took too long."""
    last: str
    """The test that began last; empty when none did."""
    output: str

    @property
    def is_quiet(self) -> bool:
        """Whether no test noticed anything. A run that collects no test is no finding."""
        return self.status in {PASSED, NONE_COLLECTED}

    def describe(self) -> str:
        """Name the test that noticed the change, and how if it did not simply fail."""
        if self.status == TESTS_FAILED and self.last:
            return self.last
        how = "too slow" if self.status is None else f"exit status {self.status}"
        return f"{self.last or 'before any test'} ({how}) {self.output}".strip()


class Verdict(StrEnum):
    """The verdict on a mutant."""

    FOUND = "found"
    HANGS = "found: the tests hang"
    SURVIVED = "survived"
    DOUBTFUL = "survived: what failed also fails without the change"
    NO_TEST = "survived: no test runs the line"
    NONE = "no mutant: cannot be generated"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A mutant, what the tests said, and how long they took."""

    layer: str
    mutant: Mutant
    verdict: Verdict
    found_by: str = ""
    tests: int = 0
    seconds: float = 0.0

    @property
    def is_found(self) -> bool:
        """Whether some test noticed the change."""
        return self.verdict in {Verdict.FOUND, Verdict.HANGS}


def try_mutant(
    copy: ScratchCopy, recorded: Recorded, layer: str, mutant: Mutant, tests: Sequence[str]
) -> Outcome:
    """Runs the tests over the changed code until one fails that passes without the change."""
    began = time.monotonic()
    if not tests:
        return Outcome(layer, mutant, Verdict.NO_TEST)
    verdict, found_by = _search(copy, recorded, mutant, tests)
    return Outcome(layer, mutant, verdict, found_by, len(tests), time.monotonic() - began)


def _search(
    copy: ScratchCopy, recorded: Recorded, mutant: Mutant, tests: Sequence[str]
) -> tuple[Verdict, str]:
    verdict = Verdict.SURVIVED
    for with_cluster in (False, True):
        remaining = [one for one in tests if needs_cluster(one) == with_cluster]
        while remaining:
            with copy.changed(mutant) as is_written:
                if not is_written:
                    return Verdict.NONE, ""
                run = run_pytest(copy, recorded, remaining)
                # A test over a cluster may fail for another reason on a busy machine: ask again.
                is_steady = run.is_quiet or not (
                    with_cluster
                    and run.status == TESTS_FAILED
                    and run_pytest(copy, recorded, [run.last] if run.last else remaining).is_quiet
                )
            if run.is_quiet:
                break
            if is_steady:
                # A failure has one test. Whether a run is too slow or breaks off, all of it tells.
                failed = run.status == TESTS_FAILED and run.last
                finders = [run.last] if failed else remaining
                if run_pytest(copy, recorded, finders).status == PASSED:
                    hangs = run.status is None
                    return Verdict.HANGS if hangs else Verdict.FOUND, run.describe()
                verdict = Verdict.DOUBTFUL
            remaining = after(remaining, run.last)
    return verdict, ""


def after(tests: Sequence[str], last: str) -> list[str]:
    """The tests behind ``last``, which is one of them or in one of them when that is a file."""
    for number, test in enumerate(tests, 1):
        if last == test or last.startswith(f"{test}::"):
            return list(tests[number:])
    return []


def run_pytest(copy: ScratchCopy, recorded: Recorded, tests: Sequence[str]) -> Run:
    """Runs tests, or all tests of files, one after the other until one fails."""
    names, last = copy.tree.parent / "tests.txt", copy.tree.parent / "last.txt"
    names.write_text("\n".join(tests))
    last.write_text("")
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no"]
    command += ["-p", "no:cacheprovider", "-p", "tests.mutants.chosen_plugin"]
    command += ["-o", f"timeout={LONGEST_TEST}", *files]
    environment = {**copy.environment(), CHOSEN: str(names), LAST: str(last)}
    expected = sum(recorded.seconds.get(test, 30.0) for test in tests)
    status, output = run_limited(
        command, cwd=copy.tree, environment=environment, seconds=60 + 4 * expected
    )
    return Run(status, last.read_text(), output[-200:].strip())
