"""The commands for keys in the store: calls of the manager, and output."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clusterpass.cli import COMMANDS, stored_keys
from clusterpass.cli.group import make_group
from clusterpass.tokens.managed_keys import ManagedKey

from .cli_terminal import AT, SHOWN, Manager

KEY = ManagedKey("-kid", "EdDSA", "active", 1, AT, None, None)
OLD = ManagedKey("old", "ES256", "passive", 1, AT, 2, AT)
FILE = Path("settings.toml")


class Terminal:
    """Runs the commands over a manager that answers as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.opened: list[tuple[str, Path | None]] = []
        keys = (KEY, OLD)
        answers = {
            "keys.list": keys,
            "keys.rotate": keys,
            "keys.revoke": keys,
            "keys.rotate_refresh_secret": "made-id",
        }
        manager = Manager(answers, self.asked)

        def opening(name: str) -> Any:
            @contextmanager
            def opened(config: Path | None) -> Iterator[Any]:
                self.opened.append((name, config))
                yield manager

            return opened

        for name in ("open_with_keys", "open_sessions"):
            monkeypatch.setattr(stored_keys, name, opening(name))

    def run(self, *arguments: str, typed: str = "") -> Result:
        group = make_group(COMMANDS, version="1")
        given = ["keys", *arguments, "--config", str(FILE)]
        return CliRunner().invoke(group, given, input=typed, prog_name="clusterpass")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["list"], ("keys.list", (), {})),
        (["rotate"], ("keys.rotate", (), {})),
        (["revoke", "-kid", "--yes"], ("keys.revoke", ("-kid",), {})),
    ],
)
def test_the_keys_are_shown_after_each_command(
    terminal: Terminal, arguments: list[str], asked: Any
) -> None:
    outcome = terminal.run(*arguments)
    assert outcome.exit_code == 0, outcome.output
    assert (terminal.asked, terminal.opened) == ([asked], [("open_with_keys", FILE)])
    head, first, second = outcome.stdout.splitlines()
    assert re.split(r" {2,}", head.lower()) == [
        "kid",
        "algorithm",
        "state",
        "signs from",
        "verifies until",
    ]
    assert first.split("  ")[0] == "-kid"
    assert (first.count(SHOWN), second.count(SHOWN)) == (1, 2)
    assert [key["kid"] for key in json.loads(terminal.run(*arguments, "--json").stdout)] == [
        "-kid",
        "old",
    ]


def test_a_key_is_revoked_after_a_question(terminal: Terminal) -> None:
    assert terminal.run("revoke", "kid", typed="n\n").exit_code == 1
    assert terminal.asked == []
    outcome = terminal.run("revoke", "kid", typed="y\n")
    assert "Refuse every access token of the key kid" in outcome.output
    assert terminal.asked == [("keys.revoke", ("kid",), {})]


@pytest.mark.parametrize("retires", [True, False])
def test_a_refresh_secret_is_made_and_the_others_retired_after_a_question(
    terminal: Terminal, retires: bool
) -> None:
    more = ["--retire-others"] if retires else []
    if retires:
        assert terminal.run("rotate-refresh-secret", *more, typed="n\n").exit_code == 1
        assert terminal.asked == []
    outcome = terminal.run("rotate-refresh-secret", *more, typed="y\n")
    assert outcome.stdout == "made the refresh secret made-id\n"
    told = ("keys.rotate_refresh_secret", (), {"retire_others": retires})
    assert (terminal.asked, terminal.opened[-1]) == ([told], ("open_sessions", FILE))
    as_json = terminal.run("rotate-refresh-secret", *more, "--yes", "--json")
    assert json.loads(as_json.stdout) == {"id": "made-id", "others_retired": retires}
