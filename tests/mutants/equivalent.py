"""Changes that nobody could notice, or that no test should pin down: never made.

``reviewed.py`` lists single lines and numbers.
"""

import ast

from .mutant import Kind, Mutant
from .reviewed import PACES, REVIEWED

# Texts for people: log lines and reprs. The wording is no behaviour.
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
TEXT_FUNCTIONS = frozenset({"__repr__", "__str__", "__rich_repr__"})
# Only a type checker reads these.
TYPING_CALLS = frozenset({"cast", "TypeVar", "ParamSpec", "NewType", "assert_never", "Protocol"})
# ``slots`` saves memory; ``frozen`` and ``kw_only`` forbid what mypy forbids already; ``strict``
# states that two lengths agree; a thread's ``name`` shows in a debugger, and ``daemon`` matters
# only to a program that ends without a close. A signal of Django has a function of a module once,
# also without a ``dispatch_uid``.
QUIET_KEYWORDS = {
    "dataclass": frozenset({"slots", "frozen", "kw_only"}),
    "zip": frozenset({"strict"}),
    "Thread": frozenset({"name", "daemon"}),
    "ThreadPoolExecutor": frozenset({"thread_name_prefix"}),
    "connect": frozenset({"dispatch_uid"}),
    "create_task": frozenset({"name"}),
    "option": frozenset({"help", "metavar", "show_default"}),
    "argument": frozenset({"metavar"}),
    "command": frozenset({"help", "short_help", "epilog"}),
    **dict.fromkeys(("get", "post", "put", "patch", "delete"), frozenset({"summary"})),
    "Field": frozenset({"description", "examples", "title"}),
    "Query": frozenset({"description", "examples", "title"}),
}
# A text by which a thing is named for a debugger alone: the first argument.
NAMING_CALLS = frozenset({"ContextVar", "RequestKey", "AppKey"})
# The aliases of literals that the code reads, by ``get_args``; of others only a type checker does.
READ_LITERALS = frozenset(
    {
        "AuditOutcome",
        "Compatibility",
        "Durability",
        "EventKind",
        "KeyFileAccess",
        "ListenerScope",
        "OldTokenKind",
        "Outcome",
        "Overflow",
        "RefreshRetry",
        "RevocationReason",
        "SameSite",
        "SigningAlgorithm",
        "StoreCause",
        "StoredAddresses",
        "TokenPlace",
        "VerificationMode",
    }
)
QUIET_NAMES = frozenset({"__all__", "__slots__", "_log", "logger"})


def skipped_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether nothing in the function is worth a change."""
    if node.name in TEXT_FUNCTIONS:
        return True
    return any("overload" in ast.unparse(one) for one in node.decorator_list)


def skipped_alias(node: ast.stmt) -> bool:
    """Whether the statement names literals that only a type checker reads."""
    match node:
        case ast.Assign(
            targets=[ast.Name(id=name)], value=ast.Subscript(value=ast.Name(id="Literal"))
        ):
            return name not in READ_LITERALS
    return False


def skipped_call(node: ast.Call) -> bool:
    """Whether the call writes a log line or only speaks to a type checker."""
    name = _name(node.func)
    if name in TYPING_CALLS:
        return True
    return name in LOG_METHODS and "log" in ast.unparse(node.func).lower()


def skipped_keyword(node: ast.Call, keyword: str) -> bool:
    """Whether the argument changes nothing that a caller could notice."""
    return keyword in QUIET_KEYWORDS.get(_name(node.func), frozenset())


def changes_nothing(mutant: Mutant) -> bool:
    """Whether the mutant is one of the reviewed ones."""
    if QUIET_NAMES.intersection(mutant.names):
        return True
    is_number = mutant.kind is Kind.NUMBER
    return is_number and any(f"{mutant.path}:{name}" in PACES for name in mutant.names)


def is_reviewed(mutant: Mutant, source: bytes) -> bool:
    """Whether somebody has found the changed line to do the same."""
    line = source.decode().splitlines()[mutant.line - 1].strip()
    return (mutant.path, line, mutant.kind) in REVIEWED


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name():
            return function.id
        case ast.Attribute():
            return function.attr
    return ""
