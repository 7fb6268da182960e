"""The calls that end sessions of a subject, with their typed replies."""

from dataclasses import dataclass
from typing import cast

from clusterpass.model.reasons import RevocationReason
from clusterpass.protocol.calls import fingerprints
from clusterpass.protocol.calls.statuses import EndAllStatus, EndStatus
from clusterpass.protocol.calls.subject_change import NO_OPERATION, Housekeeping, change
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LONGEST_NOTE, REASON_NUMBERS, shorten_text
from clusterpass.protocol.script import ScriptCall


@dataclass(frozen=True, slots=True)
class EndedOne:
    """The outcome of ending one session."""

    now_milliseconds: int
    """The server's time of the reply, in milliseconds since the epoch."""
    status: EndStatus
    """Whether the session ended now, had ended before, or is not known, or the call was refused."""


@dataclass(frozen=True, slots=True)
class EndedAll:
    """The outcome of ending several sessions of a subject."""

    now_milliseconds: int
    """The server's time when they were ended, in milliseconds since the epoch."""
    ended: tuple[bytes, ...]
    """The ids of the sessions that were live and ended."""
    status: EndAllStatus = "OK"
    """Whether the call was carried out, now or before."""


def end_session(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    reason: RevocationReason,
    address: bytes = b"",
    note: str = "",
    operation: bytes = NO_OPERATION,
) -> ScriptCall[EndedOne]:
    """End one session of ``subject`` and leave a tombstone with ``reason`` and ``note``.

    ``address``: the packed IP address, for the history. ``operation``: the same for each repetition
    of a call. The script is ``scripts/end_session.lua``.
    """
    return change(
        keyspace,
        keeping,
        subject,
        "end_session",
        arguments=(session_id, REASON_NUMBERS[reason], address, shorten_text(note, LONGEST_NOTE)),
        read=lambda raw: EndedOne(raw[0], cast("EndStatus", raw[1].decode())),
        operation=operation,
        fingerprint=fingerprints.of_end_session(
            subject, session_id=session_id, reason=reason, note=note
        ),
        insists=True,
    )


def end_all(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    keep: bytes | None,
    reason: RevocationReason,
    device_type: str | None = None,
    address: bytes = b"",
    note: str = "",
    operation: bytes = NO_OPERATION,
    up_to: int | None = None,
) -> ScriptCall[EndedAll]:
    """End all sessions of ``subject``, all but one, or those of one device type.

    ``keep``: the id of the session to leave alone. ``device_type``: None stands for all types.
    ``up_to``: only sessions opened up to that millisecond since the epoch. ``operation``: the same
    for each repetition of a call. The script is ``scripts/end_all.lua``.
    """
    return change(
        keyspace,
        keeping,
        subject,
        "end_all",
        arguments=(
            keep or b"",
            REASON_NUMBERS[reason],
            address,
            shorten_text(note, LONGEST_NOTE),
            b"*" if device_type is None else device_type.encode(),
            b"" if up_to is None else up_to,
        ),
        read=lambda raw: EndedAll(raw[1], tuple(raw[2]), cast("EndAllStatus", raw[0].decode())),
        operation=operation,
        fingerprint=fingerprints.of_end_all(
            subject, keep=keep, reason=reason, device_type=device_type, note=note
        ),
        insists=True,
    )
