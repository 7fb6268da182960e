"""Writes a manual page (section 1) for each command, from the help of the commands.

``python scripts/generate_man.py FOLDER`` writes ``clusterpass.1``, ``clusterpass-doctor.1`` and so
on. The pages bear the date SOURCE_DATE_EPOCH, by default that of the last change of CHANGELOG.md.
"""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from clusterpass import __version__
from clusterpass.cli import COMMANDS
from clusterpass.cli.exit_status import MEANINGS
from clusterpass.cli.group import make_group

ROOT = Path(__file__).parents[1]
_EXAMPLE_LINE = re.compile(r"^  (.*)$", re.MULTILINE)


def pages() -> dict[str, str]:
    """The text of each page by the name of its file."""
    group = make_group(COMMANDS, version=__version__)
    return dict(_pages_of(group, "clusterpass", None))


def _pages_of(
    command: click.Command, path: str, parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    context = click.Context(command, parent=parent, info_name=path.rsplit(" ", 1)[-1])
    children: dict[str, click.Command] = {}
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                children[name] = child
    yield f"{path.replace(' ', '-')}.1", "\n".join(_page(command, path, context, children)) + "\n"
    for name, child in children.items():
        yield from _pages_of(child, f"{path} {name}", context)


def _page(
    command: click.Command, path: str, context: click.Context, children: dict[str, click.Command]
) -> Iterator[str]:
    name = path.replace(" ", "-")
    about = command.get_short_help_str(limit=200).rstrip(".")
    yield f".TH {name.upper()} 1 {_date()} {_quoted(f'ClusterPass {__version__}')}"
    yield from (".SH NAME", rf"{_text(name)} \- {_text(about[:1].lower() + about[1:])}")
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", f".B {_text(path)}", _text(usage))
    yield from (".SH DESCRIPTION", *_paragraphs(command.help or ""))
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        yield ".SH OPTIONS"
        for options, text in records:
            yield from (".TP", f".B {_text(options)}", _text(" ".join(text.split())))
    if children:
        yield ".SH COMMANDS"
        for child_name, child in children.items():
            page = _text(f"{name}-{child_name}")
            yield from (".TP", f".BR {page} (1)", _text(child.get_short_help_str(limit=200)))
    yield ".SH EXIT STATUS"
    for status, meaning in MEANINGS.items():
        yield from (".TP", f".B {int(status)}", _text(f"{meaning.replace('`', '')}."))
    examples = _EXAMPLE_LINE.findall(command.epilog or "")
    if examples:
        yield from (".SH EXAMPLES", ".nf", *map(_text, examples), ".fi")
    if " " in path:
        above = _text(path.rpartition(" ")[0].replace(" ", "-"))
        yield from (".SH SEE ALSO", f".BR {above} (1)")


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(filter(None, text.replace("\b\n", "").split("\n\n"))):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """``text`` for roff: no character of it is a command."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    escaped = escaped.replace("^", r"\(ha").replace("~", r"\(ti").replace("`", r"\(ga")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def _quoted(text: str) -> str:
    return f'"{_text(text)}"'


def _date() -> str:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    moment = int(given) if given else int((ROOT / "CHANGELOG.md").stat().st_mtime)
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def main() -> None:
    """Write the pages into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
