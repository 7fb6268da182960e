"""Counts the lines of code of an app, and how many of them are glue code.

Blank lines, comments and docstrings do not count. Everything in a module is glue except its imports
and the shop itself: users, database, pages, the settings that any Django needs, and the routes that
sell. ``SHOP`` names these.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.apps.candidates import ROOT, Candidate

SHOP = frozenset(
    {
        *("USERS", "PASSWORD", "SCOPES", "User", "user_of", "check", "Login"),
        *("db", "engine", "make_db", "get_db", "DB", "Base"),
        *("LOGIN_PAGE", "PAGE", "login_page", "page", "home", "app", "routes", "urlpatterns"),
        *("login", "log_in", "me", "edit", "order", "kick"),
        *("settings.configure", "call_command", "app.add_routes"),
    }
)
_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of code of one app."""

    app: int
    glue: int


def count(candidate: Candidate) -> Lines:
    """Count the lines of all files of ``candidate``."""
    app = glue = 0
    for name in candidate.sources:
        counted = count_source((ROOT / name).read_text("utf-8"))
        app, glue = app + counted.app, glue + counted.glue
    return Lines(app, glue)


def count_source(source: str) -> Lines:
    """Count the lines of one module."""
    tree = ast.parse(source)
    code = _lines_of_code(source) - set(_docstrings(tree))
    glue: set[int] = set()
    for statement in tree.body:
        if not _is_shop(statement):
            decorators = getattr(statement, "decorator_list", [])
            start = min([statement.lineno, *(each.lineno for each in decorators)])
            glue.update(range(start, (statement.end_lineno or start) + 1))
    return Lines(len(code), len(code & glue))


def _lines_of_code(source: str) -> set[int]:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines


def _docstrings(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _is_shop(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.If | ast.For):
        return True  # a loop makes the users of Django, a condition starts a program
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name in SHOP
    if isinstance(statement, ast.Assign):
        return {ast.unparse(target) for target in statement.targets} <= SHOP
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if "cp." in ast.unparse(call):
            return False
        return ast.unparse(call.func) in SHOP
    return False
