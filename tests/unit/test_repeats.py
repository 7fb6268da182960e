"""Tests of servers are repeated once in a whole run, and the run says so; nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repeats import MOST, is_repeated

ROOT = Path(__file__).parents[2]
ONCE = """
import pathlib
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_it(number):
    mark = pathlib.Path(__file__).with_name(f"mark{{number}}")
    if not mark.exists():
        mark.touch()
        raise AssertionError("the first time")
"""


@pytest.mark.parametrize(
    ("nodeid", "wanted"),
    [
        ("tests/cluster/test_revocation.py::test_it[async]", True),
        ("tests/proxies/test_requests.py::test_it", True),
        ("tests/unit/test_leases.py::test_it", False),
        ("tests/docs/test_site.py::test_it", False),
        ("tests/security/test_attacks.py::test_it", False),
    ],
)
def test_what_starts_servers_is_repeated(nodeid: str, wanted: bool) -> None:
    assert is_repeated(nodeid) is wanted


def whole_run(folder: Path, below: str, count: int, *more: str) -> tuple[int, str]:
    """The status and the output of a run of all tests in ``folder``: each fails the first time."""
    (folder / below).mkdir(parents=True)
    (folder / below / "test_once.py").write_text(ONCE.format(count=count))
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.selection", "-p", "tests.repeats", "-q"]
    done = subprocess.run(
        [*command, "--import-mode=importlib", *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("below", "count", "more", "status"),
    [
        ("tests/cluster", 2, (), 0),
        ("tests/cluster", MOST + 1, (), 1),
        ("tests/cluster", 1, ("--everything",), 1),
        ("tests/cluster", 1, ("tests/cluster",), 1),
        ("tests/unit", 1, (), 1),
    ],
)
def test_a_test_that_passes_when_repeated(
    tmp_path: Path, below: str, count: int, more: tuple[str, ...], status: int
) -> None:
    code, output = whole_run(tmp_path, below, count, *more)
    assert code == status, output
    is_told = "failed at first, and were repeated" in output
    assert is_told is (status == 0 or count > MOST)
    if is_told:
        assert "test_once.py::test_it[0] (call): AssertionError: the first time" in output
