"""``python -m tests.campaign``: exit status 1 when a promise was broken."""

import argparse
import sys
import tempfile
from pathlib import Path

from .builds import BROKEN
from .campaign import Plan, plan_of, run, summary
from .faults import FAULTS
from .soak import soak


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--node-timeout", type=float, default=1.0, help="seconds")
    parser.add_argument("--bound", type=float, default=0.5, help="the staleness bound, seconds")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only these")
    parser.add_argument(
        "--broken", choices=sorted(BROKEN), help="a build that is broken on purpose"
    )
    parser.add_argument("--server", help="the path of a server to use instead of the wheel's")
    parser.add_argument("--out", type=Path, help="where to keep the history and the picture")
    parser.add_argument(
        "--soak", type=float, metavar="MINUTES", help="live on, and look what grows"
    )
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp(prefix="campaign-"))
    if given.soak is not None:
        return _soak(given.soak, given.seed, folder)
    plan = Plan(
        faults=given.faults,
        names=tuple(given.fault or FAULTS),
        seed=given.seed,
        bound=given.bound,
        node_timeout=given.node_timeout,
        server=given.server,
    )
    if given.broken:
        plan = plan_of(given.broken, plan)
    verdict = run(plan, folder, lambda line: print(line, flush=True))
    print(summary(verdict))
    try:
        from .picture import draw
    except ModuleNotFoundError as error:
        print(f"no picture without {error.name}")
    else:
        draw(verdict, folder / "timeline.svg")
    print(f"kept in {folder}")
    return 1 if verdict.violations else 0


def _soak(minutes: float, seed: int, folder: Path) -> int:
    grown = soak(minutes, seed, folder, lambda line: print(line, flush=True))
    print("\n".join(["nothing has grown"] if not grown else ["has grown, or failed:", *grown]))
    try:
        from .picture import draw_soak
    except ModuleNotFoundError as error:
        print(f"no picture without {error.name}")
    else:
        draw_soak(folder / "samples.json", folder / "soak.svg")
    print(f"kept in {folder}")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
