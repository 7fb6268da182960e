"""Every mutant of a Python module, found with ``ast`` and spliced into the text."""

import ast
from collections.abc import Iterator

from .equivalent import (
    NAMING_CALLS,
    changes_nothing,
    skipped_alias,
    skipped_call,
    skipped_function,
    skipped_keyword,
)
from .mutant import Kind, Mutant

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", ">="),
    ast.LtE: ("<=", ">"),
    ast.Gt: (">", "<="),
    ast.GtE: (">=", "<"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
BOUNDARIES: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """All mutants of the module, in the order of the text."""
    found = _Finder(path, source)
    found.visit(ast.parse(source))
    kept = [one for one in found.mutants if not changes_nothing(one)]
    return sorted(kept, key=lambda one: (one.start, one.end, one.kind))


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.mutants: list[Mutant] = []
        self._lines: tuple[int, ...] = ()
        self._names: tuple[str, ...] = ()
        self._in_decorator = False
        self._offsets = [0]
        for line in source.splitlines(keepends=True):
            self._offsets.append(self._offsets[-1] + len(line))

    # Where the tree is walked, and what is left out.

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self._statement(node)
        elif not isinstance(node, ast.JoinedStr | ast.FormattedValue):
            self._expression(node)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node):
            return
        if isinstance(node, Function):
            self._function(node)
            return
        if isinstance(node, ast.ClassDef):
            for part in [*node.decorator_list, *node.body]:
                self._within((), (node.name,), part)
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if not self._lines and skipped_alias(node):
            return
        in_function = bool(self._lines)
        lines = tuple(range(node.lineno, _header_end(node) + 1)) if in_function else ()
        names = self._names if in_function else (*_targets(node), *self._names)
        before = self._lines, self._names
        self._lines, self._names = lines, names
        self._change_statement(node)
        for name, value in ast.iter_fields(node):
            if name not in {"annotation", "targets", "target", "exc", "cause"}:
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        self.visit(child)
        self._lines, self._names = before

    def _function(self, node: Function) -> None:
        if skipped_function(node) or all(map(_is_nothing, node.body)):
            return
        body = [one.lineno for one in node.body if not _is_docstring(one)] or [node.lineno]
        defaults = [one for one in [*node.args.defaults, *node.args.kw_defaults] if one]
        for part in [*defaults, *node.body]:
            self._within(tuple(body), (node.name,), part)
        self._in_decorator = True
        for part in node.decorator_list:
            self._within(tuple(body), (node.name,), part)
        self._in_decorator = False

    def _within(self, lines: tuple[int, ...], names: tuple[str, ...], node: ast.AST) -> None:
        before = self._lines, self._names
        self._lines, self._names = lines, names
        self.visit(node)
        self._lines, self._names = before

    # What is changed.

    def _change_statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Call() | ast.Await() | ast.YieldFrom() as value):
                call = value if isinstance(value, ast.Call) else value.value
                if not (isinstance(call, ast.Call) and skipped_call(call)):
                    self._replace(node, Kind.CALL, "pass")
            case ast.Return(value=ast.expr() as value) if not _is_falsy(value):
                self._replace(value, Kind.RETURN, "None")
            case ast.Raise(exc=ast.expr()):
                self._replace(node, Kind.RAISE, "pass")
            case ast.Continue():
                self._replace(node, Kind.LOOP, "break")
            case ast.Break():
                self._replace(node, Kind.LOOP, "continue")
            case ast.If() | ast.While():
                self._branch(node.test)

    def _expression(self, node: ast.AST) -> None:
        match node:
            case ast.Compare():
                self._comparison(node)
            case ast.BoolOp():
                here, there = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                self._between(node.values[0], node.values[1], Kind.LOGIC, here, there)
            case ast.UnaryOp(op=ast.Not()):
                self._replace(node, Kind.NOT, f"({self._text(node.operand)})")
            case ast.Constant():
                self._constant(node)
            case ast.Call():
                if skipped_call(node):
                    return
                self._arguments(node)
            case ast.IfExp():
                self._branch(node.test)
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.Call) and _is_quiet(node, child)):
                self.visit(child)

    def _branch(self, test: ast.expr) -> None:
        """The condition of a branch, negated; comparisons and ``not`` have kinds of their own."""
        if not isinstance(test, ast.Compare) and not (
            isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        ):
            self._replace(test, Kind.CONDITION, f"not ({self._text(test)})")

    def _comparison(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self._between(left, right, Kind.COMPARISON, *COMPARISONS[type(operator)])
            if type(operator) in BOUNDARIES:
                self._between(left, right, Kind.BOUNDARY, *BOUNDARIES[type(operator)])
            left = right

    def _constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self._replace(node, Kind.FLAG, str(not node.value))
            case int() | float():
                self._replace(node, Kind.NUMBER, repr(node.value + 1))
            case str() if node.value and " " not in node.value:
                self._replace(node, Kind.NAME, repr(node.value + "_"))

    def _arguments(self, node: ast.Call) -> None:
        if len(node.args) > 1 and not isinstance(node.args[-1], ast.Starred):
            self._drop(node.args[-2], node.args[-1], Kind.ARGUMENT)
        before: ast.expr = node.args[-1] if node.args else node.func
        for keyword in node.keywords:
            if keyword.arg is not None and not skipped_keyword(node, keyword.arg):
                alone = before is node.func
                start = self._offset(keyword.lineno, keyword.col_offset)
                end = self._end(keyword.value)
                if alone:
                    end += len(self.source[end:]) - len(self.source[end:].lstrip(b", \n"))
                else:
                    start = self._end(before)
                self._add(keyword.value.lineno, Kind.KEYWORD, start, end, "")
            before = keyword.value

    # Text.

    def _offset(self, line: int, column: int) -> int:
        return self._offsets[line - 1] + column

    def _end(self, node: ast.expr | ast.stmt) -> int:
        return self._offset(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def _text(self, node: ast.expr) -> str:
        return self.source[self._offset(node.lineno, node.col_offset) : self._end(node)].decode()

    def _replace(self, node: ast.expr | ast.stmt, kind: Kind, after: str) -> None:
        start = self._offset(node.lineno, node.col_offset)
        self._add(node.lineno, kind, start, self._end(node), after)

    def _drop(self, previous: ast.expr, node: ast.expr, kind: Kind) -> None:
        self._add(node.lineno, kind, self._end(previous), self._end(node), "")

    def _between(
        self, left: ast.expr, right: ast.expr, kind: Kind, before: str, after: str
    ) -> None:
        start = self._end(left)
        gap = self.source[start : self._offset(right.lineno, right.col_offset)]
        at = gap.find(before.encode())
        if at >= 0:
            at += start
            self._add(left.end_lineno or left.lineno, kind, at, at + len(before), after)

    def _add(self, line: int, kind: Kind, start: int, end: int, after: str) -> None:
        before = self.source[start:end].decode()
        self.mutants.append(
            Mutant(
                *(self.path, line, kind, start, end, before, after),
                lines=self._lines,
                names=self._names,
                is_described=self._in_decorator,
            )
        )


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_nothing(node: ast.stmt) -> bool:
    """Whether a statement does nothing: no default shows in a function of a protocol."""
    return _is_docstring(node) or isinstance(node, ast.Pass)


def _is_quiet(node: ast.Call, child: ast.AST) -> bool:
    """Whether a part of a call is left alone: names of codecs, and names for a debugger."""
    if isinstance(child, ast.keyword):
        return skipped_keyword(node, child.arg or "")
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    return called in {"encode", "decode", *NAMING_CALLS} and isinstance(child, ast.Constant)


def _is_falsy(node: ast.expr) -> bool:
    """Whether a constant is taken for None by those who ask whether it is true; it is changed to
    another constant."""
    return isinstance(node, ast.Constant) and not node.value


def _header_end(node: ast.stmt) -> int:
    """The last line of a statement, without the statements in it."""
    body: Iterator[ast.AST] = ast.iter_child_nodes(node)
    inner = [one.lineno for one in body if isinstance(one, ast.stmt | ast.ExceptHandler)]
    return max(node.lineno, min(inner) - 1) if inner else node.end_lineno or node.lineno


def _targets(node: ast.stmt) -> list[str]:
    """The names that a module's or a class's assignment gives a value."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    parts = [
        part for one in targets for part in (one.elts if isinstance(one, ast.Tuple) else [one])
    ]
    return [one.id for one in parts if isinstance(one, ast.Name)]
