"""The tests that may find a mutant, quickest first."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .layers import LAYERS, PACKAGE, needs_cluster
from .mutant import Mutant
from .recorded import Recorded, fallback_tests

WORD = re.compile(r"\w+")


def choose_tests(
    recorded: Recorded, tree: Path, layer: str, mutant: Mutant, *, most_seconds: float
) -> list[str]:
    """The tests that execute the changed code, those without a cluster first, then by time.

    The list ends when the tests together take ``most_seconds``. Where no recorded test executes the
    code, the answer is the layer's fallback: files of tests that run it in other processes, as
    whole files if nothing is recorded of them.
    """
    tests = recorded.of_lines(mutant.path, mutant.lines)
    for path, lines in _generated(tree, mutant):
        tests |= recorded.of_lines(path, lines)
    if mutant.is_described:
        tests |= recorded.in_files(LAYERS[layer].descriptions)
    named: set[str] = set()
    if not mutant.lines and mutant.names:
        # A setting of a class that no line reads shows where the class is used.
        for name in (mutant.names[0], mutant.names[-1]):
            if not tests:
                for path, lines in _uses(tree, name):
                    tests |= recorded.of_lines(path, lines)
        tests = tests or recorded.of_file(mutant.path)
        named = _naming(tree, recorded, mutant.names[-1])
        if mutant.names[0] != mutant.names[-1]:
            for path, lines in _uses(tree, mutant.names[-1]):
                named |= recorded.of_lines(path, lines)
        tests |= named
    # A test that has the name among its parameters is about nothing else.
    about = mutant.names[0] if named else ""
    whole_files: list[str] = []
    if not tests:
        fallback = fallback_tests(layer)
        tests = recorded.in_files(fallback)
        whole_files = [file for file in fallback if not recorded.in_files((file,))]
    # Each function once before any of them with other parameters, most of which are other engines.
    seen: Counter[str] = Counter()
    ranked = []
    for test in sorted(tests, key=lambda one: (recorded.seconds[one], one)):
        function, _, parameters = test.partition("[")
        closeness = 0 if about and about in parameters else 1 + (test not in named)
        ranked.append((needs_cluster(test), closeness, seen[function], len(ranked), test))
        seen[function] += 1
    chosen, total = [], 0.0
    for *_, test in sorted(ranked):
        total += recorded.seconds[test]
        if chosen and total > most_seconds:
            break
        chosen.append(test)
    return [*chosen, *whole_files]


def _generated(tree: Path, mutant: Mutant) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The lines of the synchronous function that is generated from the changed one."""
    path = mutant.path.replace("/aio/", "/sync/")
    if mutant.lines and path != mutant.path and (tree / path).exists():
        for node in ast.walk(ast.parse((tree / path).read_bytes())):
            if isinstance(node, ast.FunctionDef) and node.name == mutant.names[-1]:
                yield path, tuple(range(node.body[0].lineno, (node.end_lineno or 0) + 1))


def _naming(tree: Path, recorded: Recorded, name: str) -> set[str]:
    """The tests whose text has the name: what a class or a constant is shows where it is used."""
    words = {file: _words(tree / file) for file in {one.split("::")[0] for one in recorded.seconds}}
    found = set()
    for test in recorded.seconds:
        file, *_, function = test.split("[")[0].split("::")
        found |= (
            {test} if name in words[file].get(function, ()) or name in words[file][""] else set()
        )
    return found


@cache
def _words(file: Path) -> dict[str, set[str]]:
    """The words of each function of a test file, and under "" those outside of functions."""
    text = file.read_text("utf-8")
    lines = text.splitlines()
    words: dict[str, set[str]] = {}
    inside: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            numbers = range(node.lineno - 1, node.end_lineno or node.lineno)
            inside.update(numbers)
            words[node.name] = set(WORD.findall("\n".join(lines[number] for number in numbers)))
    outside = [
        line
        for number, line in enumerate(lines)
        if number not in inside and not line.startswith(("from ", "import ", "    "))
    ]
    words[""] = set(WORD.findall("\n".join(outside)))
    return words


def _uses(tree: Path, name: str) -> list[tuple[str, tuple[int, ...]]]:
    """The lines of the package that read a name, also as an attribute, and the first lines of
    functions that take what the name says."""
    return [
        (path, tuple(sorted(lines[name]))) for path, lines in _names(tree).items() if name in lines
    ]


@cache
def _names(tree: Path) -> dict[str, dict[str, set[int]]]:
    found: dict[str, dict[str, set[int]]] = {}
    for file in sorted((tree / PACKAGE).rglob("*.py")):
        lines: dict[str, set[int]] = {}
        for node in ast.walk(ast.parse(file.read_bytes())):
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    lines.setdefault(name, set()).add(node.lineno)
                case ast.FunctionDef(args=taken) | ast.AsyncFunctionDef(args=taken):
                    for part in ast.walk(taken):
                        if isinstance(part, ast.Name):
                            lines.setdefault(part.id, set()).add(_first_line(node))
        found[file.relative_to(tree).as_posix()] = lines
    return found


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The first line of a function that runs; a docstring does not."""
    has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
    return node.body[int(has_docstring)].lineno
