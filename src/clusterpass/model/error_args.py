"""Lets errors be built again from their ``args``: ``type(error)(*error.args)``.

Python's own errors can be rebuilt like this, and result backends of job queues that store JSON
instead of pickles rely on it.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, Protocol, TypeVar, cast

Init = TypeVar("Init", bound=Callable[..., None])
Readers = Mapping[str, Callable[[Any], Any]]
"""The attributes of an error beside its message, each with what makes it of a JSON value."""
_LENGTH: Final = 2
"""How many ``args`` there are: the message, and the attributes."""


class Rebuilt(Protocol):
    """An error that can be built again."""

    def _rebuild(self, message: str, attributes: Mapping[str, Any]) -> None: ...


def rebuildable(init: Init) -> Init:
    """Return a constructor that also takes ``args``, in place of its own arguments."""

    @wraps(init)
    def build(self: Rebuilt, *arguments: Any, **options: Any) -> None:
        if len(arguments) == _LENGTH and not options and isinstance(arguments[1], Mapping):
            self._rebuild(*arguments)
        else:
            init(self, *arguments, **options)

    return cast("Init", build)


def as_it_is(value: Any) -> Any:
    """Return ``value``, which is the same in JSON."""
    return value
