"""``python -m benchmarks.apps [NAME ...]`` compares apps: all, for docs/why/apps.md, or some."""

import argparse

from benchmarks.apps.candidates import CANDIDATES, ROOT, find
from benchmarks.apps.measure import measure
from benchmarks.apps.report_page import page, summary
from clusterpass import EmbeddedCluster

PAGE = ROOT / "docs" / "why" / "apps.md"
NODE_TIMEOUT = 60.0
"""Seconds; the outage is shorter, so that no node is failed over."""


def main() -> None:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.apps", description=__doc__)
    names = [candidate.name for candidate in CANDIDATES]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no app is called {min(unknown)}; there are {', '.join(names)}")
    measured = []
    with EmbeddedCluster(nodes=6, node_timeout=NODE_TIMEOUT) as cluster:
        for name in options.names or names:
            measured.append(measure(find(name), cluster))
            print(summary(measured[-1]), flush=True)
    if not options.names:
        PAGE.write_text(page(measured), "utf-8")
        print(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
