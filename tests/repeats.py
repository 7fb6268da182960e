"""Tests of servers that have failed in a whole run are repeated by themselves, once, and told.

Such a test starts processes, stops and kills them, and waits for what others do; on cores that are
busy with dozens of servers, one of some thousand misses a deadline now and then, or trips over what
another one has left in its process. ``make test`` calls ``python -m tests.repeats STATUS`` after a
run that has failed: what has failed is run again, in a process of its own on a machine that is
quiet by then, and the status of that is the status of the run.

What computes, and starts nothing, is never repeated, nor are more than :data:`MOST` tests.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

MOST: Final = 5
_NEVER: Final = ("tests/unit/", "tests/security/", "tests/journal_model/")
_KEPT: Final = "clusterpass/failed"


def why_not(failed: list[str]) -> str | None:
    """Why the tests of these ids are not repeated; None: they are."""
    if not failed:
        return "no test has failed, but the run"
    if len(failed) > MOST:
        return f"more than {MOST} tests have failed"
    computing = [each for each in failed if each.startswith(_NEVER)]
    return f"{computing[0]} starts no servers" if computing else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep the ids of what has failed; workers of pytest-xdist leave that to their controller."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    cache = getattr(session.config, "cache", None)  # there is none with -p no:cacheprovider
    if reporter is None or cache is None or hasattr(session.config, "workerinput"):
        return
    reports = [*reporter.stats.get("failed", []), *reporter.stats.get("error", [])]
    cache.set(_KEPT, list(dict.fromkeys(report.nodeid for report in reports)))


def repeat(status: int, root: Path) -> int:
    """Run what has failed in the run that ended with ``status`` again; return the status of that.

    ``root``: the folder of the run.
    """
    kept = root / ".pytest_cache/v" / _KEPT
    failed = json.loads(kept.read_text()) if status == pytest.ExitCode.TESTS_FAILED else []
    if reason := why_not(failed):
        print(f"Nothing is repeated: {reason}.")
        return status
    print("Once more, by themselves, as they have failed:", *failed, sep="\n  ", flush=True)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *failed], cwd=root, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(repeat(int(sys.argv[1]), Path.cwd()))
