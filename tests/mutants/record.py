"""Records which tests execute a line, once for each test file; kept until the code changes."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .layers import PACKAGE, recorded_tests
from .process import run_limited
from .record_plugin import SECONDS
from .recorded import LONGEST_TEST, Recorded
from .scratch_copy import ScratchCopy, cache_folder, digest_of

LONGEST_FILE = 240.0
"""Seconds; a file that takes longer is left out."""


def record(
    copy: ScratchCopy,
    folders: Sequence[str],
    *,
    longest_file: float = LONGEST_FILE,
    say: Any = print,
) -> Recorded:
    """The recording of the tests in some folders; runs only the test files that have none yet.

    ``longest_file``: seconds for one file. A file that took longer once is tried again when it is
    given more time than then.
    """
    whole = Recorded()
    tree = copy.tree
    files = [one for one in (tree / "tests").rglob("*.py") if "mutants" not in one.parts]
    helpers = [one for one in files if not one.name.startswith("test_")]
    code = [one for one in (tree / PACKAGE).rglob("*") if one.suffix in {".py", ".lua"}]
    common = digest_of(tree, [*code, *helpers])
    for test_file in recorded_tests(tree, folders):
        digest = digest_of(tree, [tree / test_file])
        cached = cache_folder() / f"{common[:16]}-{digest[:16]}.json"
        recorded = json.loads(cached.read_text()) if cached.exists() else None
        if recorded is None or recorded.get("ended_after", longest_file) < longest_file:
            say(f"recording {test_file}", flush=True)
            recorded = _record_file(copy, test_file, longest_file)
            _keep(cached, recorded)
        if not recorded["seconds"]:
            late = recorded.get("ended_after")
            why = "no test passed" if late is None else f"it took longer than {late:.0f} seconds"
            say(f"{test_file} plays no part: {why}", flush=True)
        _add(whole, recorded)
    return whole


def _keep(cached: Path, recorded: dict[str, Any]) -> None:
    """Written at once, as another run may be reading it."""
    new = cached.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(recorded))
    new.replace(cached)


def _record_file(copy: ScratchCopy, test_file: str, longest_file: float) -> dict[str, Any]:
    folder = copy.tree.parent
    data_file, seconds_file = folder / "coverage", folder / "seconds.json"
    for left in (data_file, seconds_file):
        left.unlink(missing_ok=True)
    command = [sys.executable, "-m", "coverage", "run", f"--data-file={data_file}"]
    command += [f"--source={copy.tree / PACKAGE}", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.mutants.record_plugin", "-o", f"timeout={LONGEST_TEST}", test_file]
    environment = {**copy.environment(), SECONDS: str(seconds_file)}
    status, _ = run_limited(command, cwd=copy.tree, environment=environment, seconds=longest_file)
    if status is None:
        return {"seconds": {}, "lines": {}, "ended_after": longest_file}
    if not (seconds_file.exists() and data_file.exists()):
        return {"seconds": {}, "lines": {}}
    seconds: dict[str, float] = json.loads(seconds_file.read_text())
    numbers = {test: number for number, test in enumerate(seconds)}
    from coverage import CoverageData  # here, as only an extra installs it

    measured = CoverageData(str(data_file))
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
