"""The history of a subject, one sentence for each line.

A line names its session by an id. The device is the one of that session's login, as far as that
line is still kept or the session still lives.
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
    "refresh": "Refreshed {often} on {device}",
    "logged_out": "Logged out on {device}",
    "replaced": "{devices} {were} replaced by a newer login",
    "revoked": "{devices} {were} logged out",
    "banned": "Banned",
    "unbanned": "The ban was lifted",
    "reused": "{devices} {were} logged out because a key of its login was used a second time",
    "elevated": "Confirmed with the password on {device}",
    "impersonated": "Support logged in here",
    "claims_changed": "Permissions were changed",
    "expired": "The login on {device} reached its end",
    "idle": "{devices} {were} logged out after a long time without use",
}
_WITH_TEXT: Final = {
    "login": "Logged in on {text}",
    "replaced": "{devices} {were} replaced by a newer login on {text}",
    "revoked": "{devices} {were} logged out: {text}",
    "banned": "Banned: {text}",
    "unbanned": "The ban was lifted: {text}",
    "impersonated": "Support logged in here: {text}",
}
_BY_SUPPORT: Final = {
    "refresh": "Support went on here",
    "logged_out": "Support logged out here",
    "revoked": "Support was logged out here",
    "expired": "Support was here for as long as it had asked for",
}


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the history, for the eye."""

    at: int
    is_latest: bool
    """Whether it happened before, too."""
    sentence: Sentence
    address: str | None
    is_alarm: bool
    """Whether it deserves a look."""


def tell(history: Iterable[HistoryEntry], sessions: Iterable[Session]) -> list[Happening]:
    """The lines of a history as sentences; ``sessions``: the live ones of the same subject."""
    lines = list(history)
    live = list(sessions)
    devices = {entry.session_id: entry.text for entry in lines if entry.kind == "login"}
    devices |= {session.session_id: session.device or "" for session in live}
    support = {entry.session_id for entry in lines if entry.kind == "impersonated"}
    support |= {session.session_id for session in live if session.act is not None}
    support.discard(None)
    return [
        Happening(
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
