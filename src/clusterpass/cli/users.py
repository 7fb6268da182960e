"""``clusterpass users``: the built-in user directory, for an administrator."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import (
    confirmed,
    counted,
    json_option,
    moment,
    print_json,
    print_outcome,
    printable,
)
from clusterpass.cli.store_connection import config_option, open_sessions
from clusterpass.cli.value_types import TEXT
from clusterpass.model.errors import InvalidInput, MailFailed

if TYPE_CHECKING:
    from clusterpass import Ended, OneTimeLink, UserDirectory
    from clusterpass.service.mail import MailKind, Sender
    from clusterpass.service.settings.service import Settings

_from_stdin = click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from the first line of standard input instead of asking for it.",
)

_send_to = click.option(
    "--send-to",
    type=TEXT,
    metavar="ADDRESS",
    help="Send the link to this mail address (settings: smtp_host or mail_sender) instead of"
    " printing it.",
)


@click.group()
@config_option
@click.pass_context
def users(context: click.Context, config: Path | None) -> None:
    """Manage the users of the built-in directory, which POST /login checks passwords against."""
    context.obj = config


@users.command(
    epilog=examples(
        "clusterpass users add alice",
        "clusterpass users add alice --password-stdin < password.txt",
    )
)
@click.argument("name")
@_from_stdin
@json_option
@click.pass_obj
def add(config: Path | None, name: str, password_stdin: bool, as_json: bool) -> None:
    """Add the user NAME. The password is asked for, unless --password-stdin is given."""
    password = _new_password(from_stdin=password_stdin)
    with _directory(config) as directory:
        directory.add(name, password)
    print_outcome(f"added {printable(name)}", {"name": name}, as_json=as_json)


@users.command("list")
@json_option
@click.pass_obj
def list_users(config: Path | None, as_json: bool) -> None:
    """List all users, sorted by name."""
    with _directory(config) as directory:
        found = directory.list()
    if as_json:
        entries = [
            {"name": user.name, "disabled": user.disabled, "created_at": user.created_at}
            for user in found
        ]
        print_json(entries)
        return
    for user in found:
        since = datetime.fromtimestamp(user.created_at, UTC).strftime("%Y-%m-%d")
        state = "disabled" if user.disabled else "enabled"
        click.echo(f"{printable(user.name)}\t{state}\tsince {since}")


@users.command()
@click.argument("name")
@json_option
@click.pass_obj
def disable(config: Path | None, name: str, as_json: bool) -> None:
    """Refuse logins of user NAME from now on, and end the user's sessions."""
    with _directory(config) as directory:
        ended = directory.disable(name)
    print_outcome(
        f"disabled {printable(name)}, {_told(ended)}",
        {"name": name, "ended": ended.count, "durable": ended.durable},
        as_json=as_json,
    )


@users.command()
@click.argument("name")
@json_option
@click.pass_obj
def enable(config: Path | None, name: str, as_json: bool) -> None:
    """Let the disabled user NAME log in again."""
    with _directory(config) as directory:
        directory.enable(name)
    print_outcome(f"enabled {printable(name)}", {"name": name}, as_json=as_json)


@users.command()
@click.argument("name")
@_from_stdin
@json_option
@click.pass_obj
def passwd(config: Path | None, name: str, password_stdin: bool, as_json: bool) -> None:
    """Change the password of user NAME, and end the user's sessions."""
    password = _new_password(from_stdin=password_stdin)
    with _directory(config) as directory:
        ended = directory.set_password(name, password)
    print_outcome(
        f"changed the password of {printable(name)}, {_told(ended)}",
        {"name": name, "ended": ended.count, "durable": ended.durable},
        as_json=as_json,
    )


@users.command(
    "reset-link",
    epilog=examples(
        "clusterpass users reset-link alice",
        "clusterpass users reset-link alice --send-to alice@example.org",
    ),
)
@click.argument("name")
@_send_to
@json_option
@click.pass_obj
def reset_link(config: Path | None, *, name: str, send_to: str | None, as_json: bool) -> None:
    """Print a link by which user NAME sets a new password, once. An older link of NAME ends.

    Whoever has the link can set the password: give it to the user alone.
    """
    settings = _settings(config)
    _require_page(settings)
    send = _sender(settings, send_to)
    with _directory(config) as directory:
        made = directory.make_link(name, for_seconds=settings.reset_link_lifetime)
    _hand_over(settings, "reset", made, send_to, send, as_json=as_json)


