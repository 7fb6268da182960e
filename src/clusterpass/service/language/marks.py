"""Marks messages for extraction where they are defined, for example in tables.

They are translated later, where they are used.
"""

from typing import NamedTuple


class Plural(NamedTuple):
    """A message that depends on a number."""

    one: str
    many: str


def mark(message: str) -> str:
    """Return ``message``, which thereby is in the catalogues."""
    return message


def mark_plural(one: str, many: str) -> Plural:
    """Return both forms of a message, which thereby are in the catalogues."""
    return Plural(one, many)
