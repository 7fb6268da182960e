"""Whether the tests find one mutant."""

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .chosen_plugin import CHOSEN
from .layers import needs_cluster
from .mutant import Mutant
from .process import run_limited
from .recorded import LONGEST_TEST, Recorded
from .scratch_copy import ScratchCopy

FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::.*?)?)(?: - .*)?$", re.MULTILINE)


class Verdict(StrEnum):
    """What became of a mutant."""

    FOUND = "found"
    HANGS = "found: the tests hang"
    SURVIVED = "survived"
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
    """Runs the tests over the changed code until one fails."""
    began = time.monotonic()
    if not tests:
        return Outcome(layer, mutant, Verdict.NO_TEST)
    with copy.changed(mutant) as is_written:
        if not is_written:
            return Outcome(layer, mutant, Verdict.NONE)
        verdict, found_by = _run(copy, recorded, tests)
    return Outcome(layer, mutant, verdict, found_by, len(tests), time.monotonic() - began)


def _run(copy: ScratchCopy, recorded: Recorded, tests: Sequence[str]) -> tuple[Verdict, str]:
    for with_cluster in (False, True):
        remaining = [one for one in tests if needs_cluster(one) == with_cluster]
        while remaining:
            status, failed = _pytest(copy, recorded, remaining)
            if status is None:
                return Verdict.HANGS, ""
            if status in {0, 5}:
                break
            # A test over a cluster may fail for another reason on a busy machine: ask again.
            if not (with_cluster and failed in remaining):
                return Verdict.FOUND, failed
            again, _ = _pytest(copy, recorded, [failed])
            if again != 0:
                return Verdict.FOUND, failed
            remaining = remaining[remaining.index(failed) + 1 :]
    return Verdict.SURVIVED, ""


def _pytest(copy: ScratchCopy, recorded: Recorded, tests: Sequence[str]) -> tuple[int | None, str]:
    names = Path(copy.tree.parent) / "tests.txt"
    names.write_text("\n".join(tests))
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-rfE"]
    command += ["-p", "no:cacheprovider", "-p", "tests.mutants.chosen_plugin"]
    command += ["-o", f"timeout={LONGEST_TEST}", *files]
    environment = {**copy.environment(), CHOSEN: str(names)}
    expected = sum(recorded.seconds.get(test, 30.0) for test in tests)
    status, output = run_limited(
        command, cwd=copy.tree, environment=environment, seconds=60 + 4 * expected
    )
    found = FAILED.search(output)
    return status, found.group(1) if found else output[-200:].strip()
