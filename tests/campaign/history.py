"""Records of a campaign: one line for each operation, on one clock for all processes.

Times are seconds of ``time.monotonic()``, which on Linux is the same for all. What changes
something is written before it is sent, unbuffered, so that it survives the process; what reads,
afterwards.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

Verb = Literal[
    "login",
    "impersonate",
    "verify",
    "refresh",
    "elevate",
    "logout",
    "revoke",
    "revoke_all",
    "revoke_before",
    "ban",
    "lift",
    "list",
]
READS = frozenset({"verify", "list"})
OPENS = frozenset({"login", "impersonate"})
ENDS_ONE = frozenset({"logout", "revoke"})
ENDS_ALL = frozenset({"revoke_all", "ban"})
IDS = "ids-"
"""So begin subjects about which only one process ever asks for a change."""
_BUFFERED_BYTES = 65_536


@dataclass(slots=True, kw_only=True)
class Operation:
    """One call of a verb, by one process."""

    process: str
    number: int
    verb: str
    subject: str = ""
    began: float
    session: str = ""
    """The session id that it is about; of a login that of the new session."""
    ended: float | None = None
    """None: it never returned, as its process was killed."""
    outcome: str | None = None
    """``ok`` or the stable code of the error."""
    reason: str | None = None
    durable: bool | None = None
    journaled: bool | None = None
    """For an ending: whether journals have confirmed it."""
    is_strict: bool = False
    answered: str = ""
    """The session id in the answer."""
    presented: str = ""
    """For a refresh: which token (a digest, never the token)."""
    successor: str = ""
    """For a refresh and a login: the digest of the token handed out."""
    limit: int | None = None
    """For a login: how many sessions its subject may have, the oldest leave; None: enough."""
    lifetime: int | None = None
    """For a login: the seconds after which the session is over in any case; None: days."""
    outage_grace: float | None = None
    """For a verify: the seconds that were asked for."""
    in_grace: bool | None = None
    """For a verify: whether it was accepted by that."""
    listed: str = ""
    """For a list: the session ids in the answer, separated by blanks."""
    token: str = ""
    """For a verify: which access token was presented (a digest)."""
    access: str = ""
    """The digest of the access token handed out."""
    level: str = ""
    """For a verify: the level that was asked for; for a step-up: the one that it gives."""
    acr: str = ""
    """For a verify: the level in the answer, unless it is that of every login."""
    seconds: int | None = None
    """For a ban and a step-up: how long it lasts; None: for good."""
    ends_older: bool | None = None
    """For a step-up: whether older tokens end."""
    actor: str = ""
    """For an impersonation: the session id of who acts."""
    scope: str = ""
    """For a ban, and for the lift of one: its scope; empty: everything."""
    bans: str = ""
    """For a verify: the scopes of the bans in the answer, separated by blanks."""
    before: float | None = None
    """For the end of all sessions of the namespace: which ones; None: all that are there then."""
    operation_id: str = ""
    """The operation id that the caller has chosen."""
    request: str = ""
    """What is asked for under that id: others have other words."""
    since: float | None = None
    """When it was first asked for, if it is repeated: not recorded, but found out afterwards."""
    is_moot: bool | None = None
    """Whether it is pending, and its id may belong to another request: found out afterwards."""
    keep: str = ""
    """The session id that the end of all sessions of a subject spares."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected into the cluster or into a process."""

    name: str
    detail: str
    began: float
    ended: float


@dataclass(slots=True)
class History:
    """All that happened, in the order of its begin."""

    operations: list[Operation]
    faults: list[Fault] = field(default_factory=list)
    bound: float = 0.5
    """Seconds for which a verify from memory may lag behind an end."""
    refresh_grace: float = 5.0
    """Seconds in which a used refresh token gets the same successor again."""


class Recorder:
    """The file of one process. Several threads may use it: each line is written at once."""

    def __init__(self, path: Path, process: str) -> None:
        self._process = process
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._buffer: list[str] = []
        self._size = 0

    def begin(self, operation: Operation) -> None:
        """Note that the operation is about to be sent, and may change something."""
        self._write(_line(operation))

    def end(self, operation: Operation) -> None:
        """Note that the operation has returned."""
        line = _line(operation)
        if operation.verb not in READS:
            self._write(line)
            return
        self._buffer.append(line)
        self._size += len(line)
        if self._size >= _BUFFERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        lines, self._buffer, self._size = self._buffer, [], 0
        if lines:
            self._write("".join(lines))

    def _write(self, text: str) -> None:
        os.write(self._file, text.encode())


_NAMES = tuple(each.name for each in fields(Operation))


def _line(operation: Operation) -> str:
    said = {}
    for name in _NAMES:
        value = getattr(operation, name)
        if value is not None and value != "":
            said[name] = value
    return json.dumps(said, separators=(",", ":")) + "\n"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # the last one of a killed process may be torn
                yield json.loads(line)


def read_history(folder: Path) -> History:
    """Return the history that the processes and the nemesis have written in ``folder``."""
    found: dict[tuple[str, int], Operation] = {}
    for path in sorted(folder.glob("*.operations")):
        for said in _lines(path):
            # The same few words millions of times: each is kept once.
            operation = Operation(
                **{n: sys.intern(v) if isinstance(v, str) else v for n, v in said.items()}
            )
            found[operation.process, operation.number] = operation
    meta = json.loads((folder / "meta.json").read_text())
    faults = [Fault(**said) for said in _lines(folder / "faults")]
    operations = sorted(found.values(), key=lambda each: each.began)
    return History(operations, faults, meta["bound"], meta.get("refresh_grace", 5.0))
