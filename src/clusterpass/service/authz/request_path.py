"""The path of a request in the form that rules judge, or None for a path that no rule may judge.

A rule is evaded when the upstream reads a path differently from the rule. Each path therefore has
one reading here, and whatever programs are known to read differently is refused:

- Percent-encoding is undone once, and has to yield UTF-8. An encoded slash or backslash, a control
  character, and a percent sign that begins another escape are refused.
- Dot segments are refused; browsers resolve them before they send a path.
- Backslashes, ``#`` and path parameters (``;``), which some servers cut off, are refused.
- Two slashes at the beginning are refused: programs that resolve the path against a URL take the
  next segment for a host, and so ``//public/admin`` for ``/admin``. Elsewhere several slashes count
  as one, as in most servers.
- Letters are in their composed form (NFC).
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

LONGEST_PATH: Final = 8192
"""The longest path that is judged, in bytes."""
_UNSAFE_RAW: Final = re.compile(r"[\x00-\x20\x7f\\#;]|%(?![0-9A-Fa-f]{2})")
_UNSAFE_ENCODED: Final = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff]|2[Ff]|5[Cc]|3[Bb])")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_SLASHES: Final = re.compile(r"/{2,}")
_C1_CONTROLS: Final = re.compile(r"[\x80-\x9f\u2028\u2029]")


def normal_path(uri: str) -> str | None:
    """Return the path of ``uri``, decoded, with single slashes; None when it is not safe to judge.

    ``uri``: the path and query as the client sent them, in which each character stands for a byte.
    The query does not count.
    """
    path = uri.partition("?")[0]
    if (
        len(path) > LONGEST_PATH
        or not path.startswith("/")
        or path.startswith("//")
        or _UNSAFE_RAW.search(path)
        or _UNSAFE_ENCODED.search(path)
    ):
        return None
    try:
        decoded = unquote_to_bytes(path.encode("latin-1")).decode("utf-8")
    except ValueError:
        return None
    if not decoded.isascii():
        decoded = unicodedata.normalize("NFC", decoded)
    if _ESCAPE.search(decoded) or _C1_CONTROLS.search(decoded):
        return None
    decoded = _SLASHES.sub("/", decoded)
    if any(segment in (".", "..") for segment in decoded.split("/")):
        return None
    return decoded
