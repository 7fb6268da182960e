"""Draws mutants, runs the tests that execute them, and prints the score of each layer."""

import argparse
import sys
import time
from importlib.util import find_spec

from .choose_tests import choose_tests
from .layers import LAYERS, TEST_FOLDERS, check_paths
from .record import LONGEST_FILE, record
from .recorded import check_layers
from .report import score_lines, survivor_lines
from .sample import draw
from .scratch_copy import ROOT, scratch_copy
from .trial import Outcome, Verdict, try_mutant


def main() -> int:
    """The exit status: 1 when the share of found mutants is below ``--least``."""
    options = _options()
    layers = options.layer or list(LAYERS)
    outcomes: list[Outcome] = []
    with scratch_copy() as copy:
        check_paths(copy.tree)
        drawn = list(
            draw(copy.tree, layers, seed=options.seed, count=options.count, subtle=options.subtle)
        )
        if options.list:
            print("\n".join(f"{layer:9} {mutant.describe()}" for layer, mutant in drawn))
            return 0
        if find_spec("coverage") is None:
            sys.exit(
                "coverage.py is missing: pip install -e '.[dev,mutants]', as make mutants does"
            )
        recorded = record(copy, options.tests or TEST_FOLDERS, longest_file=options.longest_file)
        check_layers(copy.tree, recorded, layers)
        end = time.monotonic() + options.minutes * 60
        for number, (layer, mutant) in enumerate(drawn, 1):
            if time.monotonic() > end:
                print(f"stopped after {number - 1} of {len(drawn)} mutants: the time is up")
                break
            tests = choose_tests(
                recorded, copy.tree, layer, mutant, most_seconds=options.most_seconds
            )
            outcome = try_mutant(copy, recorded, layer, mutant, tests)
            outcomes.append(outcome)
            print(
                f"{number:3} {layer:9} {outcome.seconds:5.1f} s {mutant.describe()}\n"
                f"    {outcome.verdict} {outcome.found_by or f'({outcome.tests} tests)'}",
                flush=True,
            )
    print("", *score_lines(outcomes), "", *survivor_lines(outcomes), sep="\n")
    judged = [one for one in outcomes if one.verdict is not Verdict.NONE]
    found = sum(one.is_found for one in judged)
    return int(100 * found < options.least * len(judged))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same sample")
    parser.add_argument("--count", type=int, default=60, help="mutants in the sample")
    parser.add_argument("--layer", action="append", choices=list(LAYERS), help="may be repeated")
    parser.add_argument(
        "--tests",
        action="append",
        type=_tests,
        help=f"a file, or one of {', '.join(TEST_FOLDERS)}: only these tests; may be repeated",
    )
    parser.add_argument("--subtle", action="store_true", help="only changes that are hard to find")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    parser.add_argument(
        "--least", type=float, default=0, help="the score in percent that is demanded"
    )
    parser.add_argument("--minutes", type=float, default=600, help="stop after so long")
    parser.add_argument(
        "--longest-file",
        type=float,
        default=LONGEST_FILE,
        help="seconds for the recording of a test file; one that takes longer plays no part",
    )
    parser.add_argument(
        "--most-seconds", type=float, default=60, help="recorded time of the tests of one mutant"
    )
    return parser.parse_args()


def _tests(path: str) -> str:
    if path not in TEST_FOLDERS and not (ROOT / path).is_file():
        raise argparse.ArgumentTypeError(f"{path} is no folder of tests, and no file")
    return path


if __name__ == "__main__":
    sys.exit(main())
