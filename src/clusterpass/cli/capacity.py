"""``clusterpass capacity``: estimate memory, CPU and nodes from the benchmarks."""

from typing import Any, Final

import click

from clusterpass.cli.capacity_model import Load, reckon
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import json_option, print_facts, print_json
from clusterpass.cli.value_types import FiniteRange

_IN_A_SECOND: Final = FiniteRange(0, 1e9)


@click.command(
    epilog=examples(
        "clusterpass capacity --users 1000000 --sessions 2 --requests 20000",
        "clusterpass capacity --users 200000 --active 0.2 --logins 50 --servers 8 --json",
    )
)
@click.option(
    "--users", required=True, type=click.IntRange(1, 10**12), help="Users with a live session."
)
@click.option(
    "--sessions",
    default=1.0,
    show_default=True,
    type=FiniteRange(1, 1e6),
    help="Live sessions of each user, on average.",
)
@click.option(
    "--active",
    default=1.0,
    show_default=True,
    type=FiniteRange(0, 1),
    help="Share of the sessions that are in use at the busiest time.",
)
@click.option(
    "--logins", default=0.0, show_default=True, type=_IN_A_SECOND, help="Logins in a second."
)
@click.option(
    "--requests",
    default=0.0,
    show_default=True,
    type=_IN_A_SECOND,
    help="Verified requests in a second, of all servers together.",
)
@click.option(
    "--access-lifetime",
    default=900,
    show_default=True,
    type=click.IntRange(10, 86_400),
    metavar="SECONDS",
    help="Lifetime of an access token.",
)
@click.option(
    "--name-length",
    default=16,
    show_default=True,
    type=click.IntRange(1, 255),
    help="Characters of a user's name.",
)
@click.option(
    "--claims",
    default=0,
    show_default=True,
    type=click.IntRange(0, 10**6),
    metavar="BYTES",
    help="Size of a session's claims, as JSON.",
)
@click.option(
    "--servers",
    default=2,
    show_default=True,
    type=click.IntRange(1, 10**6),
    help="Processes that verify: workers of the service or of applications.",
)
@click.option(
    "--primaries", default=3, show_default=True, type=click.IntRange(1, 16_384), help="Shards."
)
@click.option(
    "--replicas",
    default=1,
    show_default=True,
    type=click.IntRange(0, 100),
    help="Replicas of each primary.",
)
@json_option
def capacity(as_json: bool, **given: Any) -> None:
    """Reckon memory and processors for a number of users.

    The figures per session and per call are those of docs/benchmarks.md, measured on two cores.
    Password hashing is left out: each takes 46 MiB for as long as it runs (hash_concurrency).
    Plan with more: a node is to be half full, and half busy, at the busiest time.
    """
    needs = reckon(Load(**given))
    if as_json:
        print_json(needs)
        return
    store, servers = needs["store"], needs["servers"]
    rates = needs["calls_per_second"]
    print_facts(
        [
            ("sessions", f"{needs['sessions']:,}"),
            ("calls a second", ", ".join(f"{rate:,} {name}" for name, rate in rates.items())),
            ("store", f"{store['nodes']} nodes"),
            ("  data", f"{_size(store['data_bytes'])}, {_size(store['data_bytes_per_node'])} each"),
            ("  maxmemory", f"{_size(store['maxmemory_per_node'])} each"),
            ("  processor", f"{store['share_of_a_core_per_primary']:.1%} of a core per primary"),
            ("servers", f"{servers['processes']} processes"),
            ("  near cache", f"{_size(servers['cache_bytes_per_process'])} each"),
            ("  memory", f"{_size(servers['bytes_per_process'])} each"),
            ("  processor", f"{servers['share_of_a_core_per_process']:.1%} of a core each"),
        ]
    )
    for warning in needs["warnings"]:
        click.echo(f"warning: {warning}", err=True)


def _size(count: int) -> str:
    if count < 2**30:
        return f"{count / 2**20:,.0f} MiB"
    return f"{count / 2**30:,.1f} GiB"
