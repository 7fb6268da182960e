"""Sentences on the page: our own words, with user-supplied text and times marked in them.

The templates put each :class:`Quoted` part into a ``bdi`` element, so that a right-to-left name
cannot reorder the words around it, and each :class:`Moment` into a ``time`` element.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from clusterpass.service.language.translation import Language

_PLACE: Final = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, slots=True)
class Quoted:
    """User-supplied text: a device, a reason, a subject."""

    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, in seconds since the epoch."""

    timestamp: int


Part = str | Quoted | Moment
Sentence = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A message at the top of a page."""

    sentence: Sentence
    is_good: bool = False


def compose(pattern: str, **parts: Sentence) -> Sentence:
    """Return ``pattern`` with each ``{name}`` replaced by the part of that name."""
    pieces = _PLACE.split(pattern)
    sentence: list[Part] = []
    for index, piece in enumerate(pieces):
        if index % 2:
            sentence += parts[piece]
        elif piece:
            sentence.append(piece)
    return tuple(sentence)


def machine_readable(timestamp: int) -> str:
    """Return a time for programs (RFC 3339); ``timestamp``: seconds since the epoch."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%dT%H:%M:%SZ}"


def joined(language: Language, *sentences: Sentence) -> Sentence:
    """Return ``sentences``, which are in ``language``, as one text; empty ones are left out."""
    parts: list[Part] = []
    for sentence in filter(None, sentences):
        if parts and language.between_sentences:
            parts.append(language.between_sentences)
        parts += sentence
    return tuple(parts)


def is_quoted(part: object) -> bool:
    """Return whether a part is user-supplied text; a test for the templates."""
    return isinstance(part, Quoted)


def is_moment(part: object) -> bool:
    """Return whether a part is a time; a test for the templates."""
    return isinstance(part, Moment)
