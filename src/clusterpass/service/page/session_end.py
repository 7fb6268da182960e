"""Why a session ended, in one sentence for the user who returns with its tokens.

The sentence is part of the response to the request that finds the session ended. It is never passed
on in a cookie, because the note in it is text that someone else wrote.
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
from clusterpass.service.page.sentences import Moment, Quoted, Sentence, compose

_UNKNOWN: Final = "unknown"
_NO_DETAILS: Final = "Your session has expired. Please log in again."
_SENTENCES: Final = {
    "logged_out": "You logged out on this device{when}.",
    "replaced": "You were logged out on this device{when} by a newer login.",
    "revoked": "You were logged out on this device{when}, by you from another device or by an"
    " administrator.",
    "banned": "Your account was banned{when}{until}.",
    "reused": "You were logged out on this device{when} because a session token was used twice."
    " Someone may have copied it: log in again, check your devices and recent activity, and change"
    " your password if you see anything that was not you.",
    "idle": "You were logged out on this device{when} due to inactivity.",
    "expired": "Your session expired{when}. Please log in again.",
}
_WITH_NOTE: Final = {
    "replaced": "You were logged out on this device{when} by a newer login on {note}.",
    "revoked": "You were logged out on this device{when} by an administrator: {note}",
    "banned": "Your account was banned{when}{until}: {note}",
}


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session ended, as far as its tokens reveal."""

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


def explain(end: SessionEnd) -> Sentence:
    """Return the sentence that tells the user why the session ended."""
    pattern = _SENTENCES.get(end.reason, _NO_DETAILS)
    if end.note:
        pattern = _WITH_NOTE.get(end.reason, pattern)
    return compose(
        pattern,
        when=(" on ", Moment(end.ended_at)) if end.ended_at else (),
        until=_until(end.ban),
        note=(Quoted(end.note),),
    )


def explain_ban(ban: Ban) -> Sentence:
    """Return the sentence for a login that is refused although the password is correct."""
    return ("This account is banned", *_until(ban), *_because(ban.reason))


def explain_scoped_ban(ban: Ban) -> Sentence:
    """Return the sentence about a ban from one scope, for a user who is logged in."""
    return ("Banned from ", Quoted(ban.scope), *_until(ban), *_because(ban.reason))


def _until(ban: Ban | None) -> Sentence:
    if ban is None:
        return ()
    return (", permanently",) if ban.until is None else (" until ", Moment(ban.until))


def _because(reason: str) -> Sentence:
    return (": ", Quoted(reason)) if reason else (".",)
