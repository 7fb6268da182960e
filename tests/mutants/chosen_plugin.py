"""A plugin of pytest: runs the chosen tests of the files that it was given, in the chosen order,
and writes down the last one that began.

Names on the command line would not do: some parameters hold what pytest reads as something else.
"""

import os
from pathlib import Path

import pytest

CHOSEN = "MUTANTS_CHOSEN"
LAST = "MUTANTS_LAST"


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write down which test runs: with ``-x`` the last one is the one that failed or hangs."""
    Path(os.environ[LAST]).write_text(nodeid)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    names = Path(os.environ[CHOSEN]).read_text().splitlines()
    order = {name: number for number, name in enumerate(names)}
    whole_files = {name for name in names if "::" not in name}
    kept = [
        item for item in items if item.nodeid in order or item.nodeid.split("::")[0] in whole_files
    ]
    items[:] = sorted(kept, key=lambda item: order.get(item.nodeid, len(order)))
