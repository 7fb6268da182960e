"""Why a session is over, in one sentence for whoever comes back with its tokens.

The sentence goes into the very answer that finds the session dead. A cookie never carries it: the
note is somebody else's text.
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
_NOTHING_KNOWN: Final = "Your session has expired. Please log in again."
_SENTENCES: Final = {
    "logged_out": "You logged out here{when}.",
    "replaced": "You were logged out here{when} by a newer login.",
    "revoked": "You were logged out here{when}, by you on another device or by an administrator.",
    "banned": "Your account was banned{when}{until}.",
    "reused": "You were logged out here{when} because a key of this login was used a second time."
    " Somebody may have copied it: log in again, look through your devices and recent activity, and"
    " change your password if something is not yours.",
    "idle": "You were logged out here{when} because you had been away for long.",
    "expired": "Your login reached its end{when}. Please log in again.",
}
_WITH_NOTE: Final = {
    "replaced": "You were logged out here{when} by a newer login on {note}.",
    "revoked": "You were logged out here{when} by an administrator: {note}",
    "banned": "Your account was banned{when}{until}: {note}",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended, as far as its tokens tell."""

    reason: str = _UNKNOWN
    """A reason of the library's; any other: nothing is known."""
    ended_at: int = 0
    """0: not known."""
    note: str = ""
    ban: Ban | None = None
    """The ban from everything that is in force, of a session that ended by one."""

    @classmethod
    def of_error(cls, error: AuthenticationError) -> "Ending":
        """The ending that ``error`` tells of."""
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


def explain(ending: Ending) -> Sentence:
    """Why the reader is not logged in any more."""
    pattern = _SENTENCES.get(ending.reason, _NOTHING_KNOWN)
    if ending.note:
        pattern = _WITH_NOTE.get(ending.reason, pattern)
    return compose(
        pattern,
        when=(" on ", Moment(ending.ended_at)) if ending.ended_at else (),
        until=_until(ending.ban),
        note=(Quoted(ending.note),),
    )


def explain_ban(ban: Ban) -> Sentence:
    """Why somebody with the right password is not let in."""
    return ("This account is banned", *_until(ban), *_because(ban.reason))


def explain_scoped_ban(ban: Ban) -> Sentence:
    """What somebody who is logged in may not do."""
    return ("Banned from ", Quoted(ban.scope), *_until(ban), *_because(ban.reason))


def _until(ban: Ban | None) -> Sentence:
    if ban is None:
        return ()
    return (", for good",) if ban.until is None else (" until ", Moment(ban.until))


def _because(reason: str) -> Sentence:
    return (": ", Quoted(reason)) if reason else (".",)
