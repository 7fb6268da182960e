"""``clusterpass bans``: who may not come in, or may not do something."""

import dataclasses
import re
import sys
from pathlib import Path
from typing import Final

import click

from clusterpass.cli.store import (
    config_option,
    confirmed,
    counted,
    json_option,
    moment,
    open_sessions,
    print_json,
    print_table,
    printable,
)
from clusterpass.model.errors import InvalidInput, SubjectBanned

_IS_BANNED: Final = 3
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_scope = click.option("--scope", default="", help="What is forbidden; everything without it.")
_level = click.option("--level", type=int, default=1, show_default=True, help="How severe.")


@click.group()
@config_option
@click.pass_context
def bans(context: click.Context, config: Path | None) -> None:
    """Ban subjects, lift and list bans."""
    context.obj = config


@bans.command()
@click.argument("subject")
@click.option("--reason", default="", help="What the user is told.")
@click.option("--for", "duration", metavar="DURATION", help="30m, 12h, 7d, 4w; for good without.")
@_scope
@_level
@click.pass_obj
def add(
    config: Path | None,
    *,
    subject: str,
    reason: str,
    duration: str | None,
    scope: str,
    level: int,
) -> None:
    """Ban SUBJECT. Without --scope all sessions end and no login is accepted."""
    seconds = None if duration is None else _parse_duration(duration)
    with open_sessions(config) as manager:
        ended = manager.bans.add(
            subject, reason=reason, for_seconds=seconds, scope=scope, level=level
        )
    from_what = f" from {scope}" if scope else ""
    click.echo(
        f"banned {printable(subject)}{printable(from_what)}, ended"
        f" {counted(ended.count, 'session')}{confirmed(durable=ended.durable)}"
    )


@bans.command()
@click.argument("subject")
@_scope
@click.pass_obj
def lift(config: Path | None, subject: str, scope: str) -> None:
    """Lift a ban of SUBJECT."""
    with open_sessions(config) as manager:
        lifted = manager.bans.lift(subject, scope=scope)
    if lifted.count:
        click.echo(f"lifted{confirmed(durable=lifted.durable)}")
    else:
        click.echo("there was no such ban")


@bans.command("list")
@click.argument("subject")
@json_option
@click.pass_obj
def list_bans(config: Path | None, subject: str, as_json: bool) -> None:
    """List the bans of SUBJECT that are in force."""
    with open_sessions(config) as manager:
        found = manager.bans.list(subject)
    if as_json:
        print_json([dataclasses.asdict(ban) for ban in found])
        return
    print_table(
        ("SCOPE", "LEVEL", "SINCE", "UNTIL", "REASON"),
        [
            (
                ban.scope or "(everything)",
                str(ban.level),
                moment(ban.banned_at),
                "for good" if ban.until is None else moment(ban.until),
                ban.reason or "-",
            )
            for ban in found
        ],
    )


@bans.command()
@click.argument("subject")
@_scope
@_level
@click.pass_obj
def check(config: Path | None, subject: str, scope: str, level: int) -> None:
    """Say whether SUBJECT is banned; exit status 3 if so."""
    with open_sessions(config) as manager:
        try:
            manager.bans.check(subject, scope, level=level)
        except SubjectBanned as refusal:
            click.echo(printable(refusal.message))
            sys.exit(_IS_BANNED)
    click.echo("not banned")


def _parse_duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{printable(text)} is no duration: write 90s, 30m, 12h, 7d or 4w")
    return int(match[1]) * _SECONDS[match[2]]
