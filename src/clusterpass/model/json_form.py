"""Values and errors as plain JSON: dictionaries, lists, text, numbers, true, false and null."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


class Value:
    """The base class of the public values, which can be written as JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as a new dictionary that ``json.dumps`` takes.

        Values inside are dictionaries, too; tuples are lists; an error is what its own ``to_dict``
        returns. Tokens are written out, although no ``repr`` shows them.
        """
        return {
            each.name: json_value(getattr(self, each.name))
            for each in fields(self)  # type: ignore[arg-type] # subclasses are dataclasses
        }


def json_value(value: Any) -> Any:
    """Return ``value`` as plain JSON; what is none of ours, and no container, stays as it is."""
    if isinstance(value, Mapping):
        return {name: json_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: json_value(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Exception) and hasattr(value, "to_dict"):
        return value.to_dict()
    return value
