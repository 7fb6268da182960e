"""What the commands over a store share: how it is opened, and how things are printed.

- No token is made or read here: a key of the moment will do, and the real one stays unread.
- What others have written (names, devices, reasons) reaches the terminal without control
  characters, and columns stay columns where characters are as wide as two, or have no width.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from clusterpass.managers.sync.manager import SessionManager
from clusterpass.service.settings.service import load_settings
from clusterpass.tokens.keyring import KeyRing

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """Adds ``--config``, for a group."""
    option = click.option(
        "--config", type=click.Path(path_type=Path), help="A TOML file with settings."
    )
    return option(command)


def json_option(command: Command) -> Command:
    """Adds ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@contextmanager
def open_sessions(config: Path | None) -> Iterator[SessionManager]:
    """A manager for the store of the settings."""
    settings = load_settings(config)
    without_keys = settings.session_config(KeyRing.generate())
    with SessionManager.from_url(settings.store_url.get_secret_value(), without_keys) as sessions:
        yield sessions


def print_json(value: Any) -> None:
    """``value`` as JSON, in ASCII."""
    click.echo(json.dumps(value, indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """``rows`` below ``head``, in columns."""
    shown = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(_width(row[column]) for row in shown) for column in range(len(head))]
    for row in shown:
        cells = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name.ljust(width)}  {printable(value)}")


def printable(text: str) -> str:
    """``text`` with every character that a terminal might obey written as an escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _width(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    return sum(
        0
        if unicodedata.category(character) in ("Mn", "Me")
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def moment(timestamp: int | None) -> str:
    """A time in UTC, to the minute; "-" for None and 0."""
    if not timestamp:
        return "-"
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")


def counted(count: int, noun: str) -> str:
    """Such as "2 sessions"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def confirmed(*, durable: bool) -> str:
    """What is said of a write that no replica has confirmed."""
    return "" if durable else " (not confirmed by a replica)"
