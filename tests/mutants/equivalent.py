"""Changes that nobody could notice, or that no test should pin down: never made.

Each entry was reviewed. A number belongs in ``PACES`` if it only says how often or how long
something waits, how much is done at a time, or what was measured once, so that another value is as
correct as this one.
"""

import ast

from .mutant import Kind, Mutant

# Texts for people: log lines and reprs. The wording is no behaviour.
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
TEXT_FUNCTIONS = frozenset({"__repr__", "__str__", "__rich_repr__"})
# Only a type checker reads these.
TYPING_CALLS = frozenset({"cast", "TypeVar", "ParamSpec", "NewType", "assert_never", "Protocol"})
# ``slots`` saves memory; ``frozen`` forbids what mypy forbids already; ``strict`` states that two
# lengths agree; a thread's ``name`` shows in a debugger, and ``daemon`` matters only to a program
# that ends without a close.
QUIET_KEYWORDS = {
    "dataclass": frozenset({"slots", "frozen"}),
    "zip": frozenset({"strict"}),
    "Thread": frozenset({"name", "daemon"}),
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
QUIET_NAMES = frozenset({"__all__", "__slots__", "_log", "logger"})
# (path, line of code, kind) -> why the changed line does the same.
REVIEWED: dict[tuple[str, str, Kind], str] = {
    (
        "src/clusterpass/protocol/scripts/_include/history.lua",
        "if size == history_entries or (size < history_entries and not has_wrapped) then",
        Kind.BOUNDARY,
    ): "equal sizes are the clause before",
    (
        "src/clusterpass/protocol/scripts/_include/generation.lua",
        "put('g', string.format('%.0f', math.max(generation() + 1, at_ms)))",
        Kind.NUMBER,
    ): "any higher number tells the logins before from those after",
    (
        "src/clusterpass/managers/aio/confirming.py",
        "while time.monotonic() < until:",
        Kind.BOUNDARY,
    ): "two readings of a clock in nanoseconds are never equal",
    (
        "src/clusterpass/managers/workers/aio.py",
        "while any(map(_is_running, others.values())) and time.monotonic() < until:"
        "  # noqa: ASYNC110",
        Kind.BOUNDARY,
    ): "two readings of a clock in nanoseconds are never equal",
    (
        "src/clusterpass/protocol/records.py",
        'self.created_milliseconds.to_bytes(6, "big"),',
        Kind.ARGUMENT,
    ): "the most significant byte is the first by default",
    (
        "src/clusterpass/doctor/snapshot.py",
        'named = (self.info or {}).get("role", "")',
        Kind.ARGUMENT,
    ): "None is no name of a role either",
    (
        "src/clusterpass/users/directory.py",
        'before, after = self._keyspace.user("").split(b"}", 1)',
        Kind.NUMBER,
    ): "a key has one closing brace",
    (
        "src/clusterpass/users/directory.py",
        'before, after = self._keyspace.user("").split(b"}", 1)',
        Kind.ARGUMENT,
    ): "a key has one closing brace",
    (
        "src/clusterpass/cli/keys.py",
        'with os.fdopen(descriptor, "w", encoding="utf-8") as file:',
        Kind.KEYWORD,
    ): "keys are written in ASCII",
    (
        "src/clusterpass/cli/demo/scenario.py",
        "FAILOVER_LIMIT_SECONDS = 20.0",
        Kind.NUMBER,
    ): "how long a failover is waited for",
    (
        "src/clusterpass/cli/demo/scenario.py",
        "while time.monotonic() - began < FAILOVER_LIMIT_SECONDS:",
        Kind.BOUNDARY,
    ): "two readings of a clock in nanoseconds are never equal",
    (
        "src/clusterpass/users/hashing.py",
        "_check(1 if concurrency is None else concurrency, most_waiting)",
        Kind.NUMBER,
    ): "any number in range",
    (
        "src/clusterpass/users/passwords.py",
        "salt_len=_SALT_BYTES,",
        Kind.KEYWORD,
    ): "as long by default",
    (
        "src/clusterpass/service/api/tokens.py",
        "response_class=Response,",
        Kind.KEYWORD,
    ): "a 204 has no body of any class",
    (
        "src/clusterpass/service/api/openapi.py",
        'if "422" in responses and MEDIA_TYPE not in responses["422"].get("content", {}):',
        Kind.ARGUMENT,
    ): "FastAPI describes the content of each 422",
    (
        "src/clusterpass/service/hot/verify.py",
        "session = await verify(self._service, token, wanted, scope, fields, recalled=known)",
        Kind.KEYWORD,
    ): "what was recalled already is recalled again",
    (
        "src/clusterpass/service/page/home.py",
        'session, device_type = visitor.session, fields.get("kind", "")',
        Kind.ARGUMENT,
    ): "None is no kind either",
    (
        "src/clusterpass/cli/local_service.py",
        "condition: Callable[[], bool], *, seconds: float, failure: str, pause: float = 0.05",
        Kind.NUMBER,
    ): "how often it is asked again",
    (
        "src/clusterpass/cli/local_service.py",
        "if time.monotonic() > give_up_at:",
        Kind.BOUNDARY,
    ): "two readings of a clock in nanoseconds are never equal",
    (
        "src/clusterpass/cli/local_service.py",
        'return ask(port, "GET", "/healthz", timeout=1.0).status == 200',
        Kind.KEYWORD,
    ): "how long a server that hangs is waited for",
    (
        "src/clusterpass/doctor/checks/copies.py",
        "if len(copies) > 1 and shared:",
        Kind.BOUNDARY,
    ): "a host is shared by two copies or more",
    (
        "src/clusterpass/doctor/checks/memory.py",
        'count = sum(node.number("evicted_keys") or 0 for node in lost)',
        Kind.NUMBER,
    ): "each of these nodes has evicted keys",
    (
        "src/clusterpass/doctor/checks/operation.py",
        'direction = "behind" if nearest.ahead > 0 else "ahead of"',
        Kind.BOUNDARY,
    ): "a clock that is reported is seconds away",
    (
        "src/clusterpass/doctor/checks/operation.py",
        'direction = "behind" if nearest.ahead > 0 else "ahead of"',
        Kind.NUMBER,
    ): "a clock that is reported is seconds away",
    (
        "src/clusterpass/doctor/checks/operation.py",
        "longest = max(node.round_trip or 0 for node in far)",
        Kind.NUMBER,
    ): "each of these nodes has a round trip",
    (
        "src/clusterpass/doctor/checks/replication.py",
        "small = [n for n in seen.primaries if"
        ' (n.number("repl_backlog_size") or 2**40) < _SMALL_BACKLOG]',
        Kind.NUMBER,
    ): "any number that is not small",
    (
        "src/clusterpass/doctor/checks/replication.py",
        'offset = node.number("master_repl_offset") or 0',
        Kind.NUMBER,
    ): "one byte of a million",
    (
        "src/clusterpass/doctor/checks/replication.py",
        'wait = seen.patience.confirmation_wait("replicated")',
        Kind.NAME,
    ): "every durability but fsync waits as long",
    (
        "src/clusterpass/doctor/trial_write.py",
        'seconds = patience.confirmation_wait("replicated")',
        Kind.NAME,
    ): "every durability but fsync waits as long",
    (
        "src/clusterpass/doctor/collect.py",
        "return keyspace.not_before(0).decode()",
        Kind.NUMBER,
    ): "any slot: access lists have patterns of keys, and a pattern fits the keys of every slot",
    (
        "src/clusterpass/doctor/collect.py",
        "return keyspace.online(0).decode()",
        Kind.NUMBER,
    ): "any slot: access lists have patterns of keys, and a pattern fits the keys of every slot",
}
_OWN_KEYS = {
    "litestar_requests": ("OWNER: owner", "CONNECTION: connection", "VISIT: visit"),
    "litestar": ("_REFUSAL: refusal",),
    "starlette_requests": ("_VISIT: visit", "_IS_WRAPPED: is_wrapped", "JUDGED: judged"),
}
for _module, _keys in _OWN_KEYS.items():
    for _name, _key in (each.split(": ") for each in _keys):
        REVIEWED[
            f"src/clusterpass/integrations/{_module}.py",
            f'{_name}: Final = "clusterpass.{_key}"',
            Kind.NAME,
        ] = "a key of a request that nothing else reads"
_INDEX = "src/clusterpass/sessions/memory/token_index.py"
_PACKED = "src/clusterpass/sessions/memory/packed_tokens.py"
_LOOKS = "src/clusterpass/store/drivers/slot_look_ups.py"
_ESTIMATE = "an estimate of memory, measured to a few per cent"
_PORTION = "how much of the upkeep is done at a time, chosen by measuring"
# path:name -> why another number is as correct.
PACES: dict[str, str] = {
    f"{_INDEX}:_OBJECT_BYTES": _ESTIMATE,
    f"{_INDEX}:_CALL_BYTES": _ESTIMATE,
    f"{_INDEX}:_PACKED_BYTES": _ESTIMATE,
    f"{_PACKED}:_OVERHEAD": _ESTIMATE,
    f"{_LOOKS}:_SECONDS_UNTIL_LOOK_UP": "how often the slots are looked up if nothing asks for it",
    f"{_INDEX}:_CHECKED_FOR_EXPIRY": _PORTION,
    f"{_INDEX}:_LOOKED_AT": _PORTION,
    f"{_INDEX}:_PACKED_AT_ONCE": _PORTION,
    f"{_INDEX}:_EVICTED_AT_ONCE": _PORTION,
}


def skipped_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether nothing in the function is worth a change."""
    if node.name in TEXT_FUNCTIONS:
        return True
    return any("overload" in ast.unparse(one) for one in node.decorator_list)


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
