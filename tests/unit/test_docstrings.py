"""Docstrings read alone: each names its subject, as a tooltip shows it out of context."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "src" / "clusterpass").rglob("*.py"))
FOLDERS = ("benchmarks", "examples", "scripts", "tests")
OTHERS = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
DANGLING = re.compile(r"(It|Its|They|One of them|The same|See|This one|Those|These)\b")
EMPTY = re.compile(r"(It|One of them|All of them|The same)\b")
"""What says nothing anywhere, also beside the code that it is about."""


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of the docstrings of a module, and of its public definitions.

    These are classes, functions, and attributes: names that are set in a module, in a class or in
    ``__init__``. Definitions inside another function are not public, and neither are members of a
    private class.
    """
    todo: list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]
    todo = [ast.parse(source)]
    while todo:
        node = todo.pop()
        text = ast.get_docstring(node)
        if text is not None:
            yield getattr(node, "lineno", 1), text
        if isinstance(node, ast.Module | ast.ClassDef) or node.name == "__init__":
            yield from attributes(node.body)
        if isinstance(node, ast.Module | ast.ClassDef):
            todo += [
                child
                for child in node.body
                if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and (not child.name.startswith("_") or child.name == "__init__")
            ]


def attributes(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Yield line and text of the docstrings of public attributes that are set in ``body``."""
    for before, node in pairwise(body):
        match before, node:
            case (
                ast.AnnAssign(target=target) | ast.Assign(targets=[target]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                name = getattr(target, "attr", getattr(target, "id", "_"))
                if not name.startswith("_"):
                    yield node.lineno, text


def dangling(source: str, words: re.Pattern[str] = DANGLING) -> list[str]:
    return [
        f"line {line}: {text.splitlines()[0]}"
        for line, text in sorted(docstrings(source))
        if words.match(text)
    ]


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix().removesuffix(".py")
)
def test_no_docstring_begins_with_a_word_that_points_elsewhere(path: Path) -> None:
    assert dangling(path.read_text("utf-8")) == []


def test_no_docstring_beside_the_package_begins_so_either() -> None:
    found = {str(path): dangling(path.read_text("utf-8"), EMPTY) for path in OTHERS}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "begin",
    ["It", "Its", "They", "One of them", "The same", "See", "This one", "Those", "These"],
)
def test_each_of_these_words_is_found(begin: str) -> None:
    module = f'"""{begin} of a module."""\n'
    members = f'class A:\n    """{begin}."""\n    def b(self):\n        """{begin} is."""\n'
    names = f'C = 1\n"""{begin}."""\nclass D:\n    e: int\n    """{begin} is."""\n'
    of_objects = f'class F:\n    def __init__(self):\n        self.g = 1\n        """{begin}."""\n'
    assert len(dangling(module + members + names + of_objects)) == 6


def test_other_words_and_private_names_are_not_found() -> None:
    assert dangling('"""Seen, Itself, Theses: none of these words is meant."""') == []
    assert dangling('def _a():\n    """It is private."""\n') == []
    assert dangling('class _A:\n    def b(self):\n        """It is private too."""\n') == []
    assert dangling('_A = 1\n"""It is private as well."""\n') == []
    assert dangling('class A:\n    def __init__(self):\n        """The same as above."""\n') != []
