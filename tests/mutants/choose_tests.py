"""The tests that may find a mutant, quickest first."""

import ast
from functools import cache
from pathlib import Path

from .layers import PACKAGE, needs_cluster
from .mutant import Mutant
from .recorded import Recorded, fallback_tests


def choose_tests(
    recorded: Recorded, tree: Path, layer: str, mutant: Mutant, *, most_seconds: float
) -> list[str]:
    """The tests that execute the changed code, those without a cluster first, then by time.

    The list ends when the tests together take ``most_seconds``. Without any recorded test the
    answer is the layer's fallback: files of tests that run the code in other processes.
    """
    tests = recorded.of_lines(mutant.path, mutant.lines)
    if not mutant.lines and mutant.names:
        for path, lines in _uses(tree, mutant.names[0]):
            tests |= recorded.of_lines(path, lines)
        tests = tests or recorded.of_file(mutant.path)
    if not tests:
        fallback = fallback_tests(layer)
        tests = recorded.in_files(fallback)
        if not tests:
            return list(fallback)
    chosen, total = [], 0.0
    for test in sorted(tests, key=lambda one: (needs_cluster(one), recorded.seconds[one], one)):
        total += recorded.seconds[test]
        if chosen and total > most_seconds:
            break
        chosen.append(test)
    return chosen


def _uses(tree: Path, name: str) -> list[tuple[str, tuple[int, ...]]]:
    """The lines of the package that read a name, also as an attribute or a keyword."""
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
        found[file.relative_to(tree).as_posix()] = lines
    return found
