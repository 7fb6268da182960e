"""``python -m tests.simulation``: run scenarios with some numbers of processes, report figures."""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from .broken import BROKEN
from .costs import DESIGNS
from .plots import FOLDER, draw_load
from .process import Traffic
from .report import Figures, in_a_line, run_one, setup_of, write_page
from .run import MOST_SAMPLED, Setup
from .scenarios import SCENARIOS

_DRAWN = ("failover", "moved-5000", "deploy", "revocation")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Simulate many processes on one cluster, under a virtual clock.",
    )
    parser.add_argument("--scenario", nargs="*", choices=[*SCENARIOS], default=[*SCENARIOS])
    parser.add_argument("--processes", nargs="*", type=int, default=[100, 1_000, 10_000])
    parser.add_argument("--design", nargs="*", choices=[*DESIGNS], default=[*DESIGNS])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="after the event (mostly 16)")
    parser.add_argument(
        "--sampled", type=int, default=MOST_SAMPLED, help="processes simulated (%(default)s)"
    )
    parser.add_argument("--verifies", type=float, default=50.0, help="a second and process")
    parser.add_argument("--sessions", type=int, default=200, help="that come to each process")
    parser.add_argument("--loss", type=float, default=0.0, help="share of the packets lost")
    parser.add_argument("--broken", choices=[*BROKEN], help="a build that is broken on purpose")
    parser.add_argument("--trace", action="store_true", help="print what happened last")
    parser.add_argument("--write", action="store_true", help="write the page and the pictures")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    return parser.parse_args()


def _runs(args: argparse.Namespace) -> Iterator[tuple[str, Setup]]:
    traffic = Traffic(verifies=args.verifies, sessions=args.sessions)
    setup = Setup(1, seed=args.seed, sampled=args.sampled, traffic=traffic, loss=args.loss)
    if args.broken:
        setup = replace(setup, leases=BROKEN[args.broken])
    for design in args.design:
        for name in args.scenario:
            for processes in args.processes:
                chosen = setup_of(setup, processes, design)
                if not _is_hopeless(chosen):
                    yield name, chosen


def _is_hopeless(setup: Setup) -> bool:
    """Whether the heartbeats alone, eight a second for each primary, saturate every primary."""
    beating = 1.0 if setup.design.hears_all else setup.traffic.busy
    return beating * setup.processes * 8 * setup.costs.beat / 1e6 > 0.95


def main() -> int:
    args = _arguments()
    found: list[Figures] = []
    with ProcessPoolExecutor(args.jobs) as pool:
        asked = {setup: pool.submit(run_one, "steady", setup, 3.0) for _, setup in _runs(args)}
        steady = {setup: each.result() for setup, each in asked.items()}
        # What the steady load alone is too much for has no event to survive.
        found += [each for each in steady.values() if each.is_saturated]
        print(*map(in_a_line, found), sep="\n", flush=True)
        runs = [(name, setup) for name, setup in _runs(args) if not steady[setup].is_saturated]
        waiting = [pool.submit(run_one, name, setup, args.seconds) for name, setup in runs]
        for each in waiting:
            found.append(each.result())
            print(in_a_line(found[-1]), flush=True)
    if args.trace and runs:
        name, setup = runs[-1]
        judge = SCENARIOS[name].run(setup, args.seconds).judge
        print("\n".join(judge.latest or judge.clock.trace))
        print("\n".join(each.text for each in judge.violations[:10]))
    if args.write:
        _write(args, found)
    return int(any(not each.keeps_promises and not each.is_saturated for each in found))


def _write(args: argparse.Namespace, found: list[Figures]) -> None:
    command = f"python -m tests.simulation --seed {args.seed} --write"
    write_page(found, f".venv/bin/{command}")
    for name in _DRAWN:
        panels = [
            each for each in found if each.scenario == name and each.processes in {100, 1_000}
        ]
        if panels:
            draw_load(panels, f"{command} --scenario {name}", FOLDER / f"{name}.svg")


if __name__ == "__main__":
    sys.exit(main())
