"""``python -m tests.campaign``: exit status 1 when a promise was broken."""

import argparse
import sys
import tempfile
from pathlib import Path

from .builds import BROKEN
from .campaign import campaigns, possible
from .faults import FAULTS
from .parameters import Plan, plan_of
from .soak import soak
from .verdict import Total, details


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--node-timeout", type=float, default=1.0, help="seconds")
    parser.add_argument("--bound", type=float, default=0.5, help="the staleness bound, seconds")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only these")
    parser.add_argument(
        "--replicas",
        choices=("1", "2", "both"),
        default="both",
        help="of each of three primaries; both: shapes in turn",
    )
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
    replicas = given.replicas
    if given.broken:
        plan = plan_of(given.broken, plan)
        replicas = str(plan.replicas)
    try:
        plan = possible(plan, _say)
    except ValueError as error:
        parser.error(str(error))
    return _campaign(plan, replicas, folder)


def _campaign(plan: Plan, replicas: str, folder: Path) -> int:
    total = Total()
    for where, verdict in campaigns(plan, replicas, folder, _say):
        total.add(verdict)
        _say("\n".join(details(verdict)))
        try:
            from .picture import draw
        except ModuleNotFoundError as error:
            _say(f"no picture without {error.name}")
        else:
            draw(verdict, where / "timeline.svg")
    _say("\n".join(total.lines()))
    _say(f"kept in {folder}")
    _say(
        f"{total.operations:,} operations, {total.faults.total()} faults,"
        f" {total.violations} violations, seed {plan.seed}"
    )
    return 1 if total.violations else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _soak(minutes: float, seed: int, folder: Path) -> int:
    grown = soak(minutes, seed, folder, _say)
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
