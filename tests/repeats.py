"""Tests that start servers may be repeated once, and whatever passed only then is told.

Such a test starts processes, stops and kills them, and waits for what others do; on cores that are
busy with dozens of servers, one of some thousand misses a deadline now and then. A run is not worth
less for that, as long as nobody overlooks it: the summary names the tests with their failures, and
a run in which more than :data:`MOST` tests were repeated fails, as does any test that fails twice.

``--everything`` repeats nothing, and nor does a run of chosen files. What computes, and starts
nothing, is never repeated.
"""

from typing import Any, Final

import pytest

MOST: Final = 5
_WHOLE: Final = "clusterpass_is_whole"
_NEVER: Final = ("tests/unit/", "tests/docs/", "tests/security/", "tests/journal_model/")


def is_repeated(nodeid: str) -> bool:
    """Whether the test starts servers, or is about what they do."""
    return not nodeid.startswith(_NEVER)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.everything or not _is_whole(config):
        return
    for item in items:
        if is_repeated(item.nodeid):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist whether the run is one of all tests."""
    node.workerinput[_WHOLE] = _is_whole(node.config)


def _is_whole(config: pytest.Config) -> bool:
    told: dict[str, Any] | None = getattr(config, "workerinput", None)
    if told is not None:
        return bool(told[_WHOLE])
    return config.args_source is not pytest.Config.ArgsSource.ARGS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    repeated = terminalreporter.stats.get("rerun", [])
    if not repeated:
        return
    terminalreporter.section("failed at first, and were repeated")
    for report in repeated:
        crash = getattr(report.longrepr, "reprcrash", None)
        lines = str(getattr(crash, "message", "") or report.longrepr).splitlines()
        terminalreporter.write_line(f"{report.nodeid} ({report.when}): {lines[0] if lines else ''}")
    if len(repeated) > MOST:
        terminalreporter.write_line(f"more than {MOST}: the run has failed")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and len(reporter.stats.get("rerun", [])) > MOST:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
