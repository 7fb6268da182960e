"""Output helpers of the commands: JSON, aligned tables, and text that is safe for a terminal.

- Names, devices and reasons come from other people, so control characters in them are escaped.
- Columns stay aligned if a character is two cells wide, or has no width.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add the flag ``--json`` to a command, which receives it as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(
        command
    )


def print_json(value: Any) -> None:
    """Print ``value`` as indented JSON in ASCII."""
    click.echo(json.dumps(value, indent=2))


def print_outcome(sentence: str, members: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what a command has done: ``sentence`` for people, ``members`` for programs."""
    if as_json:
        print_json(members)
    else:
        click.echo(sentence)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print ``rows`` in aligned columns below ``head``."""
    shown = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(_width(row[column]) for row in shown) for column in range(len(head))]
    for row in shown:
        cells = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print pairs of a name and a value, one per line, with the values aligned."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"{name.ljust(width)}  {printable(value)}")


def printable(text: str) -> str:
    """``text`` with every character that a terminal might interpret replaced by its escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _width(text: str) -> int:
    """The number of terminal cells that ``text`` occupies."""
    return sum(
        0
        if unicodedata.category(character) in ("Mn", "Me")
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def moment(timestamp: int | None) -> str:
    """A Unix time in UTC, to the minute; "-" for None and 0."""
    if not timestamp:
        return "-"
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")


def counted(count: int, noun: str) -> str:
    """A number with its noun, for example "1 session" or "2 sessions"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def confirmed(*, durable: bool) -> str:
    """The suffix for a message about a write: empty if ``durable``, else that no replica has it."""
    return "" if durable else " (not confirmed by a replica)"
