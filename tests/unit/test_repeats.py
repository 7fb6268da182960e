"""The repetition of failed tests at the end of a run, for tests that start servers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repeats import MOST, why_not

ROOT = Path(__file__).parents[2]
TEST = """
import pathlib
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_it(number):
    mark = pathlib.Path(__file__).with_name(f"mark{{number}}")
    if {is_broken} or not mark.exists():
        mark.touch()
        raise AssertionError("the first time")
"""


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (["tests/cluster/test_a.py::test_it[async]", "tests/proxies/test_b.py::test_it"], None),
        (
            ["tests/cluster/test_a.py::test_it", "tests/unit/test_c.py::test_it"],
            "tests/unit/test_c",
        ),
        (["tests/docs/test_site.py::test_it"], None),
        ([f"tests/cluster/test_a.py::test_{number}" for number in range(MOST + 1)], "more than 5"),
        ([], "no test has failed"),
    ],
)
def test_what_is_repeated(failed: list[str], reason: str | None) -> None:
    found = why_not(failed)
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize(
    ("count", "is_broken", "status"), [(2, False, 0), (1, True, 1), (MOST + 1, False, 1)]
)
def test_a_run_that_fails(tmp_path: Path, count: int, is_broken: bool, status: int) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_once.py").write_text(TEST.format(count=count, is_broken=is_broken))
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    first = run("pytest", "-p", "tests.repeats", "--import-mode=importlib")
    assert first.returncode == 1, first.stdout
    uncached = run("pytest", "--collect-only", "-p", "tests.repeats", "-p", "no:cacheprovider")
    assert uncached.returncode == 0, uncached.stdout + uncached.stderr
    again = run("tests.repeats", str(first.returncode))
    assert again.returncode == status, again.stdout + again.stderr
    assert ("tests/test_once.py::test_it[0]\n" in again.stdout) is (count <= MOST)


def test_a_run_that_was_interrupted_is_not_repeated(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.repeats", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.startswith("Nothing is repeated")
