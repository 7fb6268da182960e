"""``clusterpass sessions``: see who is logged in where, and revoke sessions."""

import dataclasses
import time
from pathlib import Path

import click

from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import (
    confirmed,
    counted,
    json_option,
    moment,
    print_facts,
    print_json,
    print_outcome,
    print_table,
)
from clusterpass.cli.session_output import (
    TABLE_HEAD,
    as_members,
    ban_text,
    claims_text,
    session_facts,
    table_row,
)
from clusterpass.cli.store_connection import config_option, open_about, open_sessions
from clusterpass.cli.time_arguments import parse_time
from clusterpass.cli.value_types import IDS_MAY_BEGIN_WITH_A_DASH, TEXT
from clusterpass.model.errors import InvalidInput, SessionNotFound
from clusterpass.model.values import Session


@click.group()
@config_option
@click.pass_context
def sessions(context: click.Context, config: Path | None) -> None:
    """List, inspect and revoke sessions.

    A subject is the user as the application names it: the "sub" of its tokens.
    """
    context.obj = config


@sessions.command(
    "list",
    epilog=examples(
        "clusterpass sessions list alice", "clusterpass sessions list --all --json > online.json"
    ),
)
@click.argument("subject", required=False, type=TEXT)
@click.option(
    "--limit",
    type=click.IntRange(1, 200),
    default=50,
    show_default=True,
    help="Approximate number of subjects per page.",
)
@click.option("--cursor", type=TEXT, help="Start after the page that printed this cursor.")
@click.option("--all", "every", is_flag=True, help="List all pages.")
@json_option
@click.pass_obj
def list_sessions(
    config: Path | None,
    *,
    subject: str | None,
    limit: int,
    cursor: str | None,
    every: bool,
    as_json: bool,
) -> None:
    """List the live sessions of SUBJECT, or of every subject.

    Without SUBJECT, the list comes in pages of about --limit subjects, and the cursor of the next
    page is printed on standard error.
    """
    if subject is not None and cursor is not None:
        raise InvalidInput(
            "use SUBJECT or --cursor, not both: the sessions of one subject fit on one page"
        )
    found: list[Session] = []
    following: str | None = None
    if subject is not None:
        with open_about(config, subject) as (manager, named):
            found = manager.sessions(named.subject)
    else:
        with open_sessions(config) as manager:
            while True:
                page = manager.online.page(cursor, limit=limit)
                found += page.sessions
                following = cursor = page.next_cursor
                if following is None or not every:
                    break
    if as_json:
        print_json({"sessions": [as_members(each) for each in found], "next_cursor": following})
        return
    print_table(TABLE_HEAD, [table_row(each) for each in found])
    if following is not None:
        click.echo(f"next page: --cursor {following}", err=True)


@sessions.command()
@json_option
@click.pass_obj
def count(config: Path | None, as_json: bool) -> None:
    """Count the subjects that are online, and their sessions."""
    with open_sessions(config) as manager:
        found = manager.online.count()
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    click.echo(f"{counted(found.subjects, 'subject')}, {counted(found.sessions, 'session')}")


@sessions.command(context_settings=IDS_MAY_BEGIN_WITH_A_DASH)
@click.argument("subject")
@click.argument("session_id", required=False, type=TEXT)
@json_option
@click.pass_obj
def show(config: Path | None, subject: str, session_id: str | None, as_json: bool) -> None:
    """Show everything known about the sessions of SUBJECT, or about one of them.

    Bans and live claims of SUBJECT are shown as well. SESSION_ID is in the output of "sessions
    list".
    """
    with open_about(config, subject) as (manager, named):
        subject = named.subject
        found = [
            each
            for each in manager.sessions(subject)
            if session_id is None or each.session_id == session_id
        ]
        if session_id is not None and not found:
            raise SessionNotFound
        bans, claims = manager.bans.list(subject), dict(manager.claims.get(subject))
    if as_json:
        print_json(
            {
                "subject": subject,
                "sessions": [as_members(each) for each in found],
                "bans": [dataclasses.asdict(ban) for ban in bans],
                "claims": claims,
            }
        )
        return
    print_facts(
        [
            ("subject", subject),
            *([("live sessions", str(len(found)))] if session_id is None else []),
            ("live claims", claims_text(claims)),
            *(("banned from", ban_text(ban)) for ban in bans),
        ]
    )
    for each in found:
        click.echo()
        print_facts(session_facts(each))


