"""The reasons why a session ends, and the sentence that tells a user about each."""

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
        "A refresh token was used twice, so the session was ended",
        "A refresh token was used twice, so the session was ended",
    ),
    "expired": ("The session has expired", "The session has expired"),
    "idle": (
        "The session expired after a period of inactivity",
        "The session expired after a period of inactivity",
    ),
}


def explain_end(reason: RevocationReason, note: str = "") -> str:
    """Return one sentence that tells a user why the session ended.

    ``note``: the device of the newer login, or the reason of a revocation or a ban; empty: none.
    """
    plain, with_note = _SENTENCES[reason]
    return (with_note.format(note=note) if note else plain) + "; log in again."
