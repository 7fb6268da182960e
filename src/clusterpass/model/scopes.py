"""Scopes: what a session may do, as names of parts separated by colons, with wildcards.

A granted ``orders:*`` covers ``orders:write`` and ``orders:write:all``; ``*`` covers everything;
``orders:*:read`` covers ``orders:eu:read``. A star matches whole parts only, so ``orders:wr*`` is
an ordinary name. There is no database of roles: a role is a set of scopes that the application
writes into the claim ``scope`` (RFC 9068 section 2.2.3).
"""

from collections.abc import Iterable, Mapping
from typing import Any


def granted_scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the scopes in the claim ``scope``: a string separated by spaces, or a list of strings.

    Anything else grants no scope.
    """
    value = claims.get("scope")
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list | tuple):
        return tuple(scope for scope in value if isinstance(scope, str))
    return ()


def covers(granted: Iterable[str], wanted: str) -> bool:
    """Return whether at least one scope of ``granted`` covers ``wanted``."""
    parts = wanted.split(":")
    return any(_covers(scope.split(":"), parts) for scope in granted)


def _covers(granted: list[str], wanted: list[str]) -> bool:
    if granted[-1] == "*" and len(wanted) >= len(granted):
        granted, wanted = granted[:-1], wanted[: len(granted) - 1]
    return len(granted) == len(wanted) and all(
        mine in ("*", theirs) for mine, theirs in zip(granted, wanted, strict=True)
    )
