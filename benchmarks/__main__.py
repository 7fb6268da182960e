"""``python -m benchmarks`` runs all and writes docs/benchmarks.md; ``... NAME`` runs one.

Each section is written as soon as it is measured. If a ``NAME`` is given, it is written only with
``--write``. A quick run writes nothing. A measurement that could not be made leaves its section as
it is.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    call_profile,
    drivers,
    durable_logins,
    http_paths,
    http_profile,
    http_verify,
    integrations,
    jose,
    journaled_logouts,
    library_calls,
    many_processes,
    memory,
    moved_slots,
    near_memory,
    proxies,
    returning_users,
    revocation_latency,
    round_trips,
    scale,
    servers,
    start,
    strict_async,
    strict_verify,
    warm_verify,
    watched_sockets,
)
from benchmarks.report import Report, as_json, versions, with_head, with_section

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--users", type=int, default=200_000, help="for memory")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="for scale")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    parser.add_argument("--quick", action="store_true", help="few rounds and small sizes")
    parser.add_argument("--write", action="store_true", help="write the sections of NAMEs")
    measurements: dict[str, Callable[[argparse.Namespace], Report]] = {
        "warm_verify": lambda options: warm_verify.run(**_few(options, rounds=20)),
        "jose": lambda options: jose.run(**_few(options, rounds=20)),
        "strict_async": lambda options: strict_async.run(**_few(options, rounds=5)),
        "http_verify": lambda options: http_verify.run(**_few(options, rounds=2, seconds=1)),
        "http_paths": lambda options: http_paths.run(
            **_few(options, rounds=1, seconds=1, many=10_000)
        ),
        "http_profile": lambda options: http_profile.run(**_few(options, seconds=1, many=5_000)),
        "returning_users": lambda options: returning_users.run(
            **_few(options, tokens=5_000, measurements=2)
        ),
        "proxies": lambda options: proxies.run(
            **_few(options, rounds=2, seconds=1, revocations=10)
        ),
        "integrations": lambda options: integrations.run(**_few(options, rounds=5)),
        "revocation_latency": lambda options: revocation_latency.run(
            **_few(options, revocations=50)
        ),
        "watched_sockets": lambda options: watched_sockets.run(
            **_few(options, sockets=200, singles=30, idle_seconds=2.0)
        ),
        "durable_logins": lambda options: durable_logins.run(**_few(options, rounds=4)),
        "journaled_logouts": lambda options: journaled_logouts.run(**_few(options, logouts=500)),
        "many_processes": lambda options: many_processes.run(
            **_few(options, counts=(40,), rounds=2, idle_seconds=3.0)
        ),
        "moved_slots": lambda options: moved_slots.run(**_few(options, rounds=2, seconds=2.0)),
        "library_calls": lambda options: library_calls.run(**_few(options, rounds=3, calls=500)),
        "call_profile": lambda options: call_profile.run(**_few(options, seconds=1.0)),
        "scale": lambda options: scale.run(
            **_few(options, rounds=5) | {"sizes": _sizes(options, options.sessions)}
        ),
        "near_memory": lambda options: near_memory.run(**_few(options, sizes=(10_000,))),
        "strict_verify": lambda options: strict_verify.run(**_few(options, rounds=30)),
        "drivers": lambda options: drivers.run(**_few(options, rounds=10, many_rounds=5)),
        "round_trips": lambda _: round_trips.run(),
        "servers": lambda options: servers.run(**_few(options, rounds=1)),
        "start": lambda options: start.run(**_few(options, rounds=3)),
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
    writes = not options.quick and (options.write or not options.names)
    if writes and not options.names:
        PAGE.write_text(with_head(PAGE.read_text("utf-8")), "utf-8")
    for name in options.names or measurements:
        report = measurements[name](options)
        print(report.plain(), flush=True)
        if not options.quick:
            report.draw()
        reports.append(report)
        if writes and report.rows:
            PAGE.write_text(with_section(PAGE.read_text("utf-8"), report), "utf-8")
            print(f"Written: {PAGE}, the section {report.title}")
    if options.json is not None:
        options.json.write_text(as_json(reports), "utf-8")


def _few(options: argparse.Namespace, **values: Any) -> dict[str, Any]:
    """``values`` for a quick run; the measurement's own otherwise."""
    return values if options.quick else {}


def _sizes(options: argparse.Namespace, most: int) -> tuple[int, ...]:
    """1,000 and its multiples by ten, up to ``most``."""
    most = min(most, 10_000) if options.quick else most
    return tuple(10**power for power in range(3, 9) if 10**power <= most)


if __name__ == "__main__":
    main()
