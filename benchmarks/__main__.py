"""``python -m benchmarks`` runs all and writes docs/benchmarks.md; ``... NAME`` runs one."""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import drivers, jose, memory, round_trips, servers, strict_verify
from benchmarks.report import Report, as_json, page, versions

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--users", type=int, default=200_000, help="for memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    measurements: dict[str, Callable[[argparse.Namespace], Report]] = {
        "strict_verify": lambda _: strict_verify.run(),
        "drivers": lambda _: drivers.run(),
        "round_trips": lambda _: round_trips.run(),
        "jose": lambda _: jose.run(),
        "servers": lambda _: servers.run(),
        "memory": lambda options: memory.run(users=options.users),
    }
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(measurements))
    options = parser.parse_args()
    unknown = set(options.names) - measurements.keys()
    if unknown:
        parser.error(
            f"no measurement is called {min(unknown)}; there are {', '.join(measurements)}"
        )
    print(versions(), "\n")
    reports = []
    for name in options.names or measurements:
        report = measurements[name](options)
        print(report.plain(), flush=True)
        reports.append(report)
    if not options.names:
        PAGE.write_text(page(reports), "utf-8")
        print(f"Written: {PAGE}")
    if options.json is not None:
        options.json.write_text(as_json(reports), "utf-8")


if __name__ == "__main__":
    main()
