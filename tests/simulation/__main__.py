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

_WITH_SEEDS = ("failover", "moved-20", "moved-5000", "moved-around", "deploy", "revocation")
_SEEDS = 5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Simulate many processes on one cluster, under a virtual clock. The exit code"
        " is 1 when something stale was accepted.",
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
    with ProcessPoolExecutor(args.jobs) as pool:
        found, runs = _figures(args, pool)
        seeds = _with_seeds(args, pool) if args.write else []
    if args.trace and runs:
        name, setup = runs[-1]
        judge = SCENARIOS[name].run(setup, args.seconds).judge
        print("\n".join(judge.latest or judge.clock.trace))
        print("\n".join(each.text for each in judge.violations[:10]))
    if args.write:
        _write(args, found, seeds)
    return int(any(each.stale for each in found + seeds))


def _figures(
    args: argparse.Namespace, pool: ProcessPoolExecutor
) -> tuple[list[Figures], list[tuple[str, Setup]]]:
    """The figures of all runs, and the runs that were made."""
    asked = {setup: pool.submit(run_one, "steady", setup, 3.0) for _, setup in _runs(args)}
    steady = {setup: each.result() for setup, each in asked.items()}
    # What the steady load alone is too much for has no event to survive.
    found = [each for each in steady.values() if each.is_saturated]
    print(*map(in_a_line, found), sep="\n", end="\n" if found else "", flush=True)
    runs = [(name, setup) for name, setup in _runs(args) if not steady[setup].is_saturated]
    return found + _made(pool, runs, args.seconds), runs


def _with_seeds(args: argparse.Namespace, pool: ProcessPoolExecutor) -> list[Figures]:
    """What some scenarios come to with several seeds, for 1,000 processes today."""
    setup = setup_of(Setup(1, sampled=args.sampled), 1_000, "today")
    seeds = range(args.seed, args.seed + _SEEDS)
    runs = [(name, replace(setup, seed=seed)) for name in _WITH_SEEDS for seed in seeds]
    return _made(pool, runs, args.seconds)


def _made(
    pool: ProcessPoolExecutor, runs: list[tuple[str, Setup]], seconds: float | None
) -> list[Figures]:
    found = []
    waiting = [pool.submit(run_one, name, setup, seconds) for name, setup in runs]
    for each in waiting:
        found.append(each.result())
        print(in_a_line(found[-1]), flush=True)
    return found


def _write(args: argparse.Namespace, found: list[Figures], seeds: list[Figures]) -> None:
    command = f"python -m tests.simulation --seed {args.seed} --write"
    write_page(found, seeds, f".venv/bin/{command}")
    for name in SCENARIOS:
        panels = [
            each
            for processes in (100, 1_000)
            for each in found
            if each.scenario == name and each.processes == processes
        ]
        if SCENARIOS[name].has_event and panels:
            draw_load(panels, command, FOLDER / f"{name}.svg")


if __name__ == "__main__":
    sys.exit(main())
