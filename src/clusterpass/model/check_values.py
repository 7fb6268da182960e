"""Checks of scopes and ban levels. Each returns its argument or raises InvalidInput."""

import re
from typing import Final

from clusterpass.limits import MOST_BAN_LEVEL
from clusterpass.model.errors import InvalidInput

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


def check_scope(scope: object) -> str:
    """Return ``scope`` if it is a scope token (RFC 6749 section 3.3); raise InvalidInput if not."""
    if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
        raise InvalidInput(
            "a scope must be 1 to 255 printable ASCII characters without space, quote or backslash"
        )
    return scope


def check_ban_level(level: object) -> int:
    """Return ``level`` if it is a whole number from 1 to 1000; raise InvalidInput if not."""
    if not isinstance(level, int) or isinstance(level, bool) or not 1 <= level <= MOST_BAN_LEVEL:
        raise InvalidInput(f"level must be a whole number from 1 to {MOST_BAN_LEVEL}")
    return level
