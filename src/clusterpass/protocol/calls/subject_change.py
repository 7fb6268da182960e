"""The common part of every call that changes a subject: keys, retention times, operation id.

``change()`` builds the call.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from clusterpass.protocol.calls.call_time import NO_TIME, CallTime
from clusterpass.protocol.calls.fingerprints import NO_FINGERPRINT
from clusterpass.protocol.keyspace import Keyspace, SubjectKeys
from clusterpass.protocol.script import ScriptCall, load_script

Reply = TypeVar("Reply")
_PACKED: Final = struct.Struct(">IBI6s8s8sI7sI")
OPERATION_BYTES: Final = 8
"""Bytes of the random id by which the store recognises a repeated call."""
NO_OPERATION: Final = bytes(OPERATION_BYTES)
"""The id of a call whose result is not kept for repetitions."""


@dataclass(slots=True)  # made with each call: freezing it would take twice as long
class Housekeeping:
    """The retention times of a subject's tombstones, history, operations and generation."""

    tombstone_seconds: int
    """Seconds for which a tombstone is kept at least."""
    history_entries: int = 0
    """Lines of history that are kept; 0: no history is written."""
    history_seconds: int = 0
    """Seconds for which the history outlives everything else; 0: not at all."""
    cutoff_milliseconds: int = 0
    """The time, in milliseconds since the epoch, before which every session has ended."""
    indexed: bool = True
    """Whether the subject is counted among those who are online."""
    time: CallTime = NO_TIME
    """When the call is made."""
    operation_until: int = 0
    """The second until which the operation of the call is kept at least, as a journal may repeat
    it; 0: for ``tombstone_seconds``."""
    generation_seconds: int = 3600
    """Seconds for which the store remembers at least that all sessions were ended at once."""

    def pack(
        self,
        subject: str,
        operation: bytes = NO_OPERATION,
        fingerprint: bytes = NO_FINGERPRINT,
    ) -> bytes:
        """The first argument of every script that changes ``subject``."""
        head = _PACKED.pack(
            self.tombstone_seconds,
            self.history_entries,
            self.history_seconds,
            self.cutoff_milliseconds.to_bytes(6, "big"),
            operation,
            fingerprint,
            self.operation_until,
            self.time.pack(),
            self.generation_seconds,
        )
        return head + subject.encode()

    def keys(self, keyspace: Keyspace, keys: SubjectKeys) -> tuple[bytes, ...]:
        """The keys of every script that changes the subject with ``keys``."""
        sessions, activity, slot = keys
        if self.indexed:
            return sessions, activity, keyspace.online(slot)
        return sessions, activity


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
    fingerprint: bytes = NO_FINGERPRINT,
    insists: bool = False,
) -> ScriptCall[Reply]:
    """The call of ``script``, which changes ``subject``; ``arguments`` are those after the first.

    ``confirm``: a replica is asked to confirm the write. ``operation``: 8 bytes, the same for each
    repetition of a call, so that the store recognises it; ``fingerprint``: 8 bytes that differ for
    every other request, which may not use the id. ``insists``: the call ends sessions, and is
    repeated, within its deadline, until the write is confirmed.
    """
    first = keeping.pack(subject, operation, fingerprint)
    keys = keyspace.keys_of(subject)
    return ScriptCall(
        load_script(script),
        keeping.keys(keyspace, keys),
        (first, *arguments),
        read,
        confirm=confirm,
        insists=insists,
        is_ending=insists,
        slot=keys.slot,
    )
