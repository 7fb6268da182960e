"""The Lua scripts of the package, calls of them, and the other steps that a flow may yield.

The line ``--@include NAME`` in a script stands for the text of ``scripts/_include/NAME.lua``; an
include may include others. ``scripts/README.md`` says how a script is laid out.
"""

import hashlib
from collections.abc import Callable, Generator, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pkgutil import get_data
from typing import Any, Final, Generic, TypeVar

Reply = TypeVar("Reply")
Result = TypeVar("Result")
_INCLUDE: Final = "--@include "


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script as the server runs it, under the SHA-1 by which EVALSHA calls it."""

    name: str
    source: bytes = field(repr=False)
    """The text with all includes inserted, in UTF-8."""
    sha1: bytes
    """The SHA-1 of ``source`` as 40 hexadecimal digits."""
    writes: bool
    """Whether the script may write: its first line lacks the flag ``no-writes``."""


@cache
def load_script(name: str) -> Script:
    """The packaged script ``name`` with its includes inserted.

    Raises FileNotFoundError when there is no such script or include, ValueError when includes
    include each other in a circle.
    """
    return assemble_script(_read_packaged, name)


def assemble_script(read: Callable[[str], str], name: str) -> Script:
    """The script ``name``; each include is inserted once, where it is first needed.

    ``read``: returns the text of a file, by its path in the folder of scripts. Raises
    FileNotFoundError when there is no such script or include, ValueError when includes include each
    other in a circle.
    """
    lines = list(_expand(read, f"{name}.lua", (), set()))
    source = "\n".join(lines).encode()
    # SHA-1 is the name that EVALSHA gives to a script, not a protection.
    sha1 = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return Script(name, source, sha1, writes="no-writes" not in lines[0])


def _read_packaged(path: str) -> str:
    # Not importlib.resources, which loads modules for archives, compression and temporary files.
    data = get_data("clusterpass.protocol", f"scripts/{path}")
    assert data is not None  # None: from a loader that knows no files
    return data.decode()


def _expand(
    read: Callable[[str], str], path: str, including: tuple[str, ...], included: set[str]
) -> Iterator[str]:
    if path in including:
        raise ValueError(f"includes in a circle: {' > '.join((*including, path))}")
    if path in included:
        return
    for line in read(path).splitlines():
        if line.startswith(_INCLUDE):
            include = f"_include/{line.removeprefix(_INCLUDE).strip()}.lua"
            yield from _expand(read, include, (*including, path), included)
        else:
            yield line
    included.add(path)


@dataclass(slots=True)  # made with each call: freezing it would take as long as all the rest
class Answer(Generic[Reply]):
    """The reply to one call, and how durable the write of that call is."""

    reply: Reply = field(repr=False)
    """Typed, or as it came from the store, where it may hold a refresh digest."""
    durable: bool
    """Whether the write is in more than the memory of one node; False for reads."""
    node: Hashable = None
    """The node that answered; None when it was asked during a slot migration."""
    is_confirmed: bool = True
    """Whether the write is as durable as the configuration demands."""


@dataclass(slots=True)
class ScriptCall(Generic[Reply]):
    """One call of a script: its keys (all in one slot), its arguments, and how to read its reply.

    Making a call sends nothing: a flow yields the call, and the store's driver sends it.
    """

    script: Script
    keys: tuple[bytes, ...]
    """The first key decides the slot; the script can do without the others."""
    arguments: tuple[bytes | int, ...] = field(repr=False)
    """What the script takes; may hold a refresh digest or a password hash."""
    read: Callable[[Any], Reply]
    """Makes a typed reply of what the server sent; may raise UnreadableRecord."""
    confirm: bool = True
    """Whether a replica is asked to confirm a write."""
    insists: bool = False
    """Whether a write is repeated, within its deadline, until it is confirmed."""
    is_ending: bool = False
    """Whether the call ends sessions, or journals that. Its answer tells nothing of sessions that
    go on, so once confirmed, it needs no evidence that no other ending is missing."""
    deadline: float | None = None
    """Seconds after which the call is given up, where that is earlier than the store's own; a
    wait for a disk is added."""
    slot: int | None = None
    """The slot of the keys, where the caller has computed it already."""
    follows: bool = False
    """Whether what is read may be served from memory: then it has to be read over a connection on
    which the node pushes changes of it."""
    packed: bytes | None = field(default=None, repr=False)
    """The command as a driver sent it, kept for a retry; holds ``arguments``."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A flow yields this to wait; what it receives then is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """A flow yields this to have something computed that takes long, such as an RSA key; what it
    receives is the result. On an event loop it runs in a thread, so that nobody waits for it."""

    compute: Callable[[], Any]


Flow = Generator[ScriptCall[Any] | Rest | Work, Any, Result]
"""Decisions without I/O: a generator that yields calls, rests and work, receives the answers, and
returns a result."""
