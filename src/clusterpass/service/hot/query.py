"""The query of GET /verify, as the framework would read it."""

from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic import ValidationError

from clusterpass.service.bodies.requests import VerifyQuery

MAY_REPEAT: Final = ("scope", "not_banned")
"""The parameters that may be repeated."""
_LONGEST: Final = 512
_MOST_KEPT: Final = 256


def read_query(query: bytes) -> VerifyQuery | None:
    """Return the conditions in ``query``; None: the framework has to say what is wrong with it."""
    return _read(query) if len(query) <= _LONGEST else None


@lru_cache(_MOST_KEPT)
def _read(query: bytes) -> VerifyQuery | None:
    given: dict[str, Any] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in MAY_REPEAT:
            given.setdefault(name, []).append(value)
        elif name in given:
            return None
        else:
            given[name] = value
    try:
        return VerifyQuery.model_validate(given)
    except ValidationError:
        return None
