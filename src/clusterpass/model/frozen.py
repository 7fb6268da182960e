"""Lists and dictionaries that cannot be changed, for values that several callers share.

They are lists and dictionaries still: they compare, print and serialise as such.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("claims cannot be changed: they are shared; make a copy with copy.deepcopy")


class FrozenList(list[Any]):
    """A list that cannot be changed."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is an ordinary list."""
        return list, (list(self),)


class FrozenDict(dict[str, Any]):
    """A dictionary that cannot be changed."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is an ordinary dictionary."""
        return dict, (dict(self),)


def frozen(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """``claims``, with nothing in it that could be changed."""
    return MappingProxyType({name: _frozen(value) for name, value in claims.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return FrozenList(_frozen(each) for each in value)
    if isinstance(value, dict):
        return FrozenDict({name: _frozen(each) for name, each in value.items()})
    return value
