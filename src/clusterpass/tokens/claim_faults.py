"""Says which claim is wrong, and why. Names are shown, shortened; values never are."""

import math
from collections.abc import Mapping
from typing import Any, Final

from clusterpass.tokens.encoding import decode_json_object, encode_json, is_deeper

_LONGEST_SHOWN: Final = 64
_LARGEST_INTEGER: Final = 10**19


def shown_name(name: object) -> str:
    """Return the name of a claim for a message: in quotes, escaped, and at most 64 characters."""
    text = str(name) if isinstance(name, str | int | float | bool | None) else "one"
    return ascii(text[:_LONGEST_SHOWN] + ("..." if len(text) > _LONGEST_SHOWN else ""))


def why_refused(claims: Mapping[str, Any], most_levels: int) -> str:
    """Return why the first of ``claims`` that cannot stand in a token is refused."""
    for name, value in claims.items():
        try:
            if is_deeper({name: value}, most_levels):
                return f"the claim {shown_name(name)} is nested more than {most_levels} levels deep"
            decode_json_object(encode_json({name: value}))
        except (TypeError, ValueError, RecursionError) as error:
            why = _fault(value) or str(error)
            return f"the claim {shown_name(name)} cannot stand in a token: {why}"
    return "claims must be plain JSON: text, numbers, lists, mappings"


def largest_claim(claims: Mapping[str, Any]) -> str:
    """Return the name of the claim that takes the most bytes, and how many."""
    sizes = {name: len(encode_json(value)) for name, value in claims.items()}
    name = max(sizes, key=sizes.__getitem__)
    return f"{shown_name(name)} with {sizes[name]}"


def _fault(value: Any) -> str:
    """Return what is wrong in ``value``, at any depth; empty: the value alone does not say."""
    if isinstance(value, dict):
        return next(filter(None, map(_fault_of_member, value.items())), "")
    if isinstance(value, list | tuple):
        return next(filter(None, map(_fault, value)), "")
    is_wrong, why = False, ""
    if isinstance(value, str):
        is_wrong = any("\ud800" <= each <= "\udfff" for each in value)
        why = "a text is not valid Unicode"
    elif isinstance(value, int):  # True and False among them
        is_wrong = not -_LARGEST_INTEGER < value < _LARGEST_INTEGER
        why = "a whole number has more than 19 digits"
    elif isinstance(value, float):
        is_wrong = not math.isfinite(value)
        why = "NaN and infinite numbers are no JSON"
    elif value is not None:
        is_wrong = True
        why = f"a {type(value).__name__} is no JSON; use text, numbers, lists and mappings"
    return why if is_wrong else ""


def _fault_of_member(member: tuple[Any, Any]) -> str:
    name, value = member
    if not isinstance(name, str):
        return f"a name in it is of type {type(name).__name__}, not a string"
    return _fault(name) or _fault(value)
