"""Patterns of hosts and paths, as regular expressions.

A path pattern: ``*`` stands for any characters but a slash, ``**`` for any at all. ``/**`` at its
end also covers the folder itself, and ``/**/`` no folder in between, so that ``/admin/**`` covers
``/admin``. A slash at the end makes no difference. A host pattern: ``*`` stands for one label, and
alone for every host. All other characters stand for themselves.
"""

import re
import unicodedata
from typing import Final

_WILDCARDS: Final = re.compile(r"(\*{1,2})")
_MEANINGS: Final = {"*": "[^/]*", "**": ".*"}
_LABEL: Final = r"(?:\*|[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\]")


def host_pattern(text: str) -> re.Pattern[str]:
    """Return the expression that a whole host has to match; raise ValueError with the reason."""
    if text == "*":
        return re.compile(r"[^/]+")
    if not _HOST.fullmatch(text):
        raise ValueError(
            "is no host; write it in lower case, without scheme, port and path, such as"
            " app.example or *.app.example"
        )
    return re.compile(re.escape(text).replace(r"\*", r"[^.]+"))


def path_pattern(text: str) -> re.Pattern[str]:
    """Return the expression that a whole path has to match; raise ValueError with the reason."""
    if not text.startswith("/"):
        raise ValueError("does not begin with a slash; write /folder/** or /page")
    _require_reachable(text)
    folder, covers_folder = text.removesuffix("/**"), text.endswith("/**")
    segments = folder.rstrip("/").split("/")[1:]
    _require_quick(segments)
    parts = [
        "(?:/.*)?" if segment == "**" else f"/{_expression(segment)}" for segment in segments[:-1]
    ]
    parts += [f"/{_expression(segment)}" for segment in segments[-1:]]
    end = "(?:/.*)?" if covers_folder else "/?"
    return re.compile("".join(parts) + end, re.DOTALL)


def path_expression(text: str) -> re.Pattern[str]:
    """Return the regular expression ``text``; raise ValueError with the reason if it is none."""
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression ({error})") from None


def _expression(segment: str) -> str:
    text = unicodedata.normalize("NFC", segment)
    return "".join(_MEANINGS.get(part) or re.escape(part) for part in _WILDCARDS.split(text))


def _require_reachable(text: str) -> None:
    """Raise ValueError for a pattern that no path matches, since paths are decoded and checked."""
    if "?" in text or "#" in text:
        raise ValueError("has a ? or #; patterns are compared with the path alone")
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        raise ValueError("has an escape such as %20; write the character that it stands for")
    if "//" in text or "\\" in text or ";" in text or {".", ".."} & set(text.split("/")):
        raise ValueError("has //, a backslash, a semicolon or a dot segment, which no path has")


def _require_quick(segments: list[str]) -> None:
    """Raise ValueError for a pattern with which a long path would take long to compare."""
    found = [_WILDCARDS.findall(segment) for segment in segments]
    if (
        any(len(stars) > (1 if "**" in stars else 2) for stars in found)
        or "***" in "/".join(segments)
        or sum("**" in stars for stars in found) > 2
    ):
        raise ValueError(
            "has too many stars: a segment may have two *, or one **, and a pattern two ** besides"
            " the one at its end"
        )