@users.command(epilog=examples("clusterpass users invite alice"))
@click.argument("name")
@_send_to
@json_option
@click.pass_obj
def invite(config: Path | None, *, name: str, send_to: str | None, as_json: bool) -> None:
    """Add the user NAME, and print a link by which the user sets the first password."""
    settings = _settings(config)
    _require_page(settings)
    send = _sender(settings, send_to)
    with _directory(config) as directory:
        made = directory.invite(name, for_seconds=settings.invitation_lifetime)
    _hand_over(settings, "invitation", made, send_to, send, as_json=as_json)


@users.command(epilog=examples("clusterpass users delete alice --erase --yes"))
@click.argument("name")
@click.option(
    "--erase", is_flag=True, help="Erase what the store knows of the user, too: the history."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@click.pass_obj
def delete(config: Path | None, *, name: str, erase: bool, yes: bool, as_json: bool) -> None:
    """Remove user NAME, and end the user's sessions. This cannot be undone.

    Bans of NAME stay in force, also for a user who is added under that name again: lift them with
    clusterpass bans lift.
    """
    if not yes:
        click.confirm(f"Delete {printable(name)}?", abort=True, err=True)
    with _directory(config) as directory:
        ended = directory.delete(name, erase=erase)
    print_outcome(
        f"deleted {printable(name)}, {_told(ended)}",
        {
            "name": name,
            "erased": erase,
            "ended_sessions": ended.count,
            "durable": ended.durable,
        },
        as_json=as_json,
    )


@users.command(epilog=examples("clusterpass users export alice > alice.json"))
@click.argument("name")
@click.pass_obj
def export(config: Path | None, name: str) -> None:
    """Print what the store holds of user NAME as JSON, without secrets."""
    with _directory(config) as directory:
        print_json(directory.export(name))


@contextmanager
def _directory(config: Path | None) -> "Iterator[UserDirectory]":
    from clusterpass import UserDirectory  # noqa: PLC0415 - quick --help

    policy = _settings(config).passwords()
    with open_sessions(config) as sessions, UserDirectory(sessions, passwords=policy) as directory:
        yield directory


def _settings(config: Path | None) -> "Settings":
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415 - quick --help

    return load_settings(config)


def _require_page(settings: "Settings") -> None:
    from clusterpass.service.calls.one_time_links import require_page  # noqa: PLC0415 - quick --help

    require_page(settings)


def _sender(settings: "Settings", send_to: str | None) -> "Sender | None":
    from clusterpass.service.mail import check_address, make_sender  # noqa: PLC0415 - quick --help

    return None if send_to is None else check_address(make_sender(settings), send_to)


def _hand_over(
    settings: "Settings",
    kind: "MailKind",
    made: "OneTimeLink",
    to: str | None,
    send: "Sender | None",
    *,
    as_json: bool,
) -> None:
    from clusterpass.service.calls.one_time_links import (  # noqa: PLC0415 - quick --help
        address_of_link,
        mail_with,
    )

    address = address_of_link(settings, made.token)
    if to is not None and send is not None:
        try:
            send(mail_with(settings, kind, made, to))
        except MailFailed:
            name = printable(made.username)
            click.echo(
                f"{name} has an account, and nobody has the link; make another one:"
                f" clusterpass users reset-link {name}",
                err=True,
            )
            raise
    link = None if to is not None else address
    if as_json:
        members = {"name": made.username, "link": link, "sent_to": to}
        print_json({**members, "expires_at": made.expires_at})
        return
    click.echo(address if to is None else f"sent to {printable(to)}")
    click.echo(f"for {printable(made.username)}, once, until {moment(made.expires_at)}", err=True)


def _told(ended: "Ended") -> str:
    return f"ended {counted(ended.count, 'session')}{confirmed(durable=ended.durable)}"


def _new_password(*, from_stdin: bool) -> str:
    if not from_stdin:
        prompted: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return prompted
    try:
        line = sys.stdin.buffer.readline(4096).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("the password on standard input is not valid UTF-8") from None
    return line.removesuffix("\n").removesuffix("\r")
