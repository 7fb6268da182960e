"""One entry of a journal: an ending that was acknowledged before its own shard confirmed it.

An entry holds what any process needs to carry the ending out, so the ending outlives the process
that asked for it. ``scripts/_include/journal.lua`` states where entries are kept.

    fingerprint 8 | second until which the entry counts 4 | JSON: [verb, subject, milliseconds, ...]

``milliseconds``: when the owner of the subject first carried the ending out, by the owner's clock;
null: perhaps not yet. The arguments of the verb follow.
"""

import hashlib
import json
import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self, cast

from clusterpass.model.errors import UnreadableRecord
from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.calls import (
    end as end_calls,
    fingerprints,
    subject as subject_calls,
)
from clusterpass.protocol.calls.subject_change import OPERATION_BYTES, Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import REASON_NUMBERS
from clusterpass.protocol.script import ScriptCall

_HEAD: Final = struct.Struct(">8sI")
_SUBJECT_BYTES: Final = 8
LATEST: Final = 2**32 - 1
"""The last second that an entry can count until."""
_ARGUMENTS: Final[dict[str, tuple[tuple[type, ...], ...]]] = {
    "end_session": ((str, str, str, str),),
    "end_all": ((str, str, str), (str, type(None), str)),
    "ban": ((str, int, int, str),),
    "revoke_before": ((),),
}
"""The types of the arguments of each verb."""
JournaledVerb = Literal["end_session", "end_all", "ban", "revoke_before"]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An ending that a journal holds."""

    operation: bytes
    """The operation id of the ending, 8 bytes."""
    subject: str
    verb: JournaledVerb
    arguments: tuple[Any, ...] = field(repr=False)
    """What the verb takes, as JSON has it; :meth:`of_end_session` and its like make them."""
    expires_at: int
    """The second, since the epoch, from which the entry changes nothing any more."""
    milliseconds: int | None = None
    """When the owner first carried the ending out, in milliseconds of its clock; None: maybe never
    yet."""

    @classmethod
    def of_end_session(
        cls,
        operation: bytes,
        subject: str,
        *,
        session_id: bytes,
        reason: RevocationReason,
        address: bytes,
        note: str,
        expires_at: int,
    ) -> Self:
        """The entry of a call of ``end_session``."""
        arguments = (session_id.hex(), reason, address.hex(), note)
        return cls(operation, subject, "end_session", arguments, expires_at)

    @classmethod
    def of_end_all(
        cls,
        operation: bytes,
        subject: str,
        *,
        keep: bytes | None,
        device_type: str | None,
        note: str,
        milliseconds: int | None,
        expires_at: int,
    ) -> Self:
        """The entry of a call of ``end_all``."""
        arguments = ((keep or b"").hex(), device_type, note)
        return cls(operation, subject, "end_all", arguments, expires_at, milliseconds)

    @classmethod
    def of_ban(
        cls,
        operation: bytes,
        subject: str,
        *,
        scope: str,
        level: int,
        seconds: int,
        reason: str,
        milliseconds: int | None,
        expires_at: int,
    ) -> Self:
        """The entry of a call of ``ban``."""
        arguments = (scope, level, seconds, reason)
        return cls(operation, subject, "ban", arguments, expires_at, milliseconds)

    @classmethod
    def of_revoke_before(cls, operation: bytes, *, milliseconds: int, expires_at: int) -> Self:
        """The entry of a cutoff, before which every session of the namespace has ended.

        The entry belongs to no subject, and no call carries it out: who knows it enforces it.
        """
        return cls(operation, "", "revoke_before", (), expires_at, milliseconds)

    @property
    def id(self) -> bytes:
        """The id under which a journal keeps the entry: 16 bytes, as ids are each subject's own."""
        return self.operation + hashlib.sha256(self.subject.encode()).digest()[:_SUBJECT_BYTES]

    def encode(self) -> bytes:
        """The entry as a journal holds it."""
        head = _HEAD.pack(self.fingerprint, min(self.expires_at, LATEST))
        body = [self.verb, self.subject, self.milliseconds, *self.arguments]
        return head + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, entry_id: bytes, encoded: bytes) -> Self:
        """The entry that a journal holds under ``entry_id``; raises UnreadableRecord."""
        try:
            _, expires_at = _HEAD.unpack_from(encoded)
            verb, subject, milliseconds, *arguments = json.loads(encoded[_HEAD.size :])
        except (TypeError, ValueError, struct.error) as error:
            raise UnreadableRecord from error
        operation = entry_id[:-_SUBJECT_BYTES]
        entry = cls(operation, subject, verb, tuple(arguments), expires_at, milliseconds)
        kinds = tuple(type(each) for each in entry.arguments)
        if (
            kinds not in _ARGUMENTS.get(verb, ())
            or not isinstance(subject, str)
            or not isinstance(milliseconds, int | None)
            or (verb == "end_session" and entry.arguments[1] not in REASON_NUMBERS)
            or entry.id != entry_id
        ):
            raise UnreadableRecord
        return entry

    def renamed(self) -> Self:
        """The entry under an id that nobody else uses, where its own is taken."""
        operation = hashlib.sha256(self.id + self.encode()).digest()[:OPERATION_BYTES]
        return replace(self, operation=operation)

    def call(self, keyspace: Keyspace, keeping: Housekeeping) -> ScriptCall[Any]:
        """The call that carries the ending out; a repetition changes nothing that came after it.

        Raises UnreadableRecord for a verb of a later release, and for a cutoff.
        """
        keeping = replace(keeping, operation_until=self._operation_until(keeping))
        match self.verb:
            case "end_session":
                session_id, reason, address, note = self.arguments
                return end_calls.end_session(
                    keyspace,
                    keeping,
                    self.subject,
                    session_id=bytes.fromhex(session_id),
                    reason=cast("RevocationReason", reason),
                    address=bytes.fromhex(address),
                    note=note,
                    operation=self.operation,
                )
            case "end_all":
                keep, device_type, note = self.arguments
                return end_calls.end_all(
                    keyspace,
                    keeping,
                    self.subject,
                    keep=bytes.fromhex(keep) or None,
                    reason="revoked",
                    device_type=device_type,
                    note=note,
                    operation=self.operation,
                    up_to=self.milliseconds,
                )
            case "ban":
                scope, level, seconds, reason = self.arguments
                return subject_calls.ban(
                    keyspace,
                    keeping,
                    self.subject,
                    scope=scope,
                    level=level,
                    seconds=seconds,
                    reason=reason,
                    operation=self.operation,
                    begins=self.milliseconds,
                )
        raise UnreadableRecord

    def is_same_end(self, other: "JournalEntry") -> bool:
        """Whether this and ``other`` end one session in the same way, under whatever ids."""
        return self.verb == other.verb == "end_session" and self.fingerprint == other.fingerprint

    def _operation_until(self, keeping: Housekeeping) -> int:
        """The second until which the owner has to know the ending as a repetition."""
        until = min(self.expires_at, LATEST)
        if self.verb != "end_session":
            return until
        # A session has one end, and its id is never used again: a repetition ends nothing else. The
        # result is kept for the process that asked for it, for longer than it takes to ask.
        return min(until, keeping.time.milliseconds // 1000 + 2 * keeping.tombstone_seconds)

    @property
    def fingerprint(self) -> bytes:
        """The 8 bytes by which the store tells the ending from others under the same id."""
        match self.verb:
            case "end_session":
                session_id, reason, _, note = self.arguments
                return fingerprints.of_end_session(
                    self.subject, session_id=bytes.fromhex(session_id), reason=reason, note=note
                )
            case "end_all":
                keep, device_type, note = self.arguments
                return fingerprints.of_end_all(
                    self.subject,
                    keep=bytes.fromhex(keep) or None,
                    reason="revoked",
                    device_type=device_type,
                    note=note,
                )
            case "ban":
                scope, level, seconds, reason = self.arguments
                return fingerprints.of_ban(
                    self.subject, scope=scope, level=level, seconds=seconds, reason=reason
                )
            case "revoke_before":
                return fingerprints.of_revoke_before(self.milliseconds)
