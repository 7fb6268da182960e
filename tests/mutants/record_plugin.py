"""A plugin of pytest: tells coverage.py which test runs, and writes down how long each took.

Loaded with ``-p tests.mutants.record_plugin`` under ``coverage run``. The lines that background
threads execute count for the test that runs meanwhile.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = "MUTANTS_SECONDS"
_seconds: dict[str, float] = {}
_not_passed: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    from coverage import Coverage  # here, as only an extra installs it

    measuring = Coverage.current()
    assert measuring is not None
    measuring.switch_context(item.nodeid)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not report.passed:
        _not_passed.add(report.nodeid)
    if report.when == "call":
        _seconds[report.nodeid] = round(report.duration, 4)


def pytest_sessionfinish() -> None:
    passed = {test: time for test, time in _seconds.items() if test not in _not_passed}
    Path(os.environ[SECONDS]).write_text(json.dumps(passed))
