"""Every mutant of a Lua script, found in its text: comparisons, numbers, dropped statements."""

import re
from collections.abc import Iterator

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
STATEMENT = re.compile(r"^[ \t]*(?P<call>[a-z_.]+\([^\n]*\))[ \t]*(?:--[^\n]*)?$", re.MULTILINE)


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """All mutants of the script, in the order of the text; scripts are ASCII."""
    text = source.decode("ascii")
    made = [*_tokens(path, text), *_statements(path, text)]
    return sorted(made, key=lambda one: (one.start, one.end, one.kind))


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
        yield _mutant(path, text, Kind.CALL, match.start("call"), match.end("call"), "")


def _mutant(path: str, text: str, kind: Kind, start: int, end: int, after: str) -> Mutant:
    line = text.count("\n", 0, start) + 1
    return Mutant(path, line, kind, start, end, text[start:end], after)
