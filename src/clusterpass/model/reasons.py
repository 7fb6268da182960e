"""Why a session ended, and the sentence that says so."""

from typing import Final, Literal

RevocationReason = Literal[
    "logged_out", "replaced", "revoked", "banned", "reused", "expired", "idle"
]
ReuseClass = Literal["recent", "stale", "foreign"]
_SENTENCES: Final[dict[RevocationReason, tuple[str, str]]] = {
    "logged_out": ("The session was logged out", "The session was logged out"),
    "replaced": (
        "The session was replaced by a newer login",
        "The session was replaced by a newer login on {note}",
    ),
    "revoked": ("The session was revoked", "The session was revoked: {note}"),
    "banned": ("The account was banned", "The account was banned: {note}"),
    "reused": (
        "A used refresh token was presented again, so the session was ended",
        "A used refresh token was presented again, so the session was ended",
    ),
    "expired": ("The session has reached its end", "The session has reached its end"),
    "idle": ("The session was not used for too long", "The session was not used for too long"),
}


def explain_end(reason: RevocationReason, note: str = "") -> str:
    """One sentence about why a session is over."""
    plain, with_note = _SENTENCES[reason]
    return (with_note.format(note=note) if note else plain) + "; log in again."