@sessions.command()
@click.argument("subject")
@json_option
@click.pass_obj
def history(config: Path | None, subject: str, as_json: bool) -> None:
    """Show the history of SUBJECT's sessions, newest entry first."""
    with open_about(config, subject) as (manager, named):
        entries = manager.history(named.subject)
    if as_json:
        print_json([dataclasses.asdict(entry) for entry in entries])
        return
    print_table(
        ("TIME", "EVENT", "COUNT", "SESSION", "ADDRESS", "BY", "TEXT"),
        [
            (
                moment(entry.at),
                entry.kind,
                str(entry.count),
                entry.session_id or "-",
                entry.address or "-",
                entry.by or "-",
                entry.text,
            )
            for entry in entries
        ],
    )


@sessions.command(
    context_settings=IDS_MAY_BEGIN_WITH_A_DASH,
    epilog=examples(
        'clusterpass sessions revoke alice --all --reason "password leaked"',
        "clusterpass sessions revoke alice --device-type phone",
    ),
)
@click.argument("subject")
@click.argument("session_id", required=False, type=TEXT)
@click.option(
    "--device-type", type=TEXT, help="Revoke all sessions of SUBJECT on devices of this type."
)
@click.option("--all", "every", is_flag=True, help="Revoke all sessions of SUBJECT.")
@click.option("--reason", default="", help="Text shown to the user.")
@json_option
@click.pass_obj
def revoke(
    config: Path | None,
    *,
    subject: str,
    session_id: str | None,
    device_type: str | None,
    every: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Revoke one session of SUBJECT, those on one type of device, or all of them.

    Give exactly one of SESSION_ID, --device-type and --all.
    """
    if [session_id is not None, device_type is not None, every].count(True) != 1:
        raise InvalidInput("give exactly one of SESSION_ID, --device-type and --all")
    with open_about(config, subject) as (manager, named):
        subject = named.subject
        if session_id is not None:
            ended = manager.revoke(subject, session_id, reason=reason)
        else:
            ended = manager.revoke_all(subject, device_type=device_type, reason=reason)
    print_outcome(
        f"ended {counted(ended.count, 'session')}{confirmed(durable=ended.durable)}",
        {"subject": subject, "ended": ended.count, "durable": ended.durable},
        as_json=as_json,
    )


@sessions.command(
    "revoke-before",
    epilog=examples(
        "clusterpass sessions revoke-before",
        "clusterpass sessions revoke-before 2026-11-25T10:00:00Z --yes",
    ),
)
@click.argument("when", metavar="[TIME]", required=False, type=TEXT)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@click.pass_obj
def revoke_before(config: Path | None, when: str | None, yes: bool, as_json: bool) -> None:
    """Revoke every session, of every subject, that was opened before TIME.

    TIME is in ISO 8601 (2026-11-25T10:00:00Z; UTC unless it has an offset) or a Unix time in
    seconds. Without TIME, or with a TIME in the future, the current time is used. This
    cannot be undone.
    """
    timestamp = None if when is None else parse_time(when)
    if not yes:
        now = int(time.time())
        shown = moment(now if timestamp is None else min(timestamp, now))
        # Not on standard output, where a program reads the outcome.
        click.confirm(
            f"Revoke every session that was opened before {shown}?", abort=True, err=as_json
        )
    with open_sessions(config) as manager:
        revoked = manager.revoke_before(timestamp)
    print_outcome(
        f"revoked every session that was opened before {moment(revoked.time)}"
        f"{confirmed(durable=revoked.durable)}",
        {"before": revoked.time, "durable": revoked.durable},
        as_json=as_json,
    )


@sessions.command()
@json_option
@click.pass_obj
def prune(config: Path | None, as_json: bool) -> None:
    """Remove subjects without a live session from the list of who is online.

    Until then "sessions count" may include them, above all after "sessions revoke-before".
    """
    with open_sessions(config) as manager:
        remaining = manager.online.prune()
    told = {"subjects": remaining}
    print_outcome(f"{counted(remaining, 'subject')} online", told, as_json=as_json)
