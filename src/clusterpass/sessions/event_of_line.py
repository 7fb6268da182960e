"""Turns a line of a history into the event that was reported in the process where it happened."""

from typing import Final, get_args

from clusterpass.model.events import EventKind, HistoryEntry, SessionEvent
from clusterpass.model.reasons import RevocationReason
from clusterpass.model.values import Actor
from clusterpass.protocol.records import LiveRecord, Tombstone
from clusterpass.protocol.replies import HistoryLine, Listed, Stored
from clusterpass.sessions.public_values import describe_line
from clusterpass.tokens.identifiers import encode_session_id

_KINDS: Final = get_args(EventKind)
TOLD_BY_HISTORY: Final = frozenset(_KINDS) - {"expired", "idle", "refused"}
"""The kinds of events that are in the history of a subject, and are told when they happen."""
_WITH_REASON: Final = frozenset(
    {"logged_out", "revoked", "banned", "unbanned", "reused", "elevated", "impersonated"}
)
_ENDS: Final = frozenset(get_args(RevocationReason))


def kind_of(line: HistoryLine) -> str:
    """Return the kind of event that ``line`` is about; empty: a later release wrote it."""
    return _KINDS[line.event - 1] if 1 <= line.event <= len(_KINDS) else ""


def event_of(subject: str, line: HistoryLine, listed: Listed) -> SessionEvent:
    """Return the event that ``line`` tells, with what ``listed`` adds while it is there.

    A line holds the beginning of a device or a reason. The record of a live session has all of the
    device, and tombstones have the ids of sessions that ended together.
    """
    entry = describe_line(line, subject)
    stored = listed.sessions.get(line.session_id)
    device, device_type = _device_of(entry, stored)
    actor = _actor_of(entry, stored)
    reason = entry.text if entry.kind in _WITH_REASON else ""
    return SessionEvent(
        entry.kind,
        subject,
        entry.at,
        session_ids=_ended_together(line, listed)
        if entry.session_id is None
        else (entry.session_id,),
        device=device,
        device_type=device_type,
        address=entry.address,
        reason=(actor.reason if actor else reason) or None,
        actor=actor,
    )


def _device_of(entry: HistoryEntry, stored: Stored | None) -> tuple[str | None, str | None]:
    """The name and the type of the device of a login; of a replacement, that of the newer login."""
    if entry.kind not in {"login", "replaced"}:
        return None, None
    if entry.kind == "login" and stored is not None and isinstance(stored.record, LiveRecord):
        record = stored.record
        name = stored.details.device or (record.device_name if record.device else "")
        return name or None, (record.device_type if record.device else "") or None
    return entry.text or None, None


def _actor_of(entry: HistoryEntry, stored: Stored | None) -> Actor | None:
    if entry.kind != "impersonated" or stored is None or stored.details.actor is None:
        return None
    return Actor(*stored.details.actor)


def _ended_together(line: HistoryLine, listed: Listed) -> tuple[str, ...]:
    """The ids of the sessions that ``line`` ended, if their tombstones are there and no others."""
    kind = kind_of(line)
    if kind not in _ENDS:
        return ()
    alone = {other.session_id for other in listed.history if other.event == line.event}
    ids = [
        session_id
        for session_id, stored in listed.sessions.items()
        if isinstance(stored.record, Tombstone)
        and stored.record.reason == kind
        and stored.record.ended_at == line.at
        and session_id not in alone
    ]
    return tuple(map(encode_session_id, ids)) if len(ids) == line.count else ()
