"""A terminal for commands, over session managers that answer from a list."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import clusterpass
from clusterpass.cli import COMMANDS, bans, claims, sessions, users
from clusterpass.cli.group import make_group
from clusterpass.cli.store_connection import Named
from clusterpass.model.bans import Ban
from clusterpass.model.values import (
    Ended,
    Session,
)

AT = 1_700_000_000
SHOWN = "2023-11-14 22:13 UTC"
BAN = Ban(scope="comments", level=2, until=AT, reason="spam", banned_at=AT)
FOREVER = Ban(scope="", level=1, until=None, reason="", banned_at=AT)
ENDED, LATE = Ended(2, durable=True), Ended(1, durable=False)
NOT_CONFIRMED = " (not confirmed by a replica)"


def session(name: str = "alice", session_id: str = "-id", **more: Any) -> Session:
    return Session(
        subject=name,
        session_id=session_id,
        device=None,
        created_at=AT,
        refreshed_at=AT,
        expires_at=AT,
        **more,
    )


class Manager:
    """Says what it was asked; answers what it was given, by the name of the verb."""

    def __init__(self, answers: dict[str, Any], asked: list[Any], path: str = "") -> None:
        self._answers, self._asked, self._path = answers, asked, path

    def __getattr__(self, name: str) -> Any:
        return Manager(self._answers, self._asked, f"{self._path}.{name}".strip("."))

    def __call__(self, *positional: Any, **named: Any) -> Any:
        self._asked.append((self._path, positional, named))
        answer = self._answers[self._path]
        answer = answer.pop(0) if isinstance(answer, Answers) else answer
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Answers(list[Any]):
    """One answer after the other."""


class Terminal:
    """Runs commands over a manager that answers as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[Any] = []
        self.configs: list[Path | None] = []
        manager = Manager(self.answers, self.asked)

        @contextmanager
        def opened(config: Path | None) -> Iterator[Any]:
            self.configs.append(config)
            yield manager

        @contextmanager
        def opened_about(config: Path | None, name: str) -> Iterator[Any]:
            self.configs.append(config)
            yield manager, Named(name)

        for module in (sessions, users):
            monkeypatch.setattr(module, "open_sessions", opened)
        for module in (bans, claims, sessions):
            monkeypatch.setattr(module, "open_about", opened_about)
        monkeypatch.setattr(clusterpass, "UserDirectory", lambda given, **_: nullcontext(given))

    def run(self, *arguments: str, typed: str | bytes | None = None) -> Result:
        group = make_group(COMMANDS, version="1")
        return CliRunner().invoke(group, arguments, input=typed, prog_name="clusterpass")

    def says(self, *arguments: str, typed: str | None = None) -> str:
        outcome = self.run(*arguments, typed=typed)
        assert (outcome.exit_code, outcome.exception) == (0, None), outcome.output
        return outcome.stdout
