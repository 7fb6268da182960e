"""Commands over the real cluster; each test has its own namespace.

- ``process`` runs a command as a process of its own; ``run`` calls the same entry point in this
  one, which is quicker.
- There is no keys file: none may be needed.
"""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusterpass import Config, KeyRing, SessionManager
from clusterpass.cli import main

from ..service.conftest import COMMAND, command_environment

NOBODY_LISTENS = "redis+cluster://127.0.0.1:1"
IMPATIENT = f"{NOBODY_LISTENS}?timeout=0.3&deadline=0.5"
"""The store is away, and nobody waits for it long."""


@pytest.fixture
def url(cluster_url: str, subject: str) -> str:
    """A namespace of its own: lists show everybody."""
    return f"{cluster_url}?namespace=cli-{subject}"


@pytest.fixture
def manager(url: str) -> Iterator[SessionManager]:
    config = Config(issuer="https://cli.example", keys=KeyRing.generate())
    with SessionManager.from_url(url, config) as opened:
        yield opened


@pytest.fixture
def process(url: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command to its end, as a process."""

    def ran(
        *arguments: str | bytes, text_in: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=command_environment(url, tmp_path / "no-keys.json", **environment),
            input=text_in,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
            cwd=tmp_path,
        )

    return ran


@pytest.fixture
def run(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command to its end, in this process."""

    def ran(
        *arguments: str, text_in: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patched:
            patched.chdir(tmp_path)
            for name in [name for name in os.environ if name.startswith("CLUSTER")]:
                patched.delenv(name)
            for name, value in command_environment(
                url, tmp_path / "no-keys.json", **environment
            ).items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["clusterpass", *arguments])
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text_in.encode()), "utf-8"))
            capsys.readouterr()
            with pytest.raises(SystemExit) as end:
                main()
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, end.value.code, shown.out, shown.err)

    return ran


def assert_refused(outcome: subprocess.CompletedProcess[str], *, saying: str) -> None:
    """One sentence on the standard error, status 1, nothing else."""
    assert (outcome.returncode, outcome.stdout) == (1, ""), outcome.stderr
    assert outcome.stderr.startswith("clusterpass: ")
    assert outcome.stderr.count("\n") == 1
    assert saying in outcome.stderr
