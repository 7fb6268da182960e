"""The tests that may find a mutant, quickest first."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .layers import ABOUT_INCLUDES, LAYERS, PACKAGE, needs_cluster
from .lua_source import scripts_with
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
    if mutant.path.endswith(".lua"):
        tests = _calling(recorded, tree, mutant.path)
    for path, lines in _generated(tree, mutant):
        tests |= recorded.of_lines(path, lines)
    if mutant.is_described:
        tests |= recorded.in_files(LAYERS[layer].descriptions)
    of_constants = set() if mutant.lines else recorded.in_files(LAYERS[layer].constants)
    named = _about_script(tests, mutant.path)
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
        tests |= named | of_constants
    # A test that has the name among its parameters is about nothing else.
    about = mutant.names[0] if named and mutant.names else ""
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
    is_script = mutant.path.endswith(".lua")
    for *_, test in sorted(ranked):
        # Half of the time is left to tests of other subjects, where an include is at work too.
        limit = most_seconds / 2 if is_script and test in named else most_seconds
        if not chosen or total + recorded.seconds[test] <= limit:
            total += recorded.seconds[test]
            chosen.append(test)
    return [*chosen, *whole_files]


def _calling(recorded: Recorded, tree: Path, path: str) -> set[str]:
    """The tests over a cluster that execute what makes calls of a script, or of one that includes
    the changed text; and those that are about it."""
    tests = recorded.in_files(ABOUT_INCLUDES.get(Path(path).stem, ()))
    for name in scripts_with(tree, path):
        for file, lines in _script_uses(tree).get(name, {}).items():
            tests |= recorded.of_lines(file, tuple(lines))
    return {test for test in tests if needs_cluster(test)}


def _about_script(tests: set[str], path: str) -> set[str]:
    """Return the tests that are about the changed include, or about scripts in general."""
    about = ("tests/cluster/test_scripts.py",)
    if "/_include/" in path:
        about = ABOUT_INCLUDES.get(Path(path).stem, about)
    is_script = path.endswith(".lua")
    return {test for test in tests if is_script and test.split("::")[0] in about}


@cache
def _script_uses(tree: Path) -> dict[str, dict[str, set[int]]]:
    """The lines of the functions that name a script, or a constant made with its name."""
    found: dict[str, dict[str, set[int]]] = {}
    for file in sorted((tree / PACKAGE / "protocol/calls").glob("*.py")):
        parsed = ast.parse(file.read_bytes())
        names = {
            target.id: text
            for statement in parsed.body
            if isinstance(statement, ast.Assign | ast.AnnAssign)
            for text in _texts(statement)
            for target in ast.walk(statement)
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
        }
        for function in ast.walk(parsed):
            if isinstance(function, ast.FunctionDef):
                read = {one.id for one in ast.walk(function) if isinstance(one, ast.Name)}
                lines = range(_first_line(function), (function.end_lineno or 0) + 1)
                for text in _texts(function) | {names[one] for one in read & names.keys()}:
                    of_file = found.setdefault(text, {})
                    of_file.setdefault(file.relative_to(tree).as_posix(), set()).update(lines)
    return found


def _texts(node: ast.AST) -> set[str]:
    return {
        one.value
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }


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
