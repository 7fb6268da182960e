"""``clusterpass users``: the directory of users, for an administrator."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from clusterpass.cli.store import config_option, counted, open_sessions, printable
from clusterpass.model.errors import InvalidInput
from clusterpass.users.sync.directory import UserDirectory

_from_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of the input."
)


@click.group()
@config_option
@click.pass_context
def users(context: click.Context, config: Path | None) -> None:
    """Add, list, disable and enable users."""
    context.obj = config


@users.command()
@click.argument("name")
@_from_stdin
@click.pass_obj
def add(config: Path | None, name: str, password_stdin: bool) -> None:
    """Add the user NAME."""
    password = _new_password(from_stdin=password_stdin)
    with _directory(config) as directory:
        directory.add(name, password)
    click.echo(f"added {printable(name)}")


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one list of objects.")
@click.pass_obj
def list_users(config: Path | None, as_json: bool) -> None:
    """List all users by name."""
    with _directory(config) as directory:
        found = directory.list()
    if as_json:
        entries = [
            {"name": user.name, "disabled": user.disabled, "created_at": user.created_at}
            for user in found
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    for user in found:
        since = datetime.fromtimestamp(user.created_at, UTC).strftime("%Y-%m-%d")
        state = "disabled" if user.disabled else "enabled"
        click.echo(f"{printable(user.name)}\t{state}\tsince {since}")


@users.command()
@click.argument("name")
@click.pass_obj
def disable(config: Path | None, name: str) -> None:
    """Refuse NAME from now on and end all sessions of NAME."""
    with _directory(config) as directory:
        ended = directory.disable(name)
    click.echo(f"disabled {printable(name)}, ended {counted(ended.count, 'session')}")


@users.command()
@click.argument("name")
@click.pass_obj
def enable(config: Path | None, name: str) -> None:
    """Admit NAME again."""
    with _directory(config) as directory:
        directory.enable(name)
    click.echo(f"enabled {printable(name)}")


@users.command()
@click.argument("name")
@_from_stdin
@click.pass_obj
def passwd(config: Path | None, name: str, password_stdin: bool) -> None:
    """Set another password for NAME and end all sessions of NAME."""
    password = _new_password(from_stdin=password_stdin)
    with _directory(config) as directory:
        ended = directory.set_password(name, password)
    click.echo(
        f"changed the password of {printable(name)}, ended {counted(ended.count, 'session')}"
    )


@contextmanager
def _directory(config: Path | None) -> Iterator[UserDirectory]:
    with open_sessions(config) as sessions:
        yield UserDirectory(sessions)


def _new_password(*, from_stdin: bool) -> str:
    if not from_stdin:
        prompted: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return prompted
    try:
        line = sys.stdin.buffer.readline(4096).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("the password on the standard input is not UTF-8") from None
    return line.removesuffix("\n").removesuffix("\r")
