"""The history of a subject, one sentence per entry.

An entry identifies its session by an id. The device name comes from the login entry of that
session, if it is still stored, or from the session, if it is still live.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from clusterpass import (
    HistoryEntry,
    Session,
)
from clusterpass.service.page.sentences import Quoted, Sentence, compose, times

_SOME_DEVICE: Final[Sentence] = ("a device",)
_SENTENCES: Final = {
    "login": "Logged in",
    "refresh": "Session renewed {often} on {device}",
    "logged_out": "Logged out on {device}",
    "replaced": "{devices} {were} logged out by a newer login",
    "revoked": "{devices} {were} logged out",
    "banned": "Banned",
    "unbanned": "Ban lifted",
    "reused": "{devices} {were} logged out because a session token was used twice",
    "elevated": "Password confirmed on {device}",
    "password_changed": "Password changed on {device}",
    "impersonated": "Support logged in to this account",
    "claims_changed": "Permissions were changed",
    "expired": "The session on {device} expired",
    "idle": "{devices} {were} logged out due to inactivity",
}
_WITH_TEXT: Final = {
    "login": "Logged in on {text}",
    "replaced": "{devices} {were} logged out by a newer login on {text}",
    "revoked": "{devices} {were} logged out: {text}",
    "banned": "Banned: {text}",
    "unbanned": "Ban lifted: {text}",
    "impersonated": "Support logged in to this account: {text}",
}
_BY_SUPPORT: Final = {
    "refresh": "Support session renewed",
    "logged_out": "Support logged out",
    "revoked": "Support was logged out",
    "expired": "Support session expired",
}


@dataclass(frozen=True, slots=True)
class ActivityLine:
    """One entry of the history, for display."""

    at: int
    """Seconds since the epoch."""
    is_latest: bool
    """Whether ``at`` is the latest of several times."""
    sentence: Sentence
    address: str | None
    is_alarm: bool
    """Whether the entry is highlighted as a security event."""


def describe_history(
    history: Iterable[HistoryEntry], sessions: Iterable[Session]
) -> list[ActivityLine]:
    """Return the entries as sentences; ``sessions``: the live sessions of the same subject."""
    lines = list(history)
    live = list(sessions)
    devices = {entry.session_id: entry.text for entry in lines if entry.kind == "login"}
    devices |= {session.session_id: session.device or "" for session in live}
    support = {entry.session_id for entry in lines if entry.kind == "impersonated"}
    support |= {session.session_id for session in live if session.act is not None}
    support.discard(None)
    return [
        ActivityLine(
            at=entry.at,
            is_latest=entry.kind == "refresh" and entry.count > 1,
            sentence=_sentence(
                entry, _device(entry, devices), is_support=entry.session_id in support
            ),
            address=entry.address,
            is_alarm=entry.kind in {"reused", "banned", "impersonated"},
        )
        for entry in lines
    ]


def _device(entry: HistoryEntry, devices: dict[str | None, str]) -> Sentence:
    if entry.count > 1 and entry.session_id is None:
        return (f"{entry.count} devices",)
    name = devices.get(entry.session_id) if entry.session_id else None
    return (Quoted(name),) if name else _SOME_DEVICE


def _sentence(entry: HistoryEntry, device: Sentence, *, is_support: bool) -> Sentence:
    pattern = _SENTENCES.get(entry.kind, entry.kind)
    if entry.text:
        pattern = _WITH_TEXT.get(entry.kind, pattern)
    if is_support:
        pattern = _BY_SUPPORT.get(entry.kind, pattern)
    return compose(
        pattern,
        device=device,
        devices=("A device",) if device == _SOME_DEVICE else device,
        were=("were" if entry.count > 1 else "was",),
        often=(times(entry.count),),
        text=(Quoted(entry.text),),
    )
