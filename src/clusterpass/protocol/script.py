"""Loads the Lua files of the package and describes calls of them.

``--@include NAME`` in a script stands for the text of ``_include/NAME.lua``. A call says what to
send and how to read the reply; it sends nothing itself.
"""

import hashlib
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Generic, TypeVar

Reply = TypeVar("Reply")
Result = TypeVar("Result")
_INCLUDE: Final = "--@include "


@dataclass(frozen=True, slots=True)
class Script:
    """One verb as the server runs it."""

    name: str
    source: bytes
    sha1: bytes
    """Hexadecimal, as EVALSHA wants it."""
    writes: bool


@cache
def load_script(name: str) -> Script:
    """The script ``name``, its includes filled in; FileNotFoundError when there is none."""
    folder = files("clusterpass.protocol") / "scripts"
    lines: list[str] = []
    for line in (folder / f"{name}.lua").read_text("utf-8").splitlines():
        if line.startswith(_INCLUDE):
            include = line.removeprefix(_INCLUDE).strip()
            lines.extend((folder / "_include" / f"{include}.lua").read_text("utf-8").splitlines())
        else:
            lines.append(line)
    source = "\n".join(lines).encode()
    # SHA-1 is the name that EVALSHA gives to a script, not a protection.
    sha1 = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, source, sha1, writes="no-writes" not in lines[0])


@dataclass(slots=True)  # made with each call: freezing it would take as long as all the rest
class Answer(Generic[Reply]):
    """What a call came to."""

    reply: Reply
    durable: bool
    """Whether more than the memory of one node has the write; False for reads."""
    node: Hashable = None
    """Who answered; None when it was asked in the middle of a migration."""
    is_confirmed: bool = True
    """Whether the write is as durable as it has to be."""


@dataclass(slots=True)
class ScriptCall(Generic[Reply]):
    """A script, its keys (all in one slot) and arguments, and how to read its reply."""

    script: Script
    keys: tuple[bytes, ...]
    """The first decides the slot; the script can do without the others."""
    arguments: tuple[bytes | int, ...]
    read: Callable[[Any], Reply]
    confirm: bool = True
    """Whether a replica is asked to confirm a write."""
    insists: bool = False
    """Whether a write is repeated within its time until it is confirmed."""
    deadline: float | None = None
    """Seconds after which the call is given up, where that is earlier than for others."""
    slot: int | None = None
    """Of the keys, where it was reckoned before."""
    packed: bytes | None = None
    """What a driver sent, where the same call may be made again."""

    def __iter__(self) -> Generator["ScriptCall[Any]", Any, Answer[Reply]]:
        """``answer = yield from call`` asks the driver that runs the flow."""
        answer: Answer[Reply] = yield self
        return answer


Flow = Generator[ScriptCall[Any], Any, Result]
"""Decisions without I/O: yields calls, receives answers, returns a result."""
