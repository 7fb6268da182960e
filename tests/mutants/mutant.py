"""One change of the source, as text to put in the place of other text."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kind of a change that a mutant makes."""

    COMPARISON = "comparison swapped"
    BOUNDARY = "boundary moved"
    NUMBER = "number changed"
    FLAG = "flag flipped"
    NAME = "string changed"
    LOGIC = "and/or swapped"
    NOT = "not dropped"
    CONDITION = "condition negated"
    LOOP = "continue/break swapped"
    CALL = "call dropped"
    RAISE = "raise dropped"
    RETURN = "returns None"
    ARGUMENT = "argument dropped"
    KEYWORD = "keyword dropped"


SUBTLE = frozenset({Kind.BOUNDARY, Kind.NUMBER, Kind.FLAG, Kind.CALL, Kind.KEYWORD})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the bytes ``start`` to ``end`` of ``path`` become ``after``.

    ``lines`` are the lines of which a test must execute one to find the change. They are empty for
    code that runs at import; ``names`` then says which names carry the change elsewhere.
    """

    path: str
    line: int
    kind: Kind
    start: int
    end: int
    before: str
    after: str
    lines: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    is_described: bool = False
    """Whether it is in a decorator: it may show where the function is described, as in a help."""

    def apply(self, source: bytes) -> bytes:
        """The source with this change."""
        return source[: self.start] + self.after.encode() + source[self.end :]

    def describe(self) -> str:
        """The change on one line, for a terminal or a table."""
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.path}:{self.line} {self.kind}: {before[:60]!r} -> {after[:60]!r}"
