"""The page about standards names tests that exist, and leaves no requirement of a chapter out."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "why" / "security.md"
STATES = {"met", "partly", "not met", "not applicable", "absent"}
SHOWN = {"met", "partly"}
WHOLE = {
    # The last requirement of each section that is listed one by one.
    "ASVS 6": {"6.1": 3, "6.2": 12, "6.3": 8, "6.4": 6},
    "ASVS 7": {"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3},
    "ASVS 9": {"9.1": 3, "9.2": 4},
    "ASVS 16": {"16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 4},
    "RFC 8725": {"3": 12},
}
_LINK = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")


def rows() -> list[tuple[str, list[str]]]:
    """Each row of the tables with the heading above it."""
    found, heading = [], ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif re.match(r"\| \d", line):
            found.append((heading, [cell.strip() for cell in line.strip("|").split(" | ")]))
    return found


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0].split(':')[0]}: {row[1][0]}")
def test_what_is_called_met_is_shown_by_tests_that_exist(row):
    _, cells = row
    assert len(cells) == 5
    number, requirement, state, how, tests = cells
    assert requirement
    assert state in STATES
    links = _LINK.findall(tests)
    assert bool(links) == (state in SHOWN), number
    # What is not wholly met says why.
    assert how or state == "met"
    for name, target in links:
        path = (PAGE.parent / target).resolve()
        assert name in names_in(path), f"{target} has no {name}"


def test_no_requirement_of_a_chapter_is_left_out():
    listed: dict[str, set[str]] = {}
    for heading, (numbers, *_) in rows():
        first, _, last = numbers.partition(" to ")
        section, _, start = first.rpartition(".")
        end = int((last or first).rpartition(".")[2])
        listed.setdefault(heading.split(":")[0], set()).update(
            f"{section}.{number}" for number in range(int(start), end + 1) if section
        )
    for chapter, sections in WHOLE.items():
        wanted = {f"{part}.{n}" for part, last in sections.items() for n in range(1, last + 1)}
        assert wanted <= listed[chapter], chapter
