"""Every mutant of a Lua script, found in its text: comparisons, numbers, dropped statements."""

import re
from collections.abc import Iterator
from pathlib import Path

from .mutant import Kind, Mutant

COMPARISONS = {"==": "~=", "~=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
BOUNDARIES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
# Comments and strings first, so that nothing inside them is taken for code.
TOKEN = re.compile(
    r"""(?P<quiet>--[^\n]*|'[^'\n]*'|"[^"\n]*")"""
    r"|(?P<comparison>==|~=|<=|>=|<|>)"
    r"|(?P<logic>\b(?:and|or)\b)"
    r"|(?P<not>\bnot\b\s*)"
    r"|(?P<number>(?<![\w.])\d+\b)"
)
INCLUDE = re.compile(r"^--@include (\w+)", re.MULTILINE)
STATEMENT = re.compile(r"^[ \t]*(?P<call>[a-z_.]+\([^\n]*\))[ \t]*(?:--[^\n]*)?$", re.MULTILINE)


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """All mutants of the script, in the order of the text; scripts are ASCII."""
    text = source.decode("ascii")
    made = [*_tokens(path, text), *_statements(path, text)]
    return sorted(made, key=lambda one: (one.start, one.end, one.kind))


def scripts_with(tree: Path, path: str) -> set[str]:
    """The names of the scripts in which a change of ``path`` shows: itself, or those that include
    it, also by way of others."""
    if "/_include/" not in path:
        return {Path(path).stem}
    folder = (tree / path).parents[1]
    included = {file: set(INCLUDE.findall(file.read_text())) for file in folder.rglob("*.lua")}
    reached = {Path(path).stem}
    while more := {
        file.stem
        for file, names in included.items()
        if file.parent.name == "_include" and names & reached and file.stem not in reached
    }:
        reached |= more
    return {
        file.stem
        for file, names in included.items()
        if file.parent.name != "_include" and names & reached
    }


def _tokens(path: str, text: str) -> Iterator[Mutant]:
    for match in TOKEN.finditer(text):
        for kind, after in _changes(match):
            yield _mutant(path, text, kind, match.start(), match.end(), after)


def _changes(match: re.Match[str]) -> Iterator[tuple[Kind, str]]:
    token = match.group()
    if match["comparison"]:
        yield Kind.COMPARISON, COMPARISONS[token]
        if token in BOUNDARIES:
            yield Kind.BOUNDARY, BOUNDARIES[token]
    elif match["logic"]:
        yield Kind.LOGIC, "or" if token == "and" else "and"
    elif match["not"]:
        yield Kind.NOT, ""
    elif match["number"]:
        yield Kind.NUMBER, str(int(token) + 1)


def _statements(path: str, text: str) -> Iterator[Mutant]:
    for match in STATEMENT.finditer(text):
        call, before = match["call"], text[: match.start()].rstrip()
        # A part of a statement: the beginning of a longer call, or what follows an operator.
        if call.count("(") != call.count(")") or before.endswith(("=", ",", "(", " and", " or")):
            continue
        yield _mutant(path, text, Kind.CALL, match.start("call"), match.end("call"), "")


def _mutant(path: str, text: str, kind: Kind, start: int, end: int, after: str) -> Mutant:
    line = text.count("\n", 0, start) + 1
    return Mutant(path, line, kind, start, end, text[start:end], after)
