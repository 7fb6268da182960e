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
from clusterpass.service.language.marks import Plural, mark, mark_plural
from clusterpass.service.language.translation import Language
from clusterpass.service.page.device_types import device_name
from clusterpass.service.page.sentences import Quoted, Sentence, compose

_SENTENCES: Final[dict[str, str | Plural]] = {
    "login": mark("Logged in"),
    "refresh": mark_plural(
        "Session renewed once on a device", "Session renewed {count} times on a device"
    ),
    "logged_out": mark("Logged out on a device"),
    "replaced": mark_plural(
        "A device was logged out by a newer login",
        "{count} devices were logged out by a newer login",
    ),
    "revoked": mark_plural("A device was logged out", "{count} devices were logged out"),
    "banned": mark("Banned"),
    "unbanned": mark("Ban lifted"),
    "reused": mark_plural(
        "A device was logged out because a session token was used twice",
        "{count} devices were logged out because a session token was used twice",
    ),
    "elevated": mark("Password confirmed on a device"),
    "password_changed": mark("Password changed on a device"),
    "impersonated": mark("Support logged in to this account"),
    "claims_changed": mark("Permissions were changed"),
    "expired": mark("The session on a device expired"),
    "idle": mark_plural(
        "A device was logged out due to inactivity",
        "{count} devices were logged out due to inactivity",
    ),
    "refused": mark_plural("A login failed", "{count} logins failed"),
}
_WITH_TEXT: Final[dict[str, str | Plural]] = {
    "login": mark("Logged in on {text}"),
    "replaced": mark_plural(
        "A device was logged out by a newer login on {text}",
        "{count} devices were logged out by a newer login on {text}",
    ),
    "revoked": mark_plural(
        "A device was logged out: {text}", "{count} devices were logged out: {text}"
    ),
    "banned": mark("Banned: {text}"),
    "unbanned": mark("Ban lifted: {text}"),
    "impersonated": mark("Support logged in to this account: {text}"),
}
_ON_DEVICE: Final[dict[str, str | Plural]] = {
    "refresh": mark_plural(
        "Session renewed once on {device}", "Session renewed {count} times on {device}"
    ),
    "logged_out": mark("Logged out on {device}"),
    "replaced": mark("{device} was logged out by a newer login"),
    "revoked": mark("{device} was logged out"),
    "reused": mark("{device} was logged out because a session token was used twice"),
    "elevated": mark("Password confirmed on {device}"),
    "password_changed": mark("Password changed on {device}"),
    "expired": mark("The session on {device} expired"),
    "idle": mark("{device} was logged out due to inactivity"),
}
_ON_DEVICE_WITH_TEXT: Final[dict[str, str | Plural]] = {
    "replaced": mark("{device} was logged out by a newer login on {text}"),
    "revoked": mark("{device} was logged out: {text}"),
}
_BY_READER: Final = (
    mark_plural("You logged out a device", "You logged out {count} devices"),
    mark_plural("You logged out a device: {text}", "You logged out {count} devices: {text}"),
    mark("You logged out {device}"),
    mark("You logged out {device}: {text}"),
)
"""Who reads it has ended sessions: without and with a reason, then where the device is known."""
_BY_SOMEBODY: Final = (
    mark_plural("{by} logged out a device", "{by} logged out {count} devices"),
    mark_plural("{by} logged out a device: {text}", "{by} logged out {count} devices: {text}"),
    mark("{by} logged out {device}"),
    mark("{by} logged out {device}: {text}"),
)
"""Somebody else has ended sessions, in the same order."""
_BY_SUPPORT: Final[dict[str, str | Plural]] = {
    "refresh": mark("Support session renewed"),
    "logged_out": mark("Support logged out"),
    "revoked": mark("Support was logged out"),
    "expired": mark("Support session expired"),
}
_WITH_THE_LATEST: Final = frozenset({"refresh", "refused"})
"""The kinds of entries that count, and whose time is the latest."""
_ALARMS: Final = frozenset({"reused", "banned", "impersonated", "refused"})
_NAMES_A_DEVICE: Final = frozenset({"login", "replaced"})
"""The kinds of entries whose text is the name of a device."""


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
    history: Iterable[HistoryEntry],
    sessions: Iterable[Session],
    language: Language,
    reader: str = "",
) -> list[ActivityLine]:
    """Return the entries as sentences for ``reader``, the subject who reads them.

    ``sessions``: the live sessions of the subject whose history it is.
    """
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
            is_latest=entry.kind in _WITH_THE_LATEST and entry.count > 1,
            sentence=_sentence(
                entry,
                _device(entry, devices),
                language,
                _pattern_of_end(entry, reader),
                is_support=entry.session_id in support,
            ),
            address=entry.address,
            is_alarm=entry.kind in _ALARMS,
        )
        for entry in lines
    ]


def _device(entry: HistoryEntry, devices: dict[str | None, str]) -> str:
    """Return the name of the device of an entry; empty where it is not known, or not one alone."""
    return devices.get(entry.session_id, "") if entry.session_id else ""


def _pattern_of_end(entry: HistoryEntry, reader: str) -> tuple[str | Plural, ...]:
    """Return the patterns that say who ended sessions; none where nobody is known."""
    if entry.kind != "revoked" or entry.by is None:
        return ()
    return _BY_READER if entry.by == reader else _BY_SOMEBODY


def _pattern(entry: HistoryEntry, device: str, *, is_support: bool) -> str | Plural:
    tables = [_SENTENCES]
    if entry.text:
        tables.insert(0, _WITH_TEXT)
    if device:
        tables.insert(0, _ON_DEVICE)
    if device and entry.text:
        tables.insert(0, _ON_DEVICE_WITH_TEXT)
    if is_support:
        tables.insert(0, _BY_SUPPORT)
    return next((table[entry.kind] for table in tables if entry.kind in table), entry.kind)


def _sentence(
    entry: HistoryEntry,
    device: str,
    language: Language,
    ended: tuple[str | Plural, ...],
    *,
    is_support: bool,
) -> Sentence:
    if ended and not is_support:
        pattern = ended[2 * bool(device) + bool(entry.text)]
    else:
        pattern = _pattern(entry, device, is_support=is_support)
    text = device_name(entry.text, language) if entry.kind in _NAMES_A_DEVICE else entry.text
    return compose(
        language.gettext(pattern)
        if isinstance(pattern, str)
        else language.ngettext(pattern, entry.count),
        device=(Quoted(device_name(device, language)),),
        count=(str(entry.count),),
        text=(Quoted(text),),
        by=(Quoted(entry.by or ""),),
    )
