"""Marks one refused login attempt as noted, so that it is counted and recorded only once.

A login passes through parts that do not know of each other: an integration with a web framework,
the application's own check, a user directory. The integration opens a :class:`Refusal` around the
attempt, and each part that notes the refusal says so there. The object is in a ContextVar, so
threads that get a copy of the context share it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final


class Refusal:
    """The notes on a refused login attempt that were made since it was opened, or last taken."""

    __slots__ = ("_is_in_trail", "_is_told")

    def __init__(self) -> None:
        self._is_in_trail = False
        self._is_told = False

    def put_in_trail(self) -> None:
        """Leave word that the audit trail has the refused password."""
        self._is_in_trail = True

    def tell(self) -> bool:
        """Leave word that the refused login is noted; return whether the trail has it already."""
        is_in_trail, self._is_in_trail, self._is_told = self._is_in_trail, False, True
        return is_in_trail

    def take(self) -> bool:
        """Return whether the refused login is noted, and begin anew."""
        is_told, self._is_told = self._is_told, False
        return is_told


_current: Final[ContextVar[Refusal | None]] = ContextVar("clusterpass-refusal", default=None)


def refusal_here() -> Refusal:
    """Return the refusal of the attempt that is being made; one that nobody reads outside of it."""
    return _current.get() or Refusal()


@contextmanager
def open_refusal() -> Iterator[Refusal]:
    """Open a refusal for an attempt, or for a request in which there may be several."""
    token = _current.set(refusal := Refusal())
    try:
        yield refusal
    finally:
        _current.reset(token)
