"""``python -m tests.journal_model``: search with all rules kept, then with each one off."""

import argparse
import sys
import time

from .histories import histories
from .known_violations import BEYOND, search_beyond
from .power import DANGERS, SKETCH, rule_of, search_danger, search_sketch
from .rules import WORDS, Rules
from .scenarios import WORLDS
from .search import Result, prefixes
from .world import World


def _show(name: str, result: Result, began: float, traced: bool) -> None:
    found = ", ".join(result.violations)
    verdict = f"VIOLATED: {found}" if found else "no violation"
    seen = ", ".join(f"{count} {what}" for what, count in result.seen.items())
    seconds = time.process_time() - began
    print(
        f"{name}: {verdict}; {result.states:,} states, {result.steps:,} steps, {seconds:.0f} s"
        + (f"; {seen}" if seen else ""),
        flush=True,
    )
    if traced:
        for trace in result.violations.values():
            print("    " + "\n    ".join(trace), flush=True)


def _with_all_rules(args: argparse.Namespace) -> int:
    print("-- all rules kept: nothing may be violated")
    states = steps = violated = 0
    for name, world in WORLDS.items():
        if args.only in name:
            result, began = Result(), time.process_time()
            more = {"faults": args.faults} if args.faults else {}
            histories(World(Rules(), **{**world, **more}), args.seed, result, seconds=args.seconds)
            _show(name, result, began, traced=True)
            states, steps = states + result.states, steps + result.steps
            violated += bool(result.violations)
    for name in DANGERS if not args.only else ():
        began = time.process_time()
        result = search_danger(name, Rules(), args.near)
        there = World(Rules(), **DANGERS[name].world)
        starts = prefixes(there, DANGERS[name].steps)
        histories(there, args.seed, result, seconds=args.seconds / 3, starts=starts)
        _show(f"near the danger of {name}", result, began, traced=True)
        states, steps = states + result.states, steps + result.steps
        violated += bool(result.violations)
    print(f"together {states:,} states, {steps:,} steps, {violated} violated, seed {args.seed}")
    return violated


def _with_one_off(args: argparse.Namespace) -> int:
    print("-- one rule off: a violation must be found")
    missed = 0
    for name in DANGERS:
        if args.only in name:
            began = time.process_time()
            result = search_danger(name, Rules().without(rule_of(name)), 60_000)
            _show(f"without {name} ({WORDS[rule_of(name)]})", result, began, args.trace)
            missed += not result.violations
    return missed


def _sketch(args: argparse.Namespace) -> int:
    print("-- the first sketch: violations")
    missed = 0
    for name in SKETCH:
        began = time.process_time()
        result = search_sketch(name, 60_000)
        _show(name, result, began, args.trace)
        missed += not result.violations
    return missed


def _beyond(args: argparse.Namespace) -> int:
    print("-- all rules kept, and what nothing averts: violations")
    missed = 0
    for name in BEYOND:
        began = time.process_time()
        result = search_beyond(name, 60_000)
        _show(name, result, began, args.trace)
        missed += not result.violations
    return missed


_PARTS = {
    "rules": _with_all_rules,
    "power": _with_one_off,
    "sketch": _sketch,
    "beyond": _beyond,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.journal_model",
        description="Search the model of the journal of endings for violations.",
    )
    parser.add_argument("--part", default="all", choices=["all", *_PARTS])
    parser.add_argument(
        "--seconds",
        type=float,
        default=15,
        help="of processor time, for each world (%(default)s); a third of it for each danger",
    )
    parser.add_argument("--near", type=int, default=40_000, help="states near each danger")
    parser.add_argument("--faults", type=int, help="at most, in each world (mostly 3)")
    parser.add_argument("--seed", type=int, default=1, help="of the random histories")
    parser.add_argument("--only", default="", help="worlds or rules whose name contains this")
    parser.add_argument("--trace", action="store_true", help="print all counterexamples")
    args = parser.parse_args()
    chosen = _PARTS if args.part == "all" else [args.part]
    return int(sum(_PARTS[part](args) for part in chosen) > 0)


if __name__ == "__main__":
    sys.exit(main())
