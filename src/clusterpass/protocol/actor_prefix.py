"""Encodes the actor who ended a session in front of the reason, in tombstones and histories.

    unit separator | name 0..20 | unit separator | reason

An empty name means the subject itself. A note without a leading separator is a reason alone, with
no actor; the two cannot be confused, as a reason has no control characters.
"""

from typing import Final

_SEPARATOR: Final = "\x1f"
_LONGEST_NAME: Final = 20
"""Bytes of a name; of a longer one the beginning is kept."""
_CUT: Final = "…"


def join_actor(actor: str | None, subject: str, reason: str) -> str:
    """Return ``reason`` with who gave it. ``actor``: None: nobody is known."""
    if actor is None:
        return reason
    name = "" if actor == subject else _short(actor)
    return f"{_SEPARATOR}{name}{_SEPARATOR}{reason}"


def split_actor(note: str) -> tuple[str | None, str]:
    """Return who gave a reason, and the reason. Empty: the subject itself; None: nobody is known.

    What is behind the name may have been cut off.
    """
    if not note.startswith(_SEPARATOR):
        return None, note
    name, _, reason = note[1:].partition(_SEPARATOR)
    return name, reason


def _short(name: str) -> str:
    plain = "".join(each if each.isprintable() else "\ufffd" for each in name)
    if len(plain.encode("utf-8", "replace")) <= _LONGEST_NAME:
        return plain
    kept = plain.encode("utf-8", "replace")[: _LONGEST_NAME - len(_CUT.encode())]
    return kept.decode(errors="ignore") + _CUT
