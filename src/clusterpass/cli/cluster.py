"""``clusterpass cluster``: a cluster on this machine that keeps running in the background.

Rules of this module
- Output is text for people, except with ``--json``. Errors are one sentence on standard error.
- Exit status: 0 done or healthy, 1 not running, unhealthy or failed, 2 wrong usage.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import json_option, print_json, print_outcome
from clusterpass.cli.value_types import FiniteRange
from clusterpass.model.errors import ClusterPassError

DEFAULT_FOLDER: Final = Path(".clusterpass/cluster")

_data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Folder with the data of the cluster.",
)


@click.group()
def cluster() -> None:
    """Start, inspect and stop a cluster on this machine.

    The cluster runs in the background until it is stopped, and keeps its data in a folder. It is
    meant for development: all nodes listen on 127.0.0.1.
    """


@cluster.command(
    epilog=examples(
        "clusterpass cluster start", "clusterpass cluster start --nodes 3 --data /tmp/c"
    )
)
@click.option(
    "--nodes",
    type=int,
    help="Number of servers: 1 for a standalone server, at least 3 for a cluster."
    "  [default: as in the data folder, else 6]",
)
@_data_option
@click.option(
    "--server",
    type=click.Path(),
    help="Server program to run.  [default: the bundled valkey-server, else one on the PATH]",
)
@click.option(
    "--node-timeout",
    type=FiniteRange(0.05, 3600),
    metavar="SECONDS",
    help="Silence after which the others treat a node as failed."
    "  [default: as in the data folder, else 2]",
)
@json_option
def start(
    nodes: int | None,
    data: Path,
    server: str | None,
    node_timeout: float | None,
    *,
    as_json: bool,
) -> None:
    """Start the cluster, and print its URL.

    If the data folder holds a cluster that was stopped, it is resumed with its data and its ports.
    The URL on the last line is what CLUSTERPASS_STORE_URL takes.
    """
    from clusterpass.embedded import start_detached  # noqa: PLC0415 - quick --help

    with _plain_errors():
        state = start_detached(data, nodes=nodes, server=server, node_timeout=node_timeout)
    count = len(state.nodes)
    print_outcome(
        f"Started {count} node{'s' * (count > 1)} ({state.server.name}) in {data}.\n{state.url}",
        {"url": state.url, "nodes": count, "data": str(data)},
        as_json=as_json,
    )


@cluster.command()
@_data_option
@json_option
@click.pass_context
def status(context: click.Context, data: Path, *, as_json: bool) -> None:
    """Show the state of every node.

    The exit status is 0 if the cluster serves every slot and can fail over, and 1 if it cannot or
    does not run.
    """
    from clusterpass.embedded import read_state  # noqa: PLC0415 - quick --help
    from clusterpass.embedded.report import report_on  # noqa: PLC0415 - quick --help
    from clusterpass.store.store_url import redact_store_url  # noqa: PLC0415 - quick --help

    with _plain_errors():
        state = read_state(data)
        report = None if state is None else report_on(state)
    if state is None or report is None:
        if as_json:
            print_json({"running": False, "healthy": False})
        else:
            click.echo(f"No cluster is running in {data}.", err=True)
        context.exit(ExitStatus.FAILED)
    if as_json:
        facts = {
            "running": True,
            "healthy": report.problem is None,
            "problem": report.problem,
            "url": redact_store_url(state.url),
            "supervisor_pid": state.supervisor_pid,
            "nodes": [asdict(node) for node in report.nodes],
        }
        print_json(facts)
    else:
        click.echo(redact_store_url(state.url))
        row = "{:<5}{:<7}{:<9}{:<12}{:<14}{:<9}{}"
        click.echo(row.format("node", "port", "pid", "role", "slots", "primary", "link"))
        for node in report.nodes:
            slots = ",".join(f"{first}-{last}" for first, last in node.slots)
            pid = node.pid or "exited"
            primary = node.primary_port or "-"
            line = row.format(
                node.index, node.port, pid, node.role, slots or "-", primary, node.link
            )
            click.echo(line)
        click.echo("Healthy." if report.problem is None else f"Not healthy: {report.problem}.")
    context.exit(ExitStatus.DONE if report.problem is None else ExitStatus.FAILED)


@cluster.command()
@_data_option
@json_option
def stop(data: Path, *, as_json: bool) -> None:
    """Stop the cluster, and keep its data for the next start."""
    from clusterpass.embedded import stop_detached  # noqa: PLC0415 - quick --help

    with _plain_errors():
        was_running = stop_detached(data)
    message = "Stopped the cluster" if was_running else "No cluster is running"
    told = {"was_running": was_running, "data": str(data)}
    print_outcome(f"{message} in {data}.", told, as_json=as_json)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn a ClusterPassError into one line on standard error and exit status 1."""
    try:
        yield
    except ClusterPassError as error:
        line = error.message.partition("\n")[0]
        raise click.ClickException(line.removesuffix(":") + "." * line.endswith(":")) from None
