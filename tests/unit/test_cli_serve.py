"""``clusterpass serve``: settings that reach the server, messages and early refusals."""

import errno
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clusterpass.cli import COMMANDS
from clusterpass.cli.group import make_group
from clusterpass.service import server
from clusterpass.service.settings.service import Settings


class Server:
    """Notes what it is to serve, and announces that it does."""

    def __init__(self) -> None:
        self.settings: Settings
        self.becomes_small = False

    def __call__(
        self, settings: Settings, *, announce: Callable[[], None], becomes_small: bool
    ) -> None:
        self.settings, self.becomes_small = settings, becomes_small
        announce()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(server, "serve", made)
    monkeypatch.setenv("CLUSTERPASS_PORT", "8001")
    monkeypatch.setenv("CLUSTERPASS_WORKERS", "3")
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(make_group(COMMANDS, version="1"), ["serve", *arguments])


def test_an_option_overrides_the_environment_and_that_the_file(
    started: Server, tmp_path: Path
) -> None:
    file = tmp_path / "service.toml"
    file.write_text('port = 81\nhost = "::1"\nissuer = "https://auth.example"\n')
    outcome = run("--config", str(file), "--port", "8002")
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    chosen = started.settings
    assert (chosen.port, chosen.workers, chosen.host) == (8002, 3, "::1")
    assert chosen.issuer == "https://auth.example"
    assert started.becomes_small, "so that a supervisor keeps little in memory"


def test_the_file_of_the_environment_is_read_unless_an_option_names_another(
    started: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, other = tmp_path / "usual.toml", tmp_path / "other.toml"
    usual.write_text('issuer = "https://usual.example"\n')
    other.write_text('issuer = "https://other.example"\n')
    monkeypatch.setenv("CLUSTERPASS_CONFIG", str(usual))
    assert run().exit_code == 0
    assert started.settings.issuer == "https://usual.example"
    assert run("--config", str(other)).exit_code == 0
    assert started.settings.issuer == "https://other.example"


class Full(io.StringIO):
    """A log whose disk has no room."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_it_serves_where_it_cannot_say_so(started: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    with make_group(COMMANDS, version="1").make_context("clusterpass", ["serve"]) as context:
        context.command.invoke(context)
    assert started.settings.port == 8001


@pytest.mark.parametrize(("workers", "said"), [("1", "1 worker\n"), ("2", "2 workers\n")])
def test_it_says_where_it_listens_on_standard_error(
    started: Server, workers: str, said: str
) -> None:
    outcome = run("--host", "10.0.0.1", "--workers", workers)
    assert outcome.stderr == f"clusterpass: listening on http://10.0.0.1:8001 with {said}"
    assert started.settings.workers == int(workers)


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--workers", "x"], ["more"]])
def test_what_is_no_option_starts_nothing(started: Server, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
    assert not hasattr(started, "settings")


def test_a_package_that_a_worker_would_miss_is_named_before_anything_starts(
    started: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def find(name: str) -> Any:
        asked.append(name)
        return None if name == "python_multipart" else object()

    monkeypatch.setattr("clusterpass.cli.serve.find_spec", find)
    outcome = run()
    assert isinstance(outcome.exception, ModuleNotFoundError)
    assert outcome.exception.name == "python_multipart"
    assert asked == ["argon2", "fastapi", "jinja2", "python_multipart"]
    assert not hasattr(started, "settings")
