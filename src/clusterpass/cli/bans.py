"""``clusterpass bans``: add, lift, list and check bans, of a subject or from one scope."""

import dataclasses
import sys
from pathlib import Path

import click

from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import (
    confirmed,
    counted,
    json_option,
    moment,
    print_json,
    print_outcome,
    print_table,
    printable,
)
from clusterpass.cli.store_connection import config_option, open_about
from clusterpass.cli.time_arguments import parse_duration
from clusterpass.cli.value_types import TEXT
from clusterpass.model.errors import SubjectBanned


@click.group()
@config_option
@click.pass_context
def bans(context: click.Context, config: Path | None) -> None:
    """Ban subjects, lift bans, list bans.

    A ban from everything refuses the subject's logins and ends its sessions. A ban from a scope
    leaves the sessions alone; the application checks for it where that scope matters.

    SUBJECT is the user who logs in by that name, however its letters are composed; capital letters
    and spaces count. A ban of a name that the user directory does not have says so.
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
    type=TEXT,
    metavar="DURATION",
    help="How long the ban lasts: 90s, 30m, 12h, 7d or 4w.  [default: until it is lifted]",
)
@click.option(
    "--scope",
    type=TEXT,
    help="What to ban SUBJECT from; comments:* stands for comments:read, comments:write and so"
    " on."
    "  [default: everything]",
)
@click.option(
    "--level", type=int, default=1, show_default=True, help="Severity of the ban, from 1 to 1000."
)
@json_option
@click.pass_obj
def add(
    config: Path | None,
    *,
    subject: str,
    reason: str,
    duration: str | None,
    scope: str | None,
    level: int,
    as_json: bool,
) -> None:
    """Ban SUBJECT from everything, or from one scope.

    Without --scope, every session of SUBJECT ends and new logins are refused. A second ban from
    the same scope replaces the first.
    """
    seconds = None if duration is None else parse_duration(duration)
    with open_about(config, subject) as (manager, named):
        subject = named.subject
        ended = manager.bans.add(
            subject, reason=reason, for_seconds=seconds, scope=scope or "", level=level
        )
        is_known = None if ended.journaled else named.is_known()
    if is_known is False and not ended.count:
        click.echo(
            f"note: the directory has no user {printable(subject)}, and nobody of that name was"
            " logged in; capital letters and spaces count",
            err=True,
        )
    print_outcome(
        f"banned {printable(subject)}{_from(scope)}, ended"
        f" {counted(ended.count, 'session')}{confirmed(durable=ended.durable)}",
        {
            "subject": subject,
            "known": is_known,
            "scope": scope or "",
            "ended": ended.count,
            "durable": ended.durable,
        },
        as_json=as_json,
    )


@bans.command(epilog=examples("clusterpass bans lift alice --scope 'comments:*'"))
@click.argument("subject")
@click.option(
    "--scope",
    type=TEXT,
    help="The scope of the ban, exactly as it was given.  [default: the ban from everything]",
)
@json_option
@click.pass_obj
def lift(config: Path | None, subject: str, scope: str | None, as_json: bool) -> None:
    """Lift the ban of SUBJECT from everything, or from one scope."""
    with open_about(config, subject) as (manager, named):
        lifted = manager.bans.lift(named.subject, scope=scope or "")
        if not lifted.count and named.subject != subject:
            # A ban of before, when names were taken as they were spelt.
            lifted = manager.bans.lift(subject, scope=scope or "")
        subject = named.subject
    ban = f"ban of {printable(subject)}{_from(scope)}"
    sentence = f"there is no {ban}"
    if lifted.count:
        sentence = f"lifted the {ban}{confirmed(durable=lifted.durable)}"
    print_outcome(
        sentence,
        {
            "subject": subject,
            "scope": scope or "",
            "lifted": lifted.count > 0,
            "durable": lifted.durable,
        },
        as_json=as_json,
    )


@bans.command("list")
@click.argument("subject")
@json_option
@click.pass_obj
def list_bans(config: Path | None, subject: str, as_json: bool) -> None:
    """List the bans of SUBJECT that are in force."""
    with open_about(config, subject) as (manager, named):
        found = manager.bans.list(named.subject)
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
    type=TEXT,
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
@json_option
@click.pass_obj
def check(config: Path | None, subject: str, scope: str | None, level: int, as_json: bool) -> None:
    """Check whether SUBJECT is banned.

    The exit status is 0 if SUBJECT is not banned, 3 if it is, and 1 if that cannot be determined.
    """
    with open_about(config, subject) as (manager, named):
        subject = named.subject
        try:
            manager.bans.check(subject, scope or "", level=level)
        except SubjectBanned as refusal:
            told = {"subject": subject, "banned": True, "message": refusal.message}
            print_outcome(printable(refusal.message), told, as_json=as_json)
            sys.exit(ExitStatus.NO)
    told = {"subject": subject, "banned": False, "message": None}
    print_outcome("not banned", told, as_json=as_json)


def _from(scope: str | None) -> str:
    return f" from {printable(scope)}" if scope else ""
