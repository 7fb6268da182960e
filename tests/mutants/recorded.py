"""Which tests execute a line: recorded once for each test file, and kept until the code changes."""

import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import coverage

from .layers import LAYERS, PACKAGE, recorded_tests
from .process import run_limited
from .record_plugin import SECONDS
from .scratch_copy import ScratchCopy, cache_folder, digest_of

LONGEST_FILE = 240.0  # seconds; a file that takes longer is left out
LONGEST_TEST = 60


@dataclass(slots=True)
class Recorded:
    """The tests that passed, how long each took, and the lines that each executed."""

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[int, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )

    def of_lines(self, path: str, lines: tuple[int, ...]) -> set[str]:
        """The tests that executed one of the lines."""
        of_file = self.tests.get(path, {})
        return {test for line in lines for test in of_file.get(line, ())}

    def of_file(self, path: str) -> set[str]:
        """The tests that executed anything in the file."""
        return {test for tests in self.tests.get(path, {}).values() for test in tests}

    def in_files(self, files: tuple[str, ...]) -> set[str]:
        """All recorded tests of some test files."""
        return {test for test in self.seconds if test.split("::")[0] in files}


def record(copy: ScratchCopy, *, say: Any = print) -> Recorded:
    """The recording of the tree; runs only those test files that have none yet."""
    whole = Recorded()
    tree = copy.tree
    files = [one for one in (tree / "tests").rglob("*.py") if "mutants" not in one.parts]
    helpers = [one for one in files if not one.name.startswith("test_")]
    code = [one for one in (tree / PACKAGE).rglob("*") if one.suffix in {".py", ".lua"}]
    common = digest_of(tree, [*code, *helpers])
    for test_file in recorded_tests(tree):
        digest = digest_of(tree, [tree / test_file])
        cached = cache_folder() / f"{common[:16]}-{digest[:16]}.json"
        if not cached.exists():
            say(f"recording {test_file}", flush=True)
            cached.write_text(json.dumps(_record_file(copy, test_file)))
        _add(whole, json.loads(cached.read_text()))
    return whole


def _record_file(copy: ScratchCopy, test_file: str) -> dict[str, Any]:
    folder = copy.tree.parent
    data_file, seconds_file = folder / "coverage", folder / "seconds.json"
    for left in (data_file, seconds_file):
        left.unlink(missing_ok=True)
    command = [sys.executable, "-m", "coverage", "run", f"--data-file={data_file}"]
    command += [f"--source={copy.tree / PACKAGE}", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.mutants.record_plugin", "-o", f"timeout={LONGEST_TEST}", test_file]
    environment = {**copy.environment(), SECONDS: str(seconds_file)}
    run_limited(command, cwd=copy.tree, environment=environment, seconds=LONGEST_FILE)
    if not (seconds_file.exists() and data_file.exists()):
        return {"seconds": {}, "lines": {}}
    seconds: dict[str, float] = json.loads(seconds_file.read_text())
    numbers = {test: number for number, test in enumerate(seconds)}
    measured = coverage.CoverageData(str(data_file))
    measured.read()
    lines = {
        os.path.relpath(file, copy.tree): {
            line: [numbers[test] for test in tests if test in numbers]
            for line, tests in measured.contexts_by_lineno(file).items()
        }
        for file in measured.measured_files()
    }
    return {"seconds": seconds, "lines": lines}


def _add(whole: Recorded, recorded: dict[str, Any]) -> None:
    whole.seconds.update(recorded["seconds"])
    tests = list(recorded["seconds"])
    for path, lines in recorded["lines"].items():
        for line, numbers in lines.items():
            whole.tests[path][int(line)].update(tests[number] for number in numbers)


def fallback_tests(layer: str) -> tuple[str, ...]:
    """Test files for code that no recorded test executes in its own process."""
    return LAYERS[layer].fallback
