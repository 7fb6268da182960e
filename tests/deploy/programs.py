"""Programs that judge the files of ``deploy/``: of the environment, and of the system."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
REQUIRED_VARIABLE = "REQUIRE_LINTERS"
"""Set by make: a linter that is missing fails the tests."""
OPTIONAL = {"buildah", "helm", "mmdebstrap", "redis-cli", "strace", "systemd-analyze"}
"""Programs that no package of the index and no package of every Debian brings."""


def program(name: str) -> str:
    """The path of a program; the test is skipped where it is missing, or fails under make."""
    places = (
        str(Path(sys.executable).parent),
        os.environ.get("PATH", ""),
        str(Path.home() / "go/bin"),
    )
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        if os.environ.get(REQUIRED_VARIABLE) and name not in OPTIONAL:
            pytest.fail(f"{name} is missing; `make test-setup` installs it")
        pytest.skip(f"{name} is not installed")
    return found


def run(name: str, *arguments: object, **options: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said, whatever its exit status."""
    return subprocess.run(
        [program(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        input=options.get("text_in"),
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """All that a program said."""
    return done.stdout + done.stderr
