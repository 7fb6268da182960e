"""``clusterpass bans``: keep a subject out, or away from one scope."""

import dataclasses
import sys
from pathlib import Path
from typing import Final

import click

from clusterpass.cli.help_text import examples
from clusterpass.cli.output import (
    confirmed,
    counted,
    json_option,
    moment,
    print_json,
    print_table,
    printable,
)
from clusterpass.cli.store_connection import config_option, open_sessions
from clusterpass.cli.time_arguments import parse_duration
from clusterpass.model.errors import SubjectBanned

_IS_BANNED: Final = 3


@click.group()
@config_option
@click.pass_context
def bans(context: click.Context, config: Path | None) -> None:
    """Ban subjects, lift bans, list bans.

    A ban from everything refuses the subject's logins and ends its sessions. A ban from a scope
    leaves the sessions alone; the application checks for it where that scope matters.
    """
    context.obj = config


@bans.command(
    epilog=examples(
        'clusterpass bans add alice --reason "payment fraud"',
        "clusterpass bans add alice --scope 'comments:*' --level 2 --for 7d",
    )
)
@click.argument("subject")
@click.option("--reason", default="", help="Text shown to the user.")
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    help="How long the ban lasts: 90s, 30m, 12h, 7d or 4w.  [default: until it is lifted]",
)
@click.option(
    "--scope",
    default="",
    help="What to ban SUBJECT from; comments:* stands for comments:read, comments:write and so"
    " on."
    "  [default: everything]",
)
@click.option(
    "--level", type=int, default=1, show_default=True, help="Severity of the ban, from 1 to 1000."
)
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
    """Ban SUBJECT from everything, or from one scope.

    Without --scope, every session of SUBJECT ends and new logins are refused. A second ban from
    the same scope replaces the first.
    """
    seconds = None if duration is None else parse_duration(duration)
    with open_sessions(config) as manager:
        ended = manager.bans.add(
            subject, reason=reason, for_seconds=seconds, scope=scope, level=level
        )
    click.echo(
        f"banned {printable(subject)}{_from(scope)}, ended"
        f" {counted(ended.count, 'session')}{confirmed(durable=ended.durable)}"
    )


@bans.command(epilog=examples("clusterpass bans lift alice --scope 'comments:*'"))
@click.argument("subject")
@click.option(
    "--scope",
    default="",
    help="The scope of the ban, exactly as it was given.  [default: the ban from everything]",
)
@click.pass_obj
def lift(config: Path | None, subject: str, scope: str) -> None:
    """Lift the ban of SUBJECT from everything, or from one scope."""
    with open_sessions(config) as manager:
        lifted = manager.bans.lift(subject, scope=scope)
    ban = f"ban of {printable(subject)}{_from(scope)}"
    if lifted.count:
        click.echo(f"lifted the {ban}{confirmed(durable=lifted.durable)}")
    else:
        click.echo(f"there is no {ban}")


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
                "permanent" if ban.until is None else moment(ban.until),
                ban.reason or "-",
            )
            for ban in found
        ],
    )


@bans.command(epilog=examples("clusterpass bans check alice --scope comments:write --level 3"))
@click.argument("subject")
@click.option(
    "--scope",
    default="",
    help="The scope to check. Bans from everything always count."
    "  [default: bans from everything only]",
)
@click.option(
    "--level",
    type=int,
    default=1,
    show_default=True,
    help="Ignore bans from the scope that are below this level.",
)
@click.pass_obj
def check(config: Path | None, subject: str, scope: str, level: int) -> None:
    """Check whether SUBJECT is banned.

    The exit status is 0 if SUBJECT is not banned, 3 if it is, and 1 if that cannot be determined.
    """
    with open_sessions(config) as manager:
        try:
            manager.bans.check(subject, scope, level=level)
        except SubjectBanned as refusal:
            click.echo(printable(refusal.message))
            sys.exit(_IS_BANNED)
    click.echo("not banned")


def _from(scope: str) -> str:
    return f" from {printable(scope)}" if scope else ""
