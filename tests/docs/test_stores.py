"""The claims of docs/reference/stores.md: the tests that it names exist and run there."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from clusterpass.store.acl import ALWAYS, FOR_AUDIT, FOR_FSYNC, FOR_LIMITS, FOR_SWITCHING, FOR_USERS
from clusterpass.store.missing_commands import LEFT_UNDONE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "stores.md").read_text("utf-8")
_TEST: Final = re.compile(r"`((?:field|cluster|unit)/[\w/]+\.py)::(\w+)`")
_CODE: Final = re.compile(r"`([^`]+)`")
PROGRAMS: Final = {"Valkey 9": "valkey", "Redis 7.0": "redis"}
"""The columns whose programs the tests of tests/field run with, and what their ids begin with."""
WORDS: Final = re.compile(r"tried|by hand|untried|none|no: .+")
"""What the cells of a table may say."""


def table(heading: str) -> list[dict[str, str]]:
    """The rows of the first table below a heading, by the names of their columns."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert rows
    return [dict(zip(head, row, strict=True)) for row in rows]


SERVERS, MANAGED, COMMANDS = table("Servers"), table("Managed services"), table("Commands")
NETWORK = table("The network in between")


@pytest.fixture(scope="module")
def collected() -> dict[str, set[str]]:
    """The ids of the parameters of each test in tests/field, by its name."""
    options = ("--collect-only", "-q", "-p", "no:cacheprovider", "--everything")
    arguments = ("-m", "pytest", *options, "tests/field")
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        file, separator, rest = line.removeprefix("tests/").partition("::")
        if separator:
            name, _, parameters = rest.partition("[")
            found[f"{file}::{name}"].add(parameters.rstrip("]"))
    return found


def named(row: dict[str, str]) -> list[str]:
    """The tests that a row names."""
    return [f"{file}::{test}" for file, test in _TEST.findall(row["tests"])]


@pytest.mark.parametrize(
    "row", [*SERVERS, *MANAGED, *COMMANDS, *NETWORK], ids=lambda row: next(iter(row.values()))
)
def test_the_tests_that_are_named_exist(row: dict[str, str]):
    assert not _TEST.sub("", row["tests"]).strip(" ,"), "nothing but names of tests"
    for test in named(row):
        file, name = test.split("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text("utf-8"), test
    if "tried" in row.values() or row not in NETWORK:
        assert named(row), "what was tried names a test"


@pytest.mark.parametrize("row", SERVERS, ids=lambda row: row["what"])
def test_what_was_tried_runs_on_each_server_that_is_named(
    row: dict[str, str], collected: dict[str, set[str]]
):
    for column, cell in row.items():
        if column not in {"what", "tests"}:
            assert WORDS.fullmatch(cell), cell
    for test in named(row):
        if test.startswith("field/"):
            for column, program in PROGRAMS.items():
                runs = any(re.search(rf"\b{program}\b", each) for each in collected[test])
                assert runs or row[column] != "tried", (test, column)


def test_each_command_that_is_used_is_explained():
    explained = {
        name.lower().replace(" ", "|") for row in COMMANDS for name in _CODE.findall(row["command"])
    }
    used = {*ALWAYS, *FOR_USERS, *FOR_LIMITS, *FOR_SWITCHING, *FOR_FSYNC, *FOR_AUDIT}
    assert used <= explained
    told = {row["command"] for row in COMMANDS if "`missing_commands`" in row["without it"]}
    listed = {name for cell in told for name in _CODE.findall(cell)}
    assert {*LEFT_UNDONE} - {"CLIENT", "TIME"} <= listed
