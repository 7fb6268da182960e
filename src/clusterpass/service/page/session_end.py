"""Explains to a returning user why their session ended, or why a ban refuses a login.

The words are part of the response to the request that finds the session ended. They are never
passed on in a cookie, because the note in them is text that someone else wrote.
"""

from dataclasses import dataclass
from typing import Final

from clusterpass import (
    AuthenticationError,
    Ban,
    InvalidRefreshToken,
    RefreshTokenReused,
    SessionExpired,
    SessionRevoked,
)
from clusterpass.service.language.marks import mark
from clusterpass.service.language.translation import Language
from clusterpass.service.page.sentences import Moment, Quoted, Sentence, compose, joined

_UNKNOWN: Final = "unknown"
_NO_DETAILS: Final = mark("Your session has expired. Please log in again.")
_AT_A_TIME: Final = {
    "logged_out": mark("You logged out on this device on {when}."),
    "replaced": mark("You were logged out on this device on {when} by a newer login."),
    "revoked": mark(
        "You were logged out on this device on {when}, by you from another device or by an"
        " administrator."
    ),
    "banned": mark("Your account was banned on {when}."),
    "reused": mark(
        "You were logged out on this device on {when} because a session token was used twice."
    ),
    "idle": mark("You were logged out on this device on {when} due to inactivity."),
    "expired": mark("Your session expired on {when}. Please log in again."),
}
_AT_A_TIME_WITH_NOTE: Final = {
    "replaced": mark("You were logged out on this device on {when} by a newer login on {note}."),
    "revoked": mark("You were logged out on this device on {when} by an administrator: {note}"),
}
_SOME_TIME: Final = {
    "logged_out": mark("You logged out on this device."),
    "replaced": mark("You were logged out on this device by a newer login."),
    "revoked": mark(
        "You were logged out on this device, by you from another device or by an administrator."
    ),
    "banned": mark("Your account was banned."),
    "reused": mark("You were logged out on this device because a session token was used twice."),
    "idle": mark("You were logged out on this device due to inactivity."),
    "expired": _NO_DETAILS,
}
_SOME_TIME_WITH_NOTE: Final = {
    "replaced": mark("You were logged out on this device by a newer login on {note}."),
    "revoked": mark("You were logged out on this device by an administrator: {note}"),
}
_COPIED: Final = mark(
    "Someone may have copied it: log in again, check your devices and recent activity, and change"
    " your password if you see anything that was not you."
)
_UNTIL: Final = mark("The ban lasts until {when}.")
_PERMANENT: Final = mark("The ban is permanent.")
_REASON: Final = mark("Reason: {reason}")
_THIS_ACCOUNT: Final = mark("This account is banned.")
_SCOPE: Final = mark("You are banned from {scope}.")


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The end of a session, as far as its tokens reveal it."""

    reason: str = _UNKNOWN
    """The reason in the library's error; any other value: not known."""
    ended_at: int = 0
    """Seconds since the epoch; 0: not known."""
    note: str = ""
    """The device of the newer login, or the reason that an administrator gave."""
    ban: Ban | None = None
    """The active ban from everything, when a ban ended the session."""

    @classmethod
    def of_error(cls, error: AuthenticationError) -> "SessionEnd":
        """Return what ``error`` reveals."""
        if isinstance(error, SessionRevoked):
            return cls(error.reason or _UNKNOWN, error.ended_at, error.note)
        if isinstance(error, SessionExpired):
            reason = "idle" if error.reason == "session_idle" else "expired"
            return cls(reason, error.ended_at)
        if isinstance(error, InvalidRefreshToken):
            is_reused = isinstance(error, RefreshTokenReused)
            reason = "reused" if is_reused else error.reason or _UNKNOWN
            return cls(reason, error.ended_at, error.note)
        return cls()


def explain(end: SessionEnd, language: Language) -> Sentence:
    """Return the text that tells the user why the session ended."""
    plain, with_note = (
        (_AT_A_TIME, _AT_A_TIME_WITH_NOTE) if end.ended_at else (_SOME_TIME, _SOME_TIME_WITH_NOTE)
    )
    pattern = plain.get(end.reason, _NO_DETAILS)
    if end.note:
        pattern = with_note.get(end.reason, pattern)
    told = compose(
        language.gettext(pattern), when=(Moment(end.ended_at),), note=(Quoted(end.note),)
    )
    if end.reason == "banned":
        return joined(language, told, _until(end.ban, language), _because(end.note, language))
    if end.reason == "reused":
        return joined(language, told, (language.gettext(_COPIED),))
    return told


def explain_ban(ban: Ban, language: Language) -> Sentence:
    """Return the text for a login that is refused although the password is correct."""
    return _described(language.gettext(_THIS_ACCOUNT), ban, language)


def explain_scoped_ban(ban: Ban, language: Language) -> Sentence:
    """Return the text about a ban from one scope, for a user who is logged in."""
    return _described(language.gettext(_SCOPE), ban, language)


def _described(pattern: str, ban: Ban, language: Language) -> Sentence:
    return joined(
        language,
        compose(pattern, scope=(Quoted(ban.scope),)),
        _until(ban, language),
        _because(ban.reason, language),
    )


def _until(ban: Ban | None, language: Language) -> Sentence:
    if ban is None:
        return ()
    if ban.until is None:
        return (language.gettext(_PERMANENT),)
    return compose(language.gettext(_UNTIL), when=(Moment(ban.until),))


def _because(reason: str, language: Language) -> Sentence:
    return compose(language.gettext(_REASON), reason=(Quoted(reason),)) if reason else ()
