"""Try to have a revoked token accepted later than the staleness bound allows.

Each scenario brings about one fault of the network, of the cluster or of the processes that verify,
while tokens that these hold in memory are revoked elsewhere. The exit status is 1 when a promise
was broken: a token accepted later than the bound after its revocation was acknowledged, never
refused, accepted again after a refusal, or refused although nobody had revoked it.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from clusterpass import EmbeddedCluster
from clusterpass.model.errors import EmbeddedClusterError

from .campaign import NODE_TIMEOUT, Campaign
from .report import Result, as_json, remarks, table
from .run import CannotRun, run
from .scenarios import SCENARIOS


def play(
    campaign: Campaign, names: Sequence[str], rounds: int, *, tells: bool = False
) -> list[Result]:
    """Run the scenarios; ``tells``: whether progress is printed."""
    results = [
        Result(
            name,
            SCENARIOS[name].description,
            campaign.bound,
            is_promised=SCENARIOS[name].is_promised,
        )
        for name in names
    ]
    for number in range(rounds):
        for result in results:
            if result.skipped:
                continue
            try:
                result.add(run(SCENARIOS[result.scenario], campaign))
            except CannotRun as why:
                result.skipped = str(why)
            except EmbeddedClusterError as error:  # nothing can be run on it any more
                result.skipped = f"the cluster was not whole any more: {error}"
                return results
            if tells:
                print(
                    f"round {number + 1} of {rounds}: {result.scenario}:"
                    f" {result.longest * 1000:.0f} ms"
                    f" ({', '.join(f'{n} {s * 1000:.0f}' for n, s in result.by_verifier.items())}),"
                    f" {result.verdict}",
                    file=sys.stderr,
                    flush=True,
                )
    return results


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.staleness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=None, help="of all that is random")
    parser.add_argument("--bound", type=float, default=0.5, help="staleness bound in seconds")
    parser.add_argument(
        "--scenario", nargs="+", choices=SCENARIOS, metavar="NAME", help="these alone"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often each is run")
    parser.add_argument(
        "--lease-off", action="store_true", help="without leases: the promise must break"
    )
    parser.add_argument(
        "--node-timeout", type=float, default=NODE_TIMEOUT, help="of the cluster, in seconds"
    )
    parser.add_argument("--server", help="the server program, instead of the bundled Valkey")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--list", action="store_true", help="print the scenarios and end")
    options = parser.parse_args()
    if options.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:28} {scenario.description}")
        return 0
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    with (
        EmbeddedCluster(
            nodes=6, node_timeout=options.node_timeout, server=options.server
        ) as cluster,
        Campaign(
            cluster,
            bound=options.bound,
            node_timeout=options.node_timeout,
            seed=seed,
            lease_off=options.lease_off,
        ) as campaign,
    ):
        names = options.scenario or list(SCENARIOS)
        results = play(campaign, names, options.rounds, tells=True)
    print(table(results, markdown=options.markdown))
    if notes := remarks(results):
        print(f"\n{notes}", file=sys.stderr)
    if options.json:
        options.json.write_text(
            as_json(results, seed=seed, bound=options.bound, lease_off=options.lease_off)
        )
    return int(any(result.is_broken for result in results))


if __name__ == "__main__":
    sys.exit(main())
