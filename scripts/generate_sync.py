"""Generates the synchronous modules of the library from those that are written for asyncio.

Each module of ``managers/aio``, ``users/aio`` and ``migrate/aio`` gets a twin in ``managers/sync``,
``users/sync`` and ``migrate/sync``. ``async`` and ``await`` are removed, ``AsyncName`` becomes
``Name``, and ``.aio`` becomes ``.sync``. Docstrings and comments stay as they are, so that both
faces have the same manual.

    python scripts/generate_sync.py            # writes the twins
    python scripts/generate_sync.py --check    # exit status 1 when one is out of date
"""

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("managers", "users", "migrate")
NAMES = {
    "AsyncStore": "SyncStore",
    "AwaitableStore": "Store",
    "AsyncIterator": "Iterator",
    "AsyncGenerator": "Generator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "StopAsyncIteration": "StopIteration",
    "aclose": "close",
    "aclosing": "closing",
    "aio": "sync",
}
ASYNC_NAME = re.compile(r"Async(?=[A-Z])")
HEADER = "# Generated from {source} by scripts/generate_sync.py; do not edit.\n"


def renamed(name: str) -> str:
    """What ``name`` is called in the synchronous face."""
    if name in NAMES:
        return NAMES[name]
    return ASYNC_NAME.sub("", name).removesuffix("_async")


def synchronous(text: str) -> str:
    """The synchronous face of a module; ValueError for what has none."""
    lines = text.splitlines(keepends=True)
    edits: list[tuple[int, int, int, str]] = []
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    closing: list[bool] = []  # of each open bracket, whether it belongs to an Awaitable
    for index, token in enumerate(tokens):
        (row, start), (_, end) = token.start, token.end
        following = tokens[index + 1] if index + 1 < len(tokens) else token
        if token.type == tokenize.OP and token.string == "[":
            is_awaitable = tokens[index - 1].string == "Awaitable"
            closing.append(is_awaitable)
            if is_awaitable:
                edits.append((row, start, end, ""))
        elif token.type == tokenize.OP and token.string == "]":
            if closing.pop():
                edits.append((row, start, end, ""))
        elif token.type == tokenize.NAME:
            if token.string == "Awaitable":
                edits.append((row, start, end, "" if following.string == "[" else "Awaitable"))
            elif token.string in {"async", "await"}:
                edits.append((row, start, following.start[1], ""))
            elif token.string == "asyncio":
                raise ValueError(f"line {row}: asyncio has no synchronous face; use workers.py")
            elif renamed(token.string) != token.string:
                edits.append((row, start, end, renamed(token.string)))
    for row, start, end, replacement in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + replacement + line[end:]
    return "".join(lines)


def tidied(text: str) -> str:
    """``text`` as the formatter and the import sorter leave it."""
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    for command in (
        [
            *ruff,
            "check",
            "--quiet",
            "--select",
            "I,F401",
            "--fix-only",
            "--stdin-filename",
            "x.py",
            "-",
        ],
        [*ruff, "format", "--quiet", "--stdin-filename", "x.py", "-"],
    ):
        text = subprocess.run(  # noqa: S603 (our own tools, no shell)
            command, input=text, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
    return text


def twins() -> dict[Path, str]:
    """The text that each generated file should have."""
    found = {}
    for package in PACKAGES:
        folder = ROOT / "src" / "clusterpass" / package
        for source in sorted((folder / "aio").glob("*.py")):
            name = source.relative_to(ROOT / "src" / "clusterpass").as_posix()
            text = HEADER.format(source=name) + synchronous(source.read_text("utf-8"))
            found[folder / "sync" / source.name] = tidied(text)
    return found


def main() -> int:
    """The exit status of the command."""
    wanted = twins()
    present = {
        path
        for package in PACKAGES
        for path in (ROOT / "src" / "clusterpass" / package / "sync").glob("*.py")
    }
    wrong = [
        path
        for path in sorted(wanted.keys() | present)
        if path not in wanted or not path.exists() or path.read_text("utf-8") != wanted[path]
    ]
    if "--check" in sys.argv[1:]:
        for path in wrong:
            sys.stderr.write(
                f"{path.relative_to(ROOT)} is out of date: run {Path(__file__).name}\n"
            )
        return 1 if wrong else 0
    for path in wrong:
        if path in wanted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], "utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
