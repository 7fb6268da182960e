"""Patterns of hosts and paths, as regular expressions.

- Path patterns: ``*`` stands for any characters except a slash, ``**`` for any characters at all.
  ``/**`` at the end also covers the folder itself, so ``/admin/**`` covers ``/admin``; ``/**/``
  also stands for no folder at all. A slash at the end makes no difference.
- Host patterns: ``*`` stands for one label, and on its own for every host.

All other characters stand for themselves.
"""

import re
import unicodedata
from ipaddress import IPv6Address
from typing import Final

_WILDCARDS: Final = re.compile(r"(\*{1,2})")
_ANYTHING: Final = ".*?"
"""For ``**`` as part of a segment."""
_FOLDERS: Final = "(?:/.*?)??"
"""For ``**`` as a segment."""
_END: Final = "(?![^/])"
"""Of a segment."""
_OTHER_BEGINNING: Final = re.compile(r"(?:\(\?[a-z]+\))?\^?(?:[A-Za-z0-9_-]|\\[^\w/])")
_ANCHOR_BEFORE: Final = re.compile(r"(?:\(\?[a-z]+\))?(?:\^|\\A)")
_LABEL: Final = r"(?:\*|[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\]")


def host_pattern(text: str) -> re.Pattern[str]:
    """Return the expression that a whole host has to match; raise ValueError with the reason."""
    if text == "*":
        return re.compile(r"[^/]+")
    if not _HOST.fullmatch(text):
        raise ValueError(
            "is no host; write it in lower case, without scheme, port and path, such as"
            " app.example or *.app.example, and other scripts as browsers send them (xn--...)"
        )
    usual = one_spelling(text)
    if text != usual:
        raise ValueError(f"has another spelling, by which it is compared; write {usual}")
    return re.compile(re.escape(text).replace(r"\*", r"[^.]+"))


def one_spelling(host: str) -> str:
    """Return ``host``, in lower case; an IPv6 address in the one way that RFC 5952 has for it.

    What is no address is returned as it is.
    """
    if not host.startswith("["):
        return host
    try:
        return f"[{IPv6Address(host[1:-1])}]"
    except ValueError:
        return host


def path_pattern(text: str) -> re.Pattern[str]:
    """Return the expression that a whole path has to match; raise ValueError with the reason.

    How long it takes grows with the length of the path alone, which its client chooses: what
    stands between two ``**`` is matched where it comes first, and nothing is tried again.
    """
    if not text.startswith("/"):
        raise ValueError("does not begin with a slash; write /folder/** or /page")
    _require_reachable(text)
    segments = text.rstrip("/").split("/")[1:]
    covers_folder = segments[-1:] == ["**"]
    while segments[-1:] == ["**"]:
        del segments[-1]
    _require_quick(segments)
    made, gap, chunk = "", "", ""
    for segment in segments:
        before, any_characters, after = segment.partition("**")
        if segment == "**" and not chunk:
            gap = _FOLDERS
        elif not any_characters:
            chunk += _whole_segment(segment)
        else:
            opening = "" if segment == "**" else f"/{_literal(before)}"
            made += _chunk(gap, chunk + opening)
            gap, chunk = (_FOLDERS, "") if segment == "**" else (_ANYTHING, _at_end(after))
    if covers_folder:
        return re.compile(f"{made}{_chunk(gap, chunk)}(?:/.*)?", re.DOTALL)
    return re.compile(f"{made}{gap}{chunk}/?", re.DOTALL)


def path_expression(text: str) -> re.Pattern[str]:
    """Return the regular expression ``text``; raise ValueError with the reason if it is none.

    Also for one that was written to be searched for in a path: where it has to match the whole of
    it, it matches nothing that it was meant for, and a rule that denies would leave it open.
    """
    if _OTHER_BEGINNING.match(text):
        raise ValueError("does not begin with a slash, as every path does; write .* before it")
    begins, ends = bool(_ANCHOR_BEFORE.match(text)), text.endswith(("$", "\\Z"))
    if begins != ends and not text.endswith("\\$"):
        raise ValueError(
            "has to match the whole path, of which it names one end; write .* for the rest, such as"
            " /admin.* for ^/admin and .*/admin for /admin$"
        )
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression ({error})") from None


def _chunk(gap: str, chunk: str) -> str:
    """Return the expression for what stands behind ``gap`` and before another one.

    Its first occurrence is enough, as anything may follow it.
    """
    return f"(?>{gap}{chunk})" if gap else chunk


def _whole_segment(segment: str) -> str:
    first, *others = map(_literal, segment.split("*"))
    if not others:
        return f"/{first}{_END}"
    between = "".join(f"(?>[^/]*?{each})" for each in others[:-1])
    return f"(?>/{first}{between}[^/]*{others[-1]}{_END})"


def _at_end(text: str) -> str:
    """Return the expression for a segment that ends with ``text``, from there on."""
    return f"{_literal(text)}{_END}"


def _literal(text: str) -> str:
    return re.escape(unicodedata.normalize("NFC", text))


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
