"""Selects the tests of a run: a sample by a printed seed, or all with ``--everything``.

- A contract test (one that takes the fixture ``engine``) runs on two of the five pairs of an engine
  and a face. The two together always show both engines and both faces.
- Of a test with the mark ``sampled(count)``, ``count`` of its parameters run.
- Tests with the mark ``alternating`` take long: of those of a file, every other one runs.
- A test with the mark ``long`` is the longer form of another one and does not run.

The seed is the number of days since the epoch, so the choice moves on daily and every pair has its
turn within three days. ``CLUSTERPASS_TEST_SEED`` sets another. What is named on the
command line or chosen by ``-k`` with its parameters is not left out.
"""

import os
import time
import zlib
from collections import Counter, defaultdict
from typing import Any, Final

import pytest

SEED_VARIABLE: Final = "CLUSTERPASS_TEST_SEED"
_SECONDS_OF_A_DAY: Final = 86_400
ENGINES: Final = (
    ("cluster", "sync"),
    ("cluster", "async"),
    ("redis_cluster", "sync"),
    ("redis_cluster", "async"),
    ("single_server", "sync"),
)
"""The parameters of the fixture ``engine``: the servers, and the manager's face."""
_SAMPLES: Final = (
    {("cluster", "sync"), ("redis_cluster", "async")},
    {("cluster", "async"), ("redis_cluster", "sync")},
    {("single_server", "sync"), ("redis_cluster", "async")},
)
_LEFT_OUT = pytest.StashKey[Counter[str]]()
SEED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--everything",
        action="store_true",
        help="run all tests: every engine and face, every broken build, the long forms",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sampled(count): run a sample of its parameters")
    config.addinivalue_line("markers", "alternating: run with every other seed")
    config.addinivalue_line("markers", "long: the longer form of another test")
    config.stash[_LEFT_OUT] = Counter()
    given = getattr(config, "workerinput", {}).get(SEED_VARIABLE)
    # The programs that tests start read their settings from variables with this prefix.
    text = given or os.environ.pop(SEED_VARIABLE, "") or str(int(time.time()) // _SECONDS_OF_A_DAY)
    try:
        config.stash[SEED] = int(text)
    except ValueError:
        raise pytest.UsageError(f"{SEED_VARIABLE} must be a whole number, not {text!r}") from None


def pytest_report_header(config: pytest.Config) -> str:
    if config.option.everything:
        return "selection: everything"
    from tests.campaign.builds import BROKEN
    from tests.campaign.test_campaign import SAMPLED_BUILDS

    return (
        f"selection: {SEED_VARIABLE}={config.stash[SEED]}; contract tests on 2 of"
        f" {len(ENGINES)} engines and faces, {SAMPLED_BUILDS} of {len(BROKEN)} broken builds"
        f" ({len(BROKEN) - SAMPLED_BUILDS} left out); --everything runs all"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker of pytest-xdist the seed of the whole run."""
    node.workerinput[SEED_VARIABLE] = str(node.config.stash[SEED])


@pytest.hookimpl(trylast=True)  # what -k leaves out is gone by now
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.everything:
        return
    left_out = _left_out(config, items)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
    config.stash[_LEFT_OUT].update(left_out.values())


@pytest.fixture(scope="session")
def selection_seed(pytestconfig: pytest.Config) -> int:
    """The seed by which samples are chosen: another one each day, unless it is given."""
    return pytestconfig.stash[SEED]


def _left_out(config: pytest.Config, items: list[pytest.Item]) -> dict[pytest.Item, str]:
    """Return the tests that are left out, each with its category for the summary."""
    seed = config.stash[SEED]
    left_out = {
        item: "long forms"
        for item in items
        if item.get_closest_marker("long") and not _is_named(config, item)
    }
    left_out |= dict.fromkeys(other_engines(items, seed), "contract tests on other engines")
    marked = [item for item in items if item.get_closest_marker("alternating")]
    resting = [item for item in those_that_rest(marked, seed) if not _is_named(config, item)]
    left_out |= dict.fromkeys(resting, "long tests that take turns")
    sampled: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled") and item not in left_out:
            sampled[_function_of(item)].append(item)
    for function, cases in sampled.items():
        mark: Any = cases[0].get_closest_marker("sampled")
        left_out |= dict.fromkeys(beyond_sample(cases, mark.args[0], seed), _of_family(function))
    return left_out


def _is_named(config: pytest.Config, item: pytest.Item) -> bool:
    return any("::" in given and item.nodeid.startswith(given) for given in config.args)


def _function_of(item: pytest.Item) -> str:
    file = item.nodeid.partition("::")[0]
    return f"{file}::{getattr(item, 'originalname', item.name)}"


def other_engines(items: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """The contract tests on engines and faces that the seed does not choose for them."""
    by_case: defaultdict[str, dict[Any, pytest.Item]] = defaultdict(dict)
    for item in items:
        call: Any = getattr(item, "callspec", None)
        if call is not None and "engine" in call.params:
            engine = call.params["engine"]
            case = call.id.replace("-".join(engine), "")
            by_case[f"{_function_of(item)}[{case}]"][engine] = item
    others: list[pytest.Item] = []
    for name, by_engine in by_case.items():
        if len(by_engine) == len(ENGINES):
            chosen = _SAMPLES[(zlib.crc32(name.encode()) + seed) % len(_SAMPLES)]
            others += [item for engine, item in by_engine.items() if engine not in chosen]
    return others


def _of_family(function: str) -> str:
    """The words for cases of a sampled test: by itself in a campaign, otherwise by the folder."""
    file, _, name = function.partition("::")
    if file.startswith("tests/campaign/"):
        return f"of {name}"
    return f"sampled cases of {'/'.join(file.split('/')[:2])}"


def those_that_rest(marked: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """Every other function of each file; with the next seed, the others."""
    functions: defaultdict[str, list[str]] = defaultdict(list)
    for function in dict.fromkeys(_function_of(item) for item in marked):
        functions[function.partition("::")[0]].append(function)
    resting = {
        function
        for file, those in functions.items()
        for index, function in enumerate(those)
        if (zlib.crc32(file.encode()) + index + seed) % 2
    }
    return [item for item in marked if _function_of(item) in resting]


def beyond_sample(cases: list[pytest.Item], count: int, seed: int) -> list[pytest.Item]:
    """All but ``count``; with the next seed the next ``count`` are chosen."""
    mixed = sorted(cases, key=lambda item: zlib.crc32(item.name.encode()))
    start = seed * count % len(mixed)
    return (mixed[start:] + mixed[:start])[count:]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the main process how many a worker left out; all workers leave out the same."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(session.config.stash[_LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[_LEFT_OUT] = Counter(told) | node.config.stash[_LEFT_OUT]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    left_out = config.stash[_LEFT_OUT]
    if left_out:
        counted = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
        terminalreporter.write_line(
            f"left out with {SEED_VARIABLE}={config.stash[SEED]}: {counted}"
        )
