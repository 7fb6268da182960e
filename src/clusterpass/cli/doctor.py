"""``clusterpass doctor``: looks at a deployment and says what would break a promise.

Exit status: 0 nothing that breaks a promise, 1 a problem (with ``--strict`` also a warning or
something that could not be looked at), 2 there was nothing to be seen, or wrong usage.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import click

from clusterpass.cli.store import counted, json_option, print_json, printable
from clusterpass.config import Durability
from clusterpass.doctor import CHECKS, Finding, Report, Wishes, examine
from clusterpass.model.errors import ClusterPassError
from clusterpass.service.settings.service import load_settings
from clusterpass.store.location import redact_store_url

_CANNOT_LOOK: Final = 2
_FEW: Final = 4
_MARKS: Final = {
    "problem": ("PROBLEM", "red"),
    "warning": ("WARNING", "yellow"),
    "note": ("NOTE", "blue"),
    "unseen": ("UNSEEN", "magenta"),
}
_PLURALS: Final = {"primary": "primaries", "replica": "replicas"}
_a_check = click.Choice(sorted(CHECKS))


class _CannotLook(click.ClickException):
    exit_code = _CANNOT_LOOK


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file with settings.")
@click.option("--store", metavar="URL", help="The store to look at.  [default: that of --config]")
@click.option("--write", is_flag=True, help="Write a key on each primary, for ten seconds.")
@click.option("--user", help="Whose rights to look at, by ACL DRYRUN.  [default: who looks]")
@click.option(
    "--durability",
    type=click.Choice(get_args(Durability)),
    help="What the application's writes wait for.  [default: that of --config]",
)
@click.option(
    "--only", multiple=True, type=_a_check, metavar="CHECK", help="Nothing else; several."
)
@click.option("--ignore", multiple=True, type=_a_check, metavar="CHECK", help="Not this; several.")
@click.option("--strict", is_flag=True, help="Exit status 1 for warnings and unseen things too.")
@json_option
@click.pass_context
def doctor(
    context: click.Context,
    *,
    config: Path | None,
    store: str | None,
    write: bool,
    user: str | None,
    durability: Durability | None,
    only: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    as_json: bool,
) -> None:
    """Look at a deployment and say what would break a promise.

    It asks every node of the cluster and changes nothing. What it may not see it says. The exit
    status is 0 without problems, 1 with some, and 2 when there is nothing to be seen. A password in
    --store can be read by others on this machine; CLUSTERPASS_STORE_URL keeps it to you.
    """
    try:
        if store is None or durability is None:
            settings = load_settings(config)
            store = store or settings.store_url.get_secret_value()
            durability = durability or settings.durability
        wishes = Wishes(durability=durability, write=write, user=user)
        report = examine(store, wishes, only=only, ignore=ignore)
    except ClusterPassError as error:
        raise _CannotLook(error.message) from None
    if as_json:
        print_json(report.as_json())
    else:
        _print(report, store)
    uncertain = report.count("warning") + report.count("unseen")
    context.exit(0 if report.is_good and not (strict and uncertain) else 1)


def _print(report: Report, store: str) -> None:
    versions = sorted({node.version for node in report.seen.nodes if node.version is not None})
    roles = Counter(node.role if node.answered else "unreachable" for node in report.seen.nodes)
    seen = ", ".join(
        [*(f"{count} {_plural(role, count)}" for role, count in roles.items()), *versions]
    )
    click.echo(printable(f"{redact_store_url(store)}: {seen}"))
    for finding in report.findings:
        _print_finding(finding, len(report.seen.nodes))
    click.echo(
        f"\n{counted(report.checks, 'check')}: {counted(report.count('problem'), 'problem')},"
        f" {counted(report.count('warning'), 'warning')}, {counted(report.count('note'), 'note')},"
        f" {report.count('unseen')} not looked at."
    )


def _plural(role: str, count: int) -> str:
    return role if count == 1 else _PLURALS.get(role, role)


def _print_finding(finding: Finding, nodes: int) -> None:
    mark, colour = _MARKS[finding.severity]
    click.echo()
    click.echo(f"{click.style(mark, fg=colour, bold=True)} {finding.id}")
    click.echo(f"  {printable(finding.found)}")
    if finding.nodes:
        click.echo(f"  On:  {_places(finding.nodes, nodes)}")
    click.echo(f"  Do:  {printable(finding.remedy)}")
    click.echo(f"  See: {finding.reference}")


def _places(places: Sequence[str], nodes: int) -> str:
    if len(places) == nodes and nodes > _FEW:
        return f"all {nodes} nodes"
    places = sorted(places)
    shown = ", ".join(places[:_FEW])
    return shown if len(places) <= _FEW else f"{shown} and {len(places) - _FEW} more"
