"""``clusterpass migration``: report on the tokens of other libraries, until the last expires."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import click

from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import json_option, moment, print_json, print_table
from clusterpass.cli.store_connection import config_option, open_manager
from clusterpass.migrate import MigratingSessionManager, MigrationReport


@click.command(epilog=examples("clusterpass migration", "clusterpass migration --json"))
@config_option
@json_option
def migration(config: Path | None, as_json: bool) -> None:
    """Show what became of the old tokens of users who move in from another library.

    The figures are those of all processes on the namespace that accept old tokens
    (clusterpass.migrate). For each issuer: how many requests an old token admitted, how many tokens
    were exchanged for sessions, how many were refused, and until when a token can be valid that
    nobody has seen yet. After that, and a token's lifetime after the last old server stopped
    issuing any, the code that accepts old tokens can go.
    """
    with open_manager(MigratingSessionManager, config) as manager:
        reports = manager.migration_reports()
    now = time.time()
    if as_json:
        print_json(
            [{**dataclasses.asdict(report), "is_over": now >= report.ends_at} for report in reports]
        )
    elif not reports:
        click.echo("no process on this namespace has counted an old token")
    else:
        _print(reports, now)


def _print(reports: Sequence[MigrationReport], now: float) -> None:
    print_table(
        ("ISSUER", "ACCEPTED", "EXCHANGED", "REFUSED", "LAST SEEN", "LIFETIME", "VALID UNTIL"),
        [
            (
                report.issuer,
                str(report.accepted),
                str(report.exchanged),
                str(report.refused),
                moment(report.last_seen_at),
                _duration(report.lifetime),
                moment(report.ends_at),
            )
            for report in reports
        ],
    )
    end = max(report.ends_at for report in reports)
    click.echo("\nthe code that accepts old tokens can go ", nl=False)
    if now >= end:
        click.echo("now, if the last old server stopped a lifetime ago")
    else:
        click.echo(f"after {moment(end)}, and a lifetime after the last old server stopped")


def _duration(seconds: int) -> str:
    """A duration in the largest unit that divides it."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
