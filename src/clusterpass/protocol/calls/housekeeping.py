"""What each script that changes a subject is told: how long to keep what, and which keys."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from clusterpass.protocol.keyspace import Keyspace, slot_of
from clusterpass.protocol.script import ScriptCall, load_script

Reply = TypeVar("Reply")
_PACKED: Final = struct.Struct(">IBI6s8s")
OPERATION_BYTES: Final = 8
NO_OPERATION: Final = bytes(OPERATION_BYTES)


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """How long a subject's traces are kept."""

    tombstone_seconds: int
    history_entries: int = 0
    history_seconds: int = 0
    cutoff_milliseconds: int = 0
    """Sessions opened before this have ended."""
    indexed: bool = True
    """Whether the subject is counted among those who are online."""

    def pack(self, subject: str, operation: bytes = NO_OPERATION) -> bytes:
        """The first argument of such a script."""
        head = _PACKED.pack(
            self.tombstone_seconds,
            self.history_entries,
            self.history_seconds,
            self.cutoff_milliseconds.to_bytes(6, "big"),
            operation,
        )
        return head + subject.encode()


def change(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    script: str,
    *,
    arguments: tuple[bytes | int, ...] = (),
    read: Callable[[Any], Reply],
    confirm: bool = True,
    operation: bytes = NO_OPERATION,
    insists: bool = False,
) -> ScriptCall[Reply]:
    """A call of a script that changes ``subject``.

    ``operation``: the same for each repetition of the call, so that it is recognised; ``insists``:
    it is repeated until it is confirmed.
    """
    keys: tuple[bytes, ...] = keyspace.sessions_and_activity(subject)
    if keeping.indexed:
        keys = (*keys, keyspace.online(slot_of(keys[0])))
    return ScriptCall(
        load_script(script),
        keys,
        (keeping.pack(subject, operation), *arguments),
        read,
        confirm=confirm,
        insists=insists,
    )
