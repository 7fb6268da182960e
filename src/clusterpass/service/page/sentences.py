"""Sentences of the page: our own words, with somebody else's text and moments set apart in them.

A template puts each :class:`Quoted` part into an element of its own (``bdi``), so that a name in
another direction of writing cannot turn ours around, and each :class:`Moment` into a ``time``.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_PLACE: Final = re.compile(r"\{([a-z]+)\}")

# Not from the locale of the server, which is not the reader's.
_MONTH: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Quoted:
    """Text that is not ours: a device, a reason, a subject."""

    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, in seconds since the epoch."""

    timestamp: int


Part = str | Quoted | Moment
Sentence = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence at the top of a page."""

    sentence: Sentence
    is_good: bool = False


def compose(pattern: str, **parts: Sentence) -> Sentence:
    """Our own ``pattern`` with ``parts`` in the place of their ``{names}``."""
    pieces = _PLACE.split(pattern)
    sentence: list[Part] = []
    for index, piece in enumerate(pieces):
        if index % 2:
            sentence += parts[piece]
        elif piece:
            sentence.append(piece)
    return tuple(sentence)


def readable(timestamp: int) -> str:
    """A time for people, in UTC."""
    when = datetime.fromtimestamp(timestamp, UTC)
    return f"{when.day} {_MONTH[when.month - 1]} {when:%Y, %H:%M} UTC"


def machine_readable(timestamp: int) -> str:
    """The same time for programs (RFC 3339)."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"


def duration(seconds: int) -> str:
    """``seconds`` in words, rounded up."""
    if seconds <= 90:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    return f"{-(-seconds // 60)} minutes"


def times(count: int) -> str:
    """How often something happened."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def is_quoted(part: object) -> bool:
    """Whether a part is somebody else's text; a test for the templates."""
    return isinstance(part, Quoted)


def is_moment(part: object) -> bool:
    """Whether a part is a time; a test for the templates."""
    return isinstance(part, Moment)
