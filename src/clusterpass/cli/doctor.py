"""``clusterpass doctor``: check a deployment for anything that breaks a guarantee of ClusterPass.

Exit status: 0 no problem, 1 a problem (with ``--strict`` also a warning or something that could not
be inspected), 2 the deployment could not be inspected at all, or wrong usage.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, get_args

import click

from clusterpass.cli.doctor_watch import watch
from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import counted, json_option, print_json, printable
from clusterpass.cli.store_connection import config_option
from clusterpass.cli.value_types import TEXT, FiniteRange
from clusterpass.config import Durability
from clusterpass.doctor import CHECKS, DoctorOptions, Finding, Report, examine
from clusterpass.doctor.stored_secrets import SecretSettings
from clusterpass.model.errors import ClusterPassError
from clusterpass.service.settings.loading import load_settings
from clusterpass.service.settings.service import Settings
from clusterpass.store.store_url import redact_store_url
from clusterpass.tokens.keyring import KeyRing

_FEW: Final = 4
_MARKS: Final = {
    "problem": ("PROBLEM", "red"),
    "warning": ("WARNING", "yellow"),
    "note": ("NOTE", "blue"),
    "unseen": ("UNSEEN", "magenta"),
}
_PLURALS: Final = {"primary": "primaries", "replica": "replicas"}
_a_check = click.Choice(sorted(CHECKS))


class _CannotInspect(click.ClickException):
    exit_code = ExitStatus.USAGE


@click.command(
    epilog=examples(
        "clusterpass doctor --store redis+cluster://10.0.0.1:6379 --write",
        "clusterpass doctor --strict --ignore hosts --ignore persistence",
        "clusterpass doctor --watch --json --interval 30 >> doctor.log",
    )
)
@config_option
@click.option(
    "--store",
    type=TEXT,
    metavar="URL",
    help="URL of the store to inspect.  [default: from the settings]",
)
@click.option(
    "--write",
    is_flag=True,
    help="Also make a trial write on each primary: one key, which expires after 10 seconds.",
)
@click.option(
    "--user",
    type=TEXT,
    help="ACL user whose permissions to check, with ACL DRYRUN."
    "  [default: the user of the store URL]",
)
@click.option(
    "--durability",
    type=click.Choice(get_args(Durability)),
    help="Durability that the application is configured with.  [default: from the settings]",
)
@click.option(
    "--only",
    multiple=True,
    type=_a_check,
    metavar="CHECK",
    help="Run this check only, and say what it could not inspect. Can be repeated.",
)
@click.option(
    "--ignore",
    multiple=True,
    type=_a_check,
    metavar="CHECK",
    help="Skip this check. Can be repeated.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with status 1 also for a warning, or for something that could not be inspected.",
)
@click.option(
    "--watch",
    "is_watch",
    is_flag=True,
    help="Examine again and again and print what changes, until Ctrl-C. With --json, one object"
    " per line.",
)
@click.option(
    "--interval",
    type=FiniteRange(0.1, 86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long --watch waits between two examinations.",
)
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
    is_watch: bool,
    interval: float,
    as_json: bool,
) -> None:
    """Check a deployment for anything that breaks a guarantee of ClusterPass.

    The doctor queries every node of the cluster and changes nothing, apart from the trial write
    of --write. If the servers refuse a query, the report lists what could not be checked.

    The exit status is 0 if there is no problem, 1 if there is one, and 2 if no node could be
    inspected. Ctrl-C ends --watch with the status of the last examination.

    Other users of this machine can see a password in --store while the command runs. Set
    CLUSTERPASS_STORE_URL instead. docs/reference/doctor.md explains every check.
    """
    try:
        secrets = None
        if store is None or durability is None:
            settings = load_settings(config)
            secrets = _secrets_of(settings, is_of_service=store is None)
            store = store or settings.full_store_url()
            durability = durability or settings.durability
        options = DoctorOptions(durability=durability, write=write, user=user, secrets=secrets)
        look = partial(examine, store, options, only=only, ignore=ignore)
        status_of = partial(_status_of, strict=strict)
        if is_watch:
            context.exit(watch(look, status_of, interval=interval, as_json=as_json))
        report = look()
    except ClusterPassError as error:
        raise _CannotInspect(error.message) from None
    if as_json:
        print_json(report.as_json())
    else:
        _print(report, store)
    context.exit(status_of(report))


def _secrets_of(settings: Settings, *, is_of_service: bool) -> SecretSettings:
    """What the settings say of the store's secrets; the file of the signing keys is not read."""
    keys = settings.key_ring() if settings.managed_keys else KeyRing.generate()
    return SecretSettings.of(settings.session_config(keys), is_of_service=is_of_service)


def _status_of(report: Report, *, strict: bool) -> int:
    uncertain = report.count("warning") + report.count("unseen")
    is_good = report.is_good and not (strict and uncertain)
    return ExitStatus.DONE if is_good else ExitStatus.FAILED


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
        f" {report.count('unseen')} not inspected."
    )


def _plural(role: str, count: int) -> str:
    return role if count == 1 else _PLURALS.get(role, role)


def _print_finding(finding: Finding, nodes: int) -> None:
    mark, colour = _MARKS[finding.severity]
    click.echo()
    click.echo(f"{click.style(mark, fg=colour, bold=True)} {finding.id}")
    click.echo(f"  {printable(finding.found)}")
    if finding.nodes:
        click.echo(f"  On:  {_node_list(finding.nodes, nodes)}")
    click.echo(f"  Do:  {printable(finding.remedy)}")
    click.echo(f"  See: {finding.reference}")


def _node_list(addresses: Sequence[str], nodes: int) -> str:
    """The first few of ``addresses``, or that they are all ``nodes`` of the deployment."""
    if len(addresses) == nodes and nodes > _FEW:
        return f"all {nodes} nodes"
    addresses = sorted(addresses)
    shown = ", ".join(addresses[:_FEW])
    return shown if len(addresses) <= _FEW else f"{shown} and {len(addresses) - _FEW} more"
