"""The sizes and headers of files, as CONTRIBUTING asks for them."""

import ast
import re
from pathlib import Path

from .test_docstrings import FILES, OTHERS, ROOT

RELATIVE = re.compile(r"(What|Which|Who|Whom|Whose|Where|Whether|Until|How (?!to\b))\b")
"""How a header begins that tells what holds, and not what is in the file."""
LONGEST, LONGEST_TEST = 480, 500
"""Lines."""


def header_of(path: Path) -> str:
    """Return the first line of the docstring of a module; empty: there is none."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def length_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_headers_say_what_is_in_the_file() -> None:
    headers = {str(path.relative_to(ROOT)): header_of(path) for path in (*FILES, *OTHERS)}
    assert {path: text for path, text in headers.items() if RELATIVE.match(text)} == {}


def test_files_of_the_package_have_one_subject_and_are_small() -> None:
    lengths = {path.relative_to(ROOT): length_of(path) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}
    assert sum(lines > 300 for lines in lengths.values()) <= len(lengths) // 25, "most stay under"


def test_files_of_tests_are_split_by_subject() -> None:
    tests = [path for path in OTHERS if path.name.startswith("test_")]
    assert {path: length_of(path) for path in tests if length_of(path) > LONGEST_TEST} == {}
