"""Times and durations as the user types them on the command line."""

import math
import re
from datetime import UTC, datetime
from typing import Final

from clusterpass.cli.output import printable
from clusterpass.model.errors import InvalidInput

_DURATION: Final = re.compile(r"([0-9]{1,9})([smhdw]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# Fewer digits are a date without dashes, more are milliseconds: neither is taken for seconds.
_EPOCH_SECONDS: Final = re.compile(r"[0-9]{9,10}")


def parse_duration(text: str) -> int:
    """The seconds in ``text``: a whole number and one of the units s, m, h, d and w.

    A number without a unit is seconds. Raises InvalidInput for anything else.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"{printable(text)} is not a duration: write a number and a unit, such as 90s, 30m,"
            " 12h, 7d or 4w"
        )
    return int(match[1]) * _SECONDS[match[2]]


def parse_time(text: str) -> int:
    """The Unix time that ``text`` gives in ISO 8601 (UTC unless it has an offset) or in seconds.

    A fraction of a second is rounded up. Raises InvalidInput for anything else, and for a time
    before 1970.
    """
    if _EPOCH_SECONDS.fullmatch(text):
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{printable(text)} is not a time: write it as 2026-11-25T10:00:00Z, or as a Unix time"
            " in seconds"
        ) from None
    # Rounded up, so that a cutoff includes the sessions of that second.
    seconds = math.ceil((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    if seconds <= 0:
        raise InvalidInput(f"{printable(text)} is before 1970; no session is that old")
    return seconds
