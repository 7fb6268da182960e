"""Immutable lists and dictionaries, for values that several callers share.

Both are subclasses of the built-in types, and compare, print and serialise like them.
"""

from collections.abc import Mapping
from typing import Any, NoReturn


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("claims are shared and cannot be changed; use a copy from copy.deepcopy")


class FrozenList(list[Any]):
    """A list whose mutating methods raise TypeError."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy or pickle the list as an ordinary one."""
        return list, (list(self),)


class FrozenDict(dict[str, Any]):
    """A dictionary whose mutating methods raise TypeError."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy or pickle the dictionary as an ordinary one."""
        return dict, (dict(self),)


def frozen(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``claims`` as an immutable dictionary, in which all others and lists are immutable."""
    return FrozenDict({name: _frozen(value) for name, value in claims.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return FrozenList(_frozen(each) for each in value)
    if isinstance(value, dict):
        return FrozenDict({name: _frozen(each) for name, each in value.items()})
    return value
